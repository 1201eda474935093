"""The report of a run: for a terminal, as JSON, as JUnit, and as one HTML page without anything from elsewhere."""

import json
import platform
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from loadtests.gate import Verdict, percentile_ms
from loadtests.page import page
from loadtests.run import PERCENTILES, Run

SCHEMA: Final = 1


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
        "rate": run.rate,
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
        "seconds": run.record.target / run.rate,
        "generator_cpu": run.record.cpu,
        "store_cpu": run.record.store_cpu,
        "bytes_per_session": run.record.bytes_per_session,
        "latency_drift": run.record.latency_drift,
        "memory_drift": run.record.memory_drift,
        "longest_gap_seconds": run.record.longest_gap,
        "faults": [each._asdict() for each in run.record.faults],
        "generator_lag_ms": {
            f"p{each:g}": run.record.lag.whole.get_value_at_percentile(each) / 1000 for each in PERCENTILES
        },
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
    (directory / "report.html").write_text(page(run), "utf-8")


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
