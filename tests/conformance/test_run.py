"""`conformance run` on containers of its own, whole: it passes, it can be verified, and it leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conformance.cli import main
from conformance.history import History
from tests.conformance.conftest import ROOT

pytestmark = pytest.mark.engine
KILL = ("HA-KILL-001", "HA-KILL-002", "HA-KILL-003", "HA-KILL-004", "HA-KILL-005")
UPKEEP = (*(f"OPS-DISK-{n:03}" for n in (1, 2, 3, 4, 5)), *(f"OPS-PASS-{n:03}" for n in (1, 2, 3)))


def left_by(process: int) -> list[str]:
    """Names of containers, volumes and networks that a process of the suite has started."""
    kinds = (("ps", "--all", "{{.Names}}"), ("volume", "ls", "{{.Name}}"), ("network", "ls", "{{.Name}}"))
    found = []
    for *words, form in kinds:
        listed = subprocess.run(["docker", *words, "--format", form], capture_output=True, text=True, check=True).stdout
        found += [name for name in listed.split() if "conformance-" in name and f"-{process}-" in name]
    return found


@pytest.fixture(name="report", scope="module")
def _report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    profiles = ("--profile", "SESSION-CORE", "--profile", "SESSION-DURABLE", "--profile", "SECURITY")
    ids = [word for each in (*KILL, *UPKEEP) for word in ("--id", each)]
    assert main(["run", *profiles, *ids, "--out", str(out)]) == 0, (out / "report.html").read_text()
    return out


def test_the_kits_own_topology_keeps_every_promise(report: Path) -> None:
    found = json.loads((report / "report.json").read_text())

    assert {each["status"] for each in found["requirements"]} == {"pass"}
    assert {each["requirement"]["id"] for each in found["requirements"]} > {
        *KILL,
        *UPKEEP,
        "SES-TTL-001",
        "SEC-ACL-002",
    }


def test_the_kill_bit_and_was_survived_with_figures(report: Path) -> None:
    found = {
        each["requirement"]["id"]: each for each in json.loads((report / "report.json").read_text())["requirements"]
    }
    survived, gap = found["HA-KILL-002"]["evidence"], found["HA-KILL-001"]["evidence"]["gap_max_s"]

    assert survived["durable"] > 100
    assert (survived["faults"], survived["lost"], survived["unread"]) == (1, 0, 0)
    assert 2 < gap <= 8  # not before the Sentinels hold the primary for down
    assert History.read(report / "histories" / "kill_primary-01.jsonl").fault("bit")


def test_the_report_can_be_verified(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify-report", str(report)]) == 0
    assert "as the report says" in capsys.readouterr().out


def test_a_finished_run_leaves_nothing_behind(report: Path) -> None:
    assert left_by(os.getpid()) == []


@pytest.mark.parametrize(
    ("line", "number"),
    [("bringing up containers", signal.SIGINT), ("[1/", signal.SIGTERM)],
    ids=["while it starts, by Ctrl-C", "in an experiment, by a stop"],
)
def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path, line: str, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "conformance", "run", "--profile", "SESSION-CORE", "--out", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        while line not in process.stderr.readline():
            pass
        while not left_by(process.pid):
            time.sleep(0.1)
        process.send_signal(number)
        _, said = process.communicate(timeout=90)

    assert process.returncode == 3
    assert "interrupted; what was started is removed" in said
    assert left_by(process.pid) == []
