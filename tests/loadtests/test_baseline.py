"""Runs are compared with an earlier one by the median of their ratios."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from loadtests.__main__ import main
from loadtests.baseline import BaselineError, compare


def report(p50: float, *, answered: int = 2000) -> dict[str, Any]:
    milliseconds = {"p50": p50, "p95": 3 * p50, "p99": 10 * p50, "p99.9": 20 * p50}
    operations = {"validate": {"answered": answered, "ms": milliseconds}}
    return {"workload": "steady", "level": "redis", "rate": 100, "operations": operations}


def slower(*p50: float, tolerance: float = 0.25) -> set[str]:
    found = compare(report(1.0), [report(each) for each in p50], tolerance)
    assert {each.name for each in found} == {"validate p50", "validate p95", "validate p99"}
    return {each.name for each in found if not each.holds}


def test_one_disturbed_run_of_three_is_forgotten() -> None:
    assert slower(1.1, 9.0, 1.0) == set()


def test_two_slow_runs_of_three_are_a_regression() -> None:
    assert slower(1.4, 1.5, 1.0) == {"validate p50", "validate p95", "validate p99"}
    assert slower(1.4, 1.5, 1.0, tolerance=0.5) == set()


def test_percentiles_of_too_few_answers_are_not_compared() -> None:
    assert [each.name for each in compare(report(1), [report(1, answered=300)], 0.25)] == [
        "validate p50",
        "validate p95",
    ]
    with pytest.raises(BaselineError, match="enough answers"):
        compare(report(1), [report(1, answered=3)], 0.25)


@pytest.mark.parametrize(("field", "other"), [("workload", "soak"), ("level", "http"), ("rate", 200)])
def test_runs_of_something_else_are_not_compared(field: str, other: object) -> None:
    with pytest.raises(BaselineError, match=field):
        compare(report(1), [report(1) | {field: other}], 0.25)


@pytest.mark.parametrize(
    ("now", "codes", "expected"),
    [
        ((1.1, 9, 1), (0, 0, 0), 0),
        ((1.5, 9, 1), (0, 0, 0), 1),
        ((1, 1, 1), (0, 2, 0), 2),
        ((1, 1, 1), (2, 1, 0), 1),
        ((1, 1, 1), (0, -9, 0), 1),
    ],
)
def test_the_exit_code_is_the_worst_of_all_runs(
    now: tuple[float, ...], codes: tuple[int, ...], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the place of Locust a program that writes a report and ends as told."""
    program = tmp_path / "pretended.py"
    program.write_text(
        "import json, sys; from pathlib import Path\n"
        "report = Path(sys.argv[sys.argv.index('--report') + 1]); number = int(report.name[-1]) - 1\n"
        f"report.mkdir(parents=True); text = json.loads({json.dumps([report(each) for each in now])!r})[number]\n"
        f"(report / 'report.json').write_text(json.dumps(text)); sys.exit({codes!r}[number])\n"
    )
    monkeypatch.setattr(sys, "executable", str(_interpreter(tmp_path, program)))
    (tmp_path / "then.json").write_text(json.dumps(report(1.0)))

    options = ["--report", str(tmp_path / "now"), "--repeat", "3", "--baseline", str(tmp_path / "then.json")]
    assert main(options) == expected


def _interpreter(folder: Path, program: Path) -> Path:
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {program} "$@"\n')
    script.chmod(0o755)
    return script
