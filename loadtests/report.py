"""The report of a run: for a terminal, as JSON, as JUnit, and as one HTML page without anything from elsewhere."""

import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from loadtests.gate import Finding, Verdict, percentile_ms
from loadtests.record import Record

SCHEMA: Final = 1
PERCENTILES: Final = (50.0, 95.0, 99.0, 99.9)

STYLE: Final = """
body { font: 15px sans-serif; margin: 2em; max-width: 60em }
td, th { padding: .2em .8em; text-align: right }
td:first-child, th:first-child { text-align: left }
svg { width: 100%; height: auto }
polyline { fill: none; stroke: #06c; stroke-width: 1.5 }
path { stroke: #999 }
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What was run, what was measured, and what that means."""

    workload: str
    level: str
    record: Record
    verdict: Verdict
    findings: Sequence[Finding]


def text(run: Run) -> str:
    """The lines for a terminal."""
    lines = [
        f"{'operation':<12}{'answered':>10}{'failed':>8}" + "".join(f"{f'p{each:g} ms':>10}" for each in PERCENTILES)
    ]
    for name, each in sorted(run.record.operations.items()):
        figures = "".join(f"{percentile_ms(each, percentile):>10.2f}" for percentile in PERCENTILES)
        lines.append(f"{name:<12}{each.answered:>10}{each.errors.total():>8}{figures}")
    lines += [
        f"{'ok' if each.holds else 'BROKEN':<8}{each.name}: {each.found} (allowed: {each.allowed})"
        for each in run.findings
    ]
    return "\n".join(["", *lines, f"verdict: {run.verdict}", ""])


def plain(run: Run) -> dict[str, Any]:
    """The report as plain values; `record` holds the histograms, so that everything can be computed again."""
    return {
        "schema": SCHEMA,
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "environment": {
            "python": platform.python_version(),
            "kernel": platform.release(),
            "locust": version("locust"),
            "redis-py": version("redis"),
        },
        "workload": run.workload,
        "level": run.level,
        "verdict": run.verdict.value,
        "findings": [asdict(each) for each in run.findings],
        "operations": {
            name: {
                "answered": each.answered,
                "errors": dict(each.errors),
                "ms": {f"p{percentile:g}": percentile_ms(each, percentile) for percentile in PERCENTILES},
            }
            for name, each in sorted(run.record.operations.items())
        },
        "late": run.record.late,
        "dropped": run.record.dropped,
        "unconfirmed": run.record.unconfirmed,
        "lost": run.record.lost,
        "bytes_per_session": run.record.bytes_per_session,
        "latency_drift": run.record.latency_drift,
        "memory_drift": run.record.memory_drift,
        "longest_gap_seconds": run.record.longest_gap,
        "generator_lag_ms": {f"p{each:g}": run.record.lag.get_value_at_percentile(each) / 1000 for each in PERCENTILES},
        "record": run.record.packed(),
    }


def write(run: Run, directory: Path) -> None:
    """Write report.json, junit.xml and report.html into a directory that is made if needed.

    Raises:
        OSError: it cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "report.json").write_text(json.dumps(plain(run), indent=1) + "\n", "utf-8")
    (directory / "junit.xml").write_text(junit(run), "utf-8")
    (directory / "report.html").write_text(html(run), "utf-8")


def junit(run: Run) -> str:
    """One test case for each threshold; an inconclusive run is an error and no failure."""
    kind = "error" if run.verdict is Verdict.INCONCLUSIVE else "failure"
    bad = sum(not each.holds for each in run.findings)
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<testsuite name={quoteattr(f"load {run.level} {run.workload}")} tests="{len(run.findings)}" {kind}s="{bad}">',
    ]
    for each in run.findings:
        lines.append(f"  <testcase name={quoteattr(each.name)}>")
        if not each.holds:
            lines.append(f"    <{kind} message={quoteattr(f'allowed {each.allowed}, found {each.found}')}/>")
        lines.append("  </testcase>")
    return "\n".join([*lines, "</testsuite>", ""])


def html(run: Run) -> str:
    """One page: verdict, thresholds, operations, and what happened second by second."""
    thresholds = [(each.name, each.allowed, each.found, "yes" if each.holds else "no") for each in run.findings]
    operations = [
        (
            name,
            each.answered,
            each.errors.total(),
            *(f"{percentile_ms(each, percentile):.2f}" for percentile in PERCENTILES),
        )
        for name, each in sorted(run.record.operations.items())
    ]
    names = ("operation", "answered", "failed", *(f"p{each:g} ms" for each in PERCENTILES))
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="en"><meta charset="utf-8"><title>Load test {escape(run.workload)}</title>',
            f"<style>{STYLE}</style>",
            f"<h1>{escape(run.workload)}: {run.verdict}</h1>",
            "<h2>Thresholds</h2>",
            _table(("threshold", "allowed", "found", "holds"), thresholds),
            "<h2>Operations, from their intended start</h2>",
            _table(names, operations),
            "<h2>Second by second</h2>",
            _plot([each.answered for _, each in sorted(run.record.seconds.items())], "answered a second"),
            _plot([each.longest_us / 1000 for _, each in sorted(run.record.seconds.items())], "longest latency, ms"),
            _plot([each.failed for _, each in sorted(run.record.seconds.items())], "failed a second"),
            "</html>",
            "",
        ]
    )


def _table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(name)}" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}" for cell in row) for row in rows)
    return f"<table><tr>{head}{body}</table>"


def _plot(values: Sequence[float], title: str) -> str:
    top = max(values, default=0) or 1
    step = 900 / max(1, len(values) - 1)
    points = " ".join(f"{number * step:.1f},{100 - 90 * value / top:.1f}" for number, value in enumerate(values))
    picture = f'<path d="M0 100H900"/><polyline points="{points}"/>'
    caption = f"<figcaption>{escape(title)} (top: {top:.4g})</figcaption>"
    return (
        f'<figure>{caption}<svg viewBox="0 0 900 105" role="img"><title>{escape(title)}</title>{picture}</svg></figure>'
    )
