"""What became of each experiment that did something to the target, as rows of one table: losses and recovery times."""

from collections.abc import Iterable, Mapping

from conformance.report.model import Line
from conformance.run import Result

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "faults": ("faults",),
    "s without an accepted login: p50, p95, max": ("gap_p50_s", "gap_p95_s", "gap_max_s"),
    "confirmed logins: lost, of": ("lost", "durable"),
    "not confirmed: lost, of": ("lost_unconfirmed", "unconfirmed"),
    "without WAIT: lost, of": ("lost_without_wait", "without_wait"),
    "confirmed logouts: undone, of": ("back", "judged"),
    "sessions of a user: most, limit": ("most_at_once", "limit"),
    "s until in step: p50, max": ("settled_p50_s", "settled_max_s"),
}
"""Head of a column, and the figures of the evidence that it shows."""
HEAD = ("experiment", *COLUMNS)


def outages(lines: Iterable[Line | Result]) -> list[tuple[str, ...]]:
    """A row for each experiment with faults."""
    found: dict[str, dict[str, float | int | str]] = {}
    for line in lines:
        if "faults" in line.evidence:
            found.setdefault(line.experiment, {}).update(line.evidence)
    return [(name, *(_cell(figures, names) for names in COLUMNS.values())) for name, figures in found.items()]


def _cell(figures: Mapping[str, float | int | str], names: tuple[str, ...]) -> str:
    return ", ".join(str(figures[name]) for name in names if name in figures)
