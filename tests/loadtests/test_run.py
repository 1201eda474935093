"""Locust against a real server: the gate passes a good target, and breaks for a slow one and for a wrong one."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import redis

from session_core import library
from session_core.ids import BUCKETS
from tests.session_core.sentinel_group import certificates
from tests.session_core.servers import Server, network, redis_server, sweep

pytestmark = pytest.mark.engine
ROOT = Path(__file__).resolve().parents[2]
EASY = """
operations: {validate: {p50_ms: 400}}
achieved_ratio: 0.9
dropped: 20
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("certificates")
    certificates(folder)
    try:
        with network() as bridge, redis_server(bridge, certificates=folder) as started:
            started.admin().function_load(library.source())
            started.admin().hset("session_meta", mapping={"buckets": BUCKETS, "schema": library.SCHEMA})
            yield started
    finally:
        sweep()


@dataclass
class Load:
    """One run of Locust."""

    server: Server
    report: Path
    during: Callable[[redis.Redis], None] = lambda _: None
    options: list[str] = field(default_factory=list)
    tls: bool = False
    output: str = ""

    def run(self, thresholds: str = EASY, seconds: int = 5) -> int:
        """Return the exit code."""
        file = self.report.parent / "thresholds.yaml"
        file.write_text(thresholds)
        where = self.server.settings if self.tls else {"redis_url": self.server.url}
        environment = {name.upper(): str(value) for name, value in where.items()} | {"SESSION_MAX_CONCURRENT": "5"}
        command = [
            *(sys.executable, "-m", "locust", "-f", str(ROOT / "loadtests" / "locustfile.py")),
            *("--headless", "--users", "10", "--spawn-rate", "10", "--run-time", f"{seconds}s", "--stop-timeout", "5"),
            *("--rate", "100", "--warm-up", "1", "--thresholds", str(file), "--report", str(self.report)),
            *self.options,
        ]
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            saboteur = threading.Thread(target=self._sabotage, daemon=True)
            saboteur.start()
            self.output, _ = process.communicate(timeout=90)
            saboteur.join()
        return process.returncode

    def _sabotage(self) -> None:
        admin = self.server.admin()
        deadline = time.monotonic() + 20
        while not admin.exists("session_index:{0}") and not admin.keys("session:*"):
            if time.monotonic() > deadline:
                return
            time.sleep(0.1)
        time.sleep(1.5)
        self.during(admin)

    @property
    def found(self) -> dict[str, Any]:
        """The report."""
        return json.loads((self.report / "report.json").read_text())  # type: ignore[no-any-return]


@pytest.fixture
def load(server: Server, tmp_path: Path) -> Iterator[Load]:
    server.admin().delete(
        *(server.admin().keys("session_index*") or ["none"]), *(server.admin().keys("session:*") or ["none"])
    )
    yield Load(server, tmp_path / "report")
    server.admin().client_unpause()


@pytest.mark.parametrize("options", [[], ["--processes", "2"]], ids=["one process", "two processes"])
def test_a_good_target_passes_and_the_report_says_what_was_done(load: Load, options: list[str]) -> None:
    load.options, load.tls = options, bool(options)

    assert load.run() == 0, load.output

    found = load.found
    assert found["verdict"] == "pass"
    assert "verdict: pass" in load.output
    answered = sum(each["answered"] for each in found["operations"].values())
    assert 300 <= answered <= 400 + 10, "a hundred a second for the four seconds after the warm-up"
    assert found["operations"]["validate"]["answered"] > 5 * found["operations"]["create"]["answered"]
    cases = ET.parse(load.report / "junit.xml").getroot().findall("testcase")
    assert len(cases) == len(found["findings"]) >= 5
    page = (load.report / "report.html").read_text()
    assert "steady: pass" in page
    assert "http" not in page, "nothing is loaded from elsewhere"


def test_what_it_wrote_is_ended_afterwards(load: Load) -> None:
    assert load.run(seconds=3) == 0, load.output

    admin = load.server.admin()
    live = sum(admin.zcard(key) for key in admin.keys("session_index:{*}"))
    assert live == 0


def test_a_target_that_stops_for_a_while_breaks_the_gate(load: Load) -> None:
    def pause(admin: redis.Redis) -> None:
        admin.client_pause(1500)

    load.during = pause

    assert load.run("operations: {validate: {p95_ms: 300}}\nachieved_ratio: 0.5\ndropped: 100") == 1, load.output

    findings = {each["name"]: each for each in load.found["findings"]}
    # A closed model would have sent nothing meanwhile, and shown one slow answer for each user.
    assert not findings["validate p95_ms"]["holds"], "the starts of a second and a half waited, of the four that count"


def test_a_target_that_loses_sessions_breaks_the_gate(load: Load) -> None:
    def lose(admin: redis.Redis) -> None:
        admin.delete(*admin.keys("session:*"))

    load.during = lose

    assert load.run() == 1, load.output

    assert "a session that lives is not there" in load.output
    assert not next(each for each in load.found["findings"] if each["name"] == "wrong answers")["holds"]


def test_a_target_that_brings_sessions_back_breaks_the_gate(load: Load) -> None:
    def restore(admin: redis.Redis) -> None:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            for key in admin.keys("session:*"):
                admin.hdel(key, "revoked")

    load.during = restore
    load.options = ["--workload", "steady", "--rate", "400"]

    assert load.run() == 1, load.output

    assert "a session that was ended answers as one that lives" in load.output


def test_without_a_target_it_says_which_variable_is_missing() -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("REDIS_", "SESSION_"))}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "locust",
            "-f",
            str(ROOT / "loadtests" / "locustfile.py"),
            "--headless",
            "-u",
            "1",
            "-t",
            "2s",
        ],
        env=bare,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode != 0
    assert "REDIS_URL is missing" in done.stdout + done.stderr
