"""The page shows what was measured, and loads nothing from elsewhere."""

import re
from pathlib import Path

import pytest

from loadtests import report
from loadtests.bounds import Latency, Thresholds
from loadtests.gate import judge
from loadtests.page import page
from loadtests.record import Fault, Record, Sample
from loadtests.run import Run


@pytest.fixture
def run() -> Run:
    """A quarter of a minute: a second without answers in the middle, memory that grows."""
    record = Record(cpu={"generator": 0.3}, target=1500)
    for number in range(1500):
        second = 1000 + number // 100
        record.ended("validate", second, 0.001 * (1 + number % 7) + (second == 1007), "" if number % 500 else "full")
    record.samples = {1000 + second: Sample(second * 2**20, second * 100) for second in range(15)}
    record.faults = [Fault(1007.2, "kill", "redis-<1>")]
    verdict, findings = judge(record, Thresholds(operations={"validate": Latency(p50_ms=1, p99_9_ms=2000)}))
    return Run("failover_under_load", "redis", 100, record, verdict, findings)


def test_the_page_has_a_plot_for_each_thing_with_the_fault_marked(run: Run) -> None:
    text = page(run)

    titles = re.findall(r'role="img"><title>(.*?)</title>', text)
    assert titles == ["latency, ms", "starts a second", "memory of Redis, MiB", "live sessions", "validate"]
    assert text.count("kill redis-&lt;1&gt;") == 4
    assert re.search(r"<tr class=no><td>validate p50_ms", text)
    assert not re.search(r"https?:|src=|<script|redis-<1>", text)


def test_the_slow_second_stands_out_of_the_latency_and_the_rate_keeps_to_its_target(run: Run) -> None:
    latency, rate = re.findall(r"<figure>.*?</figure>", page(run))[:2]

    longest, _ = re.findall(r'points="(.*?)"', latency)
    heights = [float(point.partition(",")[2]) for point in longest.split()]
    assert heights.index(min(heights)) == 7
    assert sorted(heights)[1] > 140 > min(heights) + 100
    ended, _, target = re.findall(r'points="(.*?)"', rate)
    assert ended == target


def test_the_three_files_are_written(run: Run, tmp_path: Path) -> None:
    report.write(run, tmp_path / "deep" / "down")

    written = {file.name for file in (tmp_path / "deep" / "down").iterdir()}
    assert written == {"report.json", "report.html", "junit.xml"}
