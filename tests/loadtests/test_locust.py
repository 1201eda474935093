"""What a user of Locust expects: its web page, several processes, a master with workers on other machines."""

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.loadtests.running import LOCUST, Load, bare_environment
from tests.session_core.servers import free_port

pytestmark = pytest.mark.engine


@contextmanager
def beside(command: list[str], load: Load, log: Path) -> Iterator[None]:
    """A process of Locust that runs meanwhile, and is killed at the end."""
    environment = bare_environment() | {name.upper(): str(value) for name, value in load.where.items()}
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def check_one_report(load: Load) -> None:
    found = load.found
    assert found["verdict"] == "pass"
    assert "verdict: pass" in load.output
    answered = sum(each["answered"] for each in found["operations"].values())
    assert 20 <= answered <= 400 + 10, "no more than a hundred a second for the four seconds after the warm-up"
    assert len(found["record"]["cpu"]) == 2, "two generators"
    assert answered - 20 <= found["record"]["target"] <= 440, "which share one rate"
    assert found["bytes_per_session"] > 300
    cases = ET.parse(load.report / "junit.xml").getroot().findall("testcase")
    assert len(cases) == len(found["findings"]) >= 5
    page = (load.report / "report.html").read_text()
    assert "steady, redis: pass" in page
    assert "http" not in page, "nothing is loaded from elsewhere"
    admin = load.server.admin()
    assert sum(admin.zcard(key) for key in admin.keys("session_index:{*}")) == 0, "what it wrote is ended"


def test_two_processes_over_tls_give_one_report(load: Load) -> None:
    port = str(free_port())
    load.where = {**load.server.settings, "session_max_concurrent": 5}
    load.options = ["--processes", "2", "--master-bind-port", port, "--master-port", port]

    assert load.run(seconds=5) == 0, load.output

    check_one_report(load)


def test_a_master_and_its_workers_give_one_report(load: Load, tmp_path: Path) -> None:
    port = str(free_port())
    worker = [*LOCUST, "--worker", "--master-host", "127.0.0.1", "--master-port", port]
    load.options = ["--master", "--expect-workers", "2", "--master-bind-port", port]

    with beside(worker, load, tmp_path / "worker-1.log"), beside(worker, load, tmp_path / "worker-2.log"):
        assert load.run(seconds=5) == 0, load.output

    check_one_report(load)


def test_the_web_page_starts_and_stops_a_run(load: Load, tmp_path: Path) -> None:
    url, log = f"http://127.0.0.1:{(port := free_port())}", tmp_path / "web.log"
    with beside([*LOCUST, "--web-host", "127.0.0.1", "--web-port", str(port), "--rate", "50"], load, log):
        page = answer(url, log)
        assert b"locust" in page.lower()
        assert b"expiry_wave" in page, "the form has our options"

        form = urllib.parse.urlencode({"user_count": 5, "spawn_rate": 5, "workload": "login_storm"}).encode()
        assert json.loads(answer(f"{url}/swarm", log, form))["success"]
        names = wait_for_operations(url, log)
        assert "create" in names
        assert json.loads(answer(f"{url}/stop", log, b""))["success"]


def wait_for_operations(url: str, log: Path) -> set[str]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found: dict[str, Any] = json.loads(answer(f"{url}/stats/requests", log))
        names = {each["name"] for each in found["stats"] if each["num_requests"] > 10}
        if names:
            return names
        time.sleep(0.3)
    raise AssertionError(log.read_text())


def answer(url: str, log: Path, form: bytes | None = None) -> bytes:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(url, form, timeout=5) as got:  # noqa: S310 - ours
            return bytes(got.read())
        time.sleep(0.2)
    raise AssertionError(log.read_text())
