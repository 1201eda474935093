"""The report as one HTML page, without anything from elsewhere."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from loadtests import plots
from loadtests.gate import percentile_ms
from loadtests.plots import Points
from loadtests.run import PERCENTILES, Run

STYLE: Final = """
body { font: 15px sans-serif; margin: 2em; max-width: 60em }
td, th { padding: .2em .8em; text-align: right }
td:first-child, th:first-child { text-align: left }
tr.no td { color: #c00; font-weight: bold }
figure { margin: 1em 0 }
svg { width: 100%; height: auto; font-size: 11px }
polyline { fill: none; stroke-width: 1.5 }
path { fill: none; stroke: #999 }
rect { fill: #06c }
line.mark { stroke: #c00; stroke-dasharray: 4 }
text.mark { fill: #c00 }
"""
MEBIBYTE: Final = 2**20


def page(run: Run) -> str:
    """Verdict, thresholds, operations, and what happened second by second."""
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="en"><meta charset="utf-8"><title>Load test {escape(run.workload)}</title>',
            f"<style>{STYLE}</style>",
            f"<h1>{escape(run.workload)}, {escape(run.level)}: {run.verdict}</h1>",
            "<h2>Thresholds</h2>",
            _thresholds(run),
            "<h2>Operations, from their intended start</h2>",
            _operations(run),
            "<h2>Second by second</h2>",
            *_over_time(run),
            "<h2>How often which latency</h2>",
            *(plots.histogram(name, each.latency) for name, each in sorted(run.record.operations.items())),
            "</html>",
            "",
        ]
    )


def _thresholds(run: Run) -> str:
    rows = "".join(
        f"<tr class={'yes' if each.holds else 'no'}>{_cells(each.name, each.allowed, each.found)}"
        f"{_cells('yes' if each.holds else 'no')}"
        for each in run.findings
    )
    return _table(("threshold", "allowed", "found", "holds"), rows)


def _operations(run: Run) -> str:
    rows = "".join(
        f"<tr>{_cells(name, each.answered, each.errors.total())}"
        + _cells(*(f"{percentile_ms(each, percentile):.2f}" for percentile in PERCENTILES))
        for name, each in sorted(run.record.operations.items())
    )
    return _table(("operation", "answered", "failed", *(f"p{each:g} ms" for each in PERCENTILES)), rows)


def _over_time(run: Run) -> Iterator[str]:
    record = run.record
    seconds = sorted(record.seconds.items())
    marks = {fault.at: f"{fault.what} {fault.node}" for fault in record.faults}
    longest: Points = [(at, each.longest_us / 1000) for at, each in seconds]
    mean: Points = [(at, each.mean_ms) for at, each in seconds]
    yield plots.lines("latency, ms", {"longest": longest, "mean": mean}, marks)
    whole = seconds[1:-1]  # the first and the last one are parts of a second
    rate: Points = [(at, each.answered + each.failed) for at, each in whole]
    failed: Points = [(at, each.failed) for at, each in whole]
    target: Points = [(at, run.rate) for at, _ in whole]
    yield plots.lines("starts a second", {"ended": rate, "failed": failed, "target": target}, marks)
    samples = sorted(record.samples.items())
    yield plots.lines("memory of Redis, MiB", {"data": [(at, each.used / MEBIBYTE) for at, each in samples]}, marks)
    yield plots.lines("live sessions", {"sessions": [(at, each.sessions) for at, each in samples]}, marks)


def _table(names: Sequence[str], rows: str) -> str:
    return f"<table><tr>{''.join(f'<th>{escape(name)}' for name in names)}{rows}</table>"


def _cells(*values: object) -> str:
    return "".join(f"<td>{escape(str(value))}" for value in values)
