"""The search ends close below the limit, whatever it starts with, and names what is exhausted."""

import json
from pathlib import Path

import pytest

from loadtests.capacity import main, read_step
from loadtests.gate import Verdict
from loadtests.search import CLOSE, Step, highest, limit, search
from tests.loadtests.running import EASY, Load


def step(rate: float, *, verdict: Verdict = Verdict.PASS, store_cpu: float | None = 0.2) -> Step:
    return Step(rate, verdict, 0.3, store_cpu, 100, 50)


def steps_of(true_limit: float, start: float, most: int = 20) -> list[Step]:
    def run(rate: float) -> Step:
        return step(rate, verdict=Verdict.PASS if rate <= true_limit else Verdict.BROKEN)

    return search(start, most, run)


@pytest.mark.parametrize("start", [20, 900, 1000, 5000])
def test_it_ends_close_below_the_limit(start: float) -> None:
    steps = steps_of(1000, start)

    best = highest(steps)
    assert best is not None
    assert 1000 / CLOSE <= best.rate <= 1000
    assert len(steps) <= 15


def test_it_does_no_more_steps_than_it_may_and_says_if_nothing_held() -> None:
    assert len(steps_of(1e9, 100, most=4)) == 4
    nothing = steps_of(0.01, 100)
    assert highest(nothing) is None
    assert len(nothing) < 20


@pytest.mark.parametrize(
    ("bad", "level", "named"),
    [
        (step(10, verdict=Verdict.INCONCLUSIVE), "redis", "generator"),
        (step(10, verdict=Verdict.BROKEN, store_cpu=0.95), "http", "Redis"),
        (step(10, verdict=Verdict.BROKEN), "http", "service"),
        (step(10, verdict=Verdict.BROKEN, store_cpu=None), "redis", "neither"),
        (step(10), "redis", "not reached"),
    ],
)
def test_the_limit_is_what_was_exhausted(bad: Step, level: str, named: str) -> None:
    assert named in limit([step(5), bad], level)


def test_the_cost_of_an_operation_is_processor_time_by_operations() -> None:
    report = {
        "rate": 100, "verdict": "broken", "seconds": 10.0, "generator_cpu": {"a": 0.2, "b": 0.3}, "store_cpu": 0.1,
        "operations": {"validate": {"answered": 900, "errors": {"full": 100}}},
        "findings": [{"name": "dropped", "found": "3", "holds": False}, {"name": "x", "found": "1", "holds": True}],
    }  # fmt: skip

    found = read_step(report)

    assert (found.generator_cpu, found.broken) == (0.3, ("dropped 3",))
    assert found.generator_us == pytest.approx(5000)
    assert found.store_us == pytest.approx(1000)


@pytest.mark.engine
def test_a_search_runs_locust_and_writes_what_it_found(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in load.where.items():
        monkeypatch.setenv(name.upper(), str(value))
    (tmp_path / "easy.yaml").write_text(EASY)
    report = tmp_path / "report"
    options = ["--users", "5", "--spawn-rate", "5", "--warm-up", "0.5", "--stop-timeout", "2"]
    search_options = ["--start", "50", "--seconds", "4", "--steps", "1", "--report", str(report)]

    assert main([*search_options, "--thresholds", str(tmp_path / "easy.yaml"), *options]) == 0

    found = json.loads((report / "capacity.json").read_text())
    assert found["limit"] == "not reached"
    assert [(each["rate"], each["verdict"]) for each in found["steps"]] == [(50, "pass")]
    assert 10 < found["steps"][0]["store_us"] < 100_000
