"""Compares what was measured with what a release has to hold. Pure.

The verdict is `broken` if the target did not hold it, `inconclusive` if the generator may be to blame, else `pass`. An
answer that contradicts what was written, and a session that was lost, are `broken` whatever else is true.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from loadtests.bounds import Thresholds
from loadtests.record import WRONG, Operation, Record


class Verdict(StrEnum):
    """What a run says about its target."""

    PASS = "pass"  # noqa: S105 - no password
    BROKEN = "broken"
    INCONCLUSIVE = "inconclusive"

    @property
    def exit_code(self) -> int:
        """0, 1 or 2."""
        return list(Verdict).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """One threshold: what was allowed and found; if it does not hold, whether the generator may be to blame."""

    name: str
    allowed: str
    found: str
    holds: bool
    blames_generator: bool = False


_PERCENTILES: Final = {"p50_ms": 50.0, "p95_ms": 95.0, "p99_ms": 99.0, "p99_9_ms": 99.9}


def judge(record: Record, thresholds: Thresholds) -> tuple[Verdict, list[Finding]]:
    """Return the verdict and a finding for each threshold."""
    saturated = any(share > thresholds.generator_cpu for share in record.cpu.values())
    findings = [
        _none("wrong answers", sum(each.errors[WRONG] for each in record.operations.values())),
        _none("lost sessions", record.lost),
        *_latency(record, thresholds, saturated=saturated),
        *_errors(record, thresholds),
        *_pace(record, thresholds, saturated=saturated),
        *_over_time(record, thresholds),
    ]
    generator = list(_generator(record, thresholds))
    broken = [finding for finding in findings if not finding.holds]
    if any(not finding.blames_generator for finding in broken):
        verdict = Verdict.BROKEN
    elif broken or not record.operations or not all(finding.holds for finding in generator):
        verdict = Verdict.INCONCLUSIVE
    else:
        verdict = Verdict.PASS
    return verdict, [*findings, *generator]


def percentile_ms(operation: Operation, percentile: float) -> float:
    """A percentile of the latency in milliseconds; 0 if nothing was answered."""
    return float(operation.latency.whole.get_value_at_percentile(percentile)) / 1000 if operation.answered else 0.0


def _none(name: str, count: int) -> Finding:
    return Finding(name, "0", str(count), not count)


def _latency(record: Record, thresholds: Thresholds, *, saturated: bool) -> Iterator[Finding]:
    lag_ms = _lag_ms(record)
    for name, bounds in thresholds.operations.items():
        operation = record.operations.get(name, Operation())
        for field, percentile in _PERCENTILES.items():
            bound = getattr(bounds, field)
            if bound is not None:
                found = percentile_ms(operation, percentile)
                holds = bool(operation.answered) and found <= bound
                blamed = saturated or not operation.count or (bool(operation.answered) and found - lag_ms <= bound)
                yield Finding(f"{name} {field}", f"{bound:g}", f"{found:.4g}", holds, blamed)


def _errors(record: Record, thresholds: Thresholds) -> Iterator[Finding]:
    found = record.errors
    for kind, allowed in thresholds.errors.items():
        yield _at_most(f"errors {kind}", found[kind] / record.intended if record.intended else 0.0, allowed)
    others = sum(times for kind, times in found.items() if kind not in thresholds.errors and kind != WRONG)
    yield _at_most("error ratio", others / record.intended if record.intended else 0.0, thresholds.error_ratio)
    for kind in thresholds.reaches:
        yield Finding(f"reaches {kind}", ">= 1", str(found[kind]), bool(found[kind]), blames_generator=True)


def _pace(record: Record, thresholds: Thresholds, *, saturated: bool) -> Iterator[Finding]:
    achieved = record.ended_count / record.target if record.target else 0.0
    least = thresholds.achieved_ratio
    yield Finding("achieved ratio", f">= {least:g}", f"{achieved:.4g}", achieved >= least, saturated)
    yield Finding(
        "dropped", str(thresholds.dropped), str(record.dropped), record.dropped <= thresholds.dropped, saturated
    )
    if thresholds.late_ratio is not None:
        late = record.late / record.intended if record.intended else 0.0
        yield _at_most("late ratio", late, thresholds.late_ratio, blames_generator=saturated)
    if thresholds.longest_gap_seconds is not None:
        gap, longest = record.longest_gap, thresholds.longest_gap_seconds
        blamed = saturated or gap - _lag_ms(record) / 1000 <= longest
        yield _at_most("longest gap s", gap, longest, blames_generator=blamed)


def _over_time(record: Record, thresholds: Thresholds) -> Iterator[Finding]:
    for name, bound, found in (
        ("bytes per session", thresholds.bytes_per_session, record.bytes_per_session),
        ("latency drift", thresholds.latency_drift, record.latency_drift),
        ("memory drift", thresholds.memory_drift, record.memory_drift),
    ):
        if bound is not None and found is None:
            yield Finding(name, f"{bound:g}", "not measured", holds=False, blames_generator=True)
        elif bound is not None and found is not None:
            yield _at_most(name, found, bound)
    if thresholds.faults:
        enough = len(record.faults) >= thresholds.faults
        yield Finding("faults", f">= {thresholds.faults}", str(len(record.faults)), enough, blames_generator=True)


def _generator(record: Record, thresholds: Thresholds) -> Iterator[Finding]:
    for process, share in sorted(record.cpu.items()):
        yield _at_most(f"generator CPU {process}", share, thresholds.generator_cpu)


def _at_most(name: str, found: float, allowed: float, *, blames_generator: bool = False) -> Finding:
    return Finding(name, f"{allowed:g}", f"{found:.4g}", found <= allowed, blames_generator)


def _lag_ms(record: Record) -> float:
    return float(record.lag.whole.get_value_at_percentile(99.9)) / 1000 if record.lag.whole.total_count else 0.0
