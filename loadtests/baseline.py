"""Compares runs with an earlier report by the ratios of their latency. Pure.

Absolute bounds are those of the thresholds. A ratio of medians says more where machines differ, and the median of the
ratios of several runs forgets the one that was disturbed.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

SAME: Final = ("workload", "level", "rate")
"""What a run has to share with its baseline."""
FEWEST_BEYOND: Final = 10
"""Answers slower than a percentile, below which it is a matter of luck."""
SHARES: Final = {"p50": 0.5, "p95": 0.05, "p99": 0.01}
"""Percentiles that are compared, and how many answers are beyond."""
Report = Mapping[str, Any]


class BaselineError(ValueError):
    """The runs cannot be compared; the message says in what they differ."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One percentile of one operation: milliseconds then, and the median of its ratios now."""

    name: str
    baseline_ms: float
    ratio: float
    holds: bool

    def __str__(self) -> str:
        """As a line."""
        return f"{'ok' if self.holds else 'SLOWER':<8}{self.name}: {self.ratio:.2f} times {self.baseline_ms:.3g} ms"


def compare(baseline: Report, runs: Sequence[Report], tolerance: float) -> list[Comparison]:
    """Return a comparison for each percentile that all of them can tell; it holds up to a ratio of 1 + `tolerance`.

    Raises:
        BaselineError: another workload, level or rate; or there is nothing to compare.
    """
    for run in runs:
        for field in SAME:
            if run[field] != baseline[field]:
                raise BaselineError(f"{field}: {run[field]}, but that of the baseline is {baseline[field]}")
    found = list(_compared(baseline, runs, tolerance))
    if not found:
        raise BaselineError("no operation has enough answers to be compared")
    return found


def _compared(baseline: Report, runs: Sequence[Report], tolerance: float) -> Iterator[Comparison]:
    for operation, then in baseline["operations"].items():
        now = [run["operations"].get(operation, {"answered": 0}) for run in runs]
        fewest = min(each["answered"] for each in (then, *now))
        for percentile, beyond in SHARES.items():
            if fewest * beyond >= FEWEST_BEYOND:
                ms = then["ms"][percentile]
                ratio = statistics.median(each["ms"][percentile] / ms for each in now)
                yield Comparison(f"{operation} {percentile}", ms, ratio, ratio <= 1 + tolerance)
