"""What became of each experiment that did something to the target, as rows of one table: losses and recovery times."""

from collections.abc import Iterable, Mapping

from conformance.report.model import Line
from conformance.run import Result

COLUMNS: Mapping[str, str] = {
    "faults": "{faults}",
    "s without an accepted login: p50 / p95 / max": "{gap_p50_s} / {gap_p95_s} / {gap_max_s}",
    "confirmed logins lost": "{lost} of {durable}",
    "unconfirmed ones lost": "{lost_unconfirmed} of {unconfirmed}",
    "lost without WAIT": "{lost_without_wait} of {without_wait}",
    "confirmed logouts undone": "{back} of {judged}",
    "most sessions of a user": "{most_at_once}, limit {limit}",
    "s until in step: p50 / max": "{settled_p50_s} / {settled_max_s}",
}
"""Head of a column, and what it shows of the evidence."""
HEAD = ("experiment", *COLUMNS)


def outages(lines: Iterable[Line | Result]) -> list[tuple[str, ...]]:
    """A row for each experiment with faults."""
    found: dict[str, dict[str, float | int | str]] = {}
    for line in lines:
        if "faults" in line.evidence:
            found.setdefault(line.experiment, {}).update(line.evidence)
    return [(name, *(_cell(figures, form) for form in COLUMNS.values())) for name, figures in found.items()]


def _cell(figures: Mapping[str, float | int | str], form: str) -> str:
    """Empty where the experiment has no such figures."""
    try:
        return form.format_map(figures)
    except KeyError:
        return ""
