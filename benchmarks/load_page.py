"""Writes docs/reports/load.md from the reports in docs/reports/load."""

import json
from pathlib import Path
from typing import Any, Final

LOAD: Final = Path(__file__).parents[1] / "docs" / "reports" / "load"
PAGE: Final = LOAD.with_suffix(".md")
FAILOVER: Final = "failover_under_load"
GATE: Final = "gate"
NOT_YET: Final = "Not measured yet."


def write() -> None:
    """Write and print it."""
    text = page()
    PAGE.write_text(text)
    print(text)


def page() -> str:
    """All that was run."""
    reports = sorted(file.parent for file in LOAD.glob("*/report.json"))
    rows = "\n".join(_row(each, _read(each / "report.json")) for each in reports)
    return f"""# Load tests of a deployment

Made by `python -m benchmarks.load`: the workloads of [load tests](../load.md) with their thresholds, on a stack of its
own (three Redis, three Sentinels, two session services behind nginx, TLS). Generator and deployment share one machine.
Each report, with plots, is in docs/reports/load.

| run | made | starts a second | answered | failed | slowest p99 | verdict |
|---|---|---|---|---|---|---|
{rows}

Failed are operations that were refused (`full` is what `memory_pressure` is about); lost sessions and wrong answers are
in each report, and part of its verdict.

## The primary is killed under load

Reported is the longest time without an accepted write that the load test has found. By the servers: the same from the
times of the entries in their event streams, which the generator has no part in. They should differ by less than 0.1 s.

{_failovers()}

## The same gate again and again

On a deployment that nothing changes:
{_gate()}
"""


def _read(file: Path) -> Any:  # noqa: ANN401 - JSON
    return json.loads(file.read_text())


def _row(folder: Path, report: dict[str, Any]) -> str:
    operations = report["operations"].items()
    failed = sum(sum(each["errors"].values()) for _, each in operations)
    name, slowest = max(((name, each["ms"]["p99"]) for name, each in operations), key=lambda pair: pair[1])
    answered = sum(each["answered"] for _, each in operations)
    made = report["made"][:16].replace("T", " ")
    return (
        f"| [{folder.name}](load/{folder.name}/report.html) | {made} | {report['rate']:g} | {answered:,} | {failed:,} |"
        f" {name} {slowest:.1f} ms | {report['verdict']} |"
    )


def _failovers() -> str:
    file = LOAD / FAILOVER / "gaps.json"
    if not file.exists():
        return NOT_YET
    lines = [
        "| killed, then primary | reported | by the servers | difference | lost sessions | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for number, gap in enumerate(_read(file), 1):
        report = _read(LOAD / FAILOVER / f"run-{number}" / "report.json")
        lines.append(
            f"| {', '.join(gap['killed'])}, {gap['primary']} | {gap['reported']:.2f} s | {gap['by_the_servers']:.2f} s "
            f"| {gap['reported'] - gap['by_the_servers']:+.3f} s | {report['lost']} | {report['verdict']} |"
        )
    return "\n".join(lines)


def _gate() -> str:
    file = LOAD / f"{GATE}.json"
    if not file.exists():
        return NOT_YET
    runs = _read(file)
    verdicts = [each["verdict"] for each in runs]
    p99 = [each["validate"]["ms"]["p99"] for each in runs]
    first = runs[0]
    return (
        f"{len(runs)} runs of `{first['workload']}` at the level {first['level']}, {first['rate']:g} starts a second,\n"
        f"with its thresholds: {', '.join(f'{verdicts.count(each)} {each}' for each in sorted(set(verdicts)))}.\n"
        f"The 99th percentile of `validate` was between {min(p99):.1f} and {max(p99):.1f} ms."
    )
