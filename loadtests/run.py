"""One run: what was done, what was measured, and what that means."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.gate import Finding, Verdict
from loadtests.record import Record

PERCENTILES: Final = (50.0, 95.0, 99.0, 99.9)
"""Of the latency, in every form of the report."""


@dataclass(frozen=True, slots=True)
class Run:
    """What was run, at how many starts a second, what was measured, and what that means."""

    workload: str
    level: str
    rate: float
    record: Record
    verdict: Verdict
    findings: Sequence[Finding]
