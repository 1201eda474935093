"""The gate of a release on a real stack, as `make load` runs it: a good one passes, one that stands still does not."""

import json
import re
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from loadtests.workloads import STEADY
from tests.stack.kit import ROOT, Access, docker, eventually

pytestmark = [pytest.mark.stack, pytest.mark.engine]

THRESHOLDS = """
operations: {validate: {p50_ms: 150, p99_ms: 1000}, create: {p50_ms: 300}}
achieved_ratio: 0.9
dropped: 20
"""
"""For a machine that others use, too: wrong answers, lost sessions and errors are 0 in any case."""


def load(running: Access, thresholds: Path, *variables: str) -> tuple[int, str]:
    """Run `make load` for a short time; the exit code of `make`, and what it prints."""
    done = subprocess.run(
        [
            "make",
            "load",
            f"STACK={running.stack.name}",
            "RATE=50",
            "DURATION=8s",
            f"THRESHOLDS={thresholds}",
            *variables,
        ],
        cwd=ROOT,
        env=running.stack.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=180,
    )
    return done.returncode, done.stdout


def found(running: Access) -> dict[str, Any]:
    report = ROOT / ".state" / f"load-{running.stack.name}" / "report.json"
    return json.loads(report.read_text())  # type: ignore[no-any-return]


@pytest.fixture
def thresholds(tmp_path: Path) -> Path:
    file = tmp_path / "thresholds.yaml"
    file.write_text(THRESHOLDS)
    return file


@pytest.mark.parametrize("level", ["redis", "http"])
def test_a_deployment_passes_the_gate(running: Access, thresholds: Path, level: str) -> None:
    running.wait_settled()

    code, output = load(running, thresholds, f"LEVEL={level}")

    assert code == 0, output
    assert "verdict: pass" in output
    report = found(running)
    assert (report["level"], report["lost"], report["unconfirmed"]) == (level, 0, 0)
    assert {"validate", "touch", "create"} <= set(report["operations"]) <= set(STEADY), "one start in a hundred revokes"


def test_a_primary_that_stands_still_for_a_while_breaks_it(running: Access, thresholds: Path) -> None:
    primary = running.wait_settled()
    before = running.node(primary).dbsize()

    def pause() -> None:
        eventually("logins of the load test", lambda: running.node(primary).dbsize() > before + 500)
        time.sleep(5)  # the warm-up is over
        docker("pause", running.stack.container(primary))
        time.sleep(2)  # less than the Sentinels wait
        docker("unpause", running.stack.container(primary))

    saboteur = threading.Thread(target=pause, daemon=True)
    saboteur.start()
    code, output = load(running, thresholds)
    saboteur.join()

    assert code == 2, "make has this one for whatever its command says"
    assert re.search(r"load\] Error 1$", output, re.MULTILINE), output
    assert "verdict: broken" in output
    assert "BROKEN  validate p99_ms" in output
    assert (found(running)["verdict"], found(running)["lost"]) == ("broken", 0)
    assert running.wait_settled() == primary
