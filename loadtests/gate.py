"""Compares what was measured with what a release has to hold. Pure.

The verdict is `broken` if the target did not hold it, `inconclusive` if the generator may be to blame, else `pass`. An
answer that contradicts what was written is `broken` whatever else is true.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

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


class ThresholdsError(ValueError):
    """The file of thresholds cannot be used; the message names file, field and bound."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Latency(_Strict):
    """Upper bounds of one operation, in milliseconds from the intended start; those left out are not looked at."""

    p50_ms: float | None = Field(default=None, gt=0)
    p95_ms: float | None = Field(default=None, gt=0)
    p99_ms: float | None = Field(default=None, gt=0)
    p99_9_ms: float | None = Field(default=None, gt=0)


class Thresholds(_Strict):
    """What a release has to hold."""

    operations: Mapping[str, Latency] = {}
    error_ratio: float = Field(default=0.0, ge=0, le=1)
    """Failed operations to all, wrong answers aside: of those none is allowed."""
    achieved_ratio: float = Field(default=0.99, gt=0, le=1)
    """Operations that ended within the run, to those that were meant to start."""
    dropped: int = Field(default=0, ge=0)
    """Starts that were due when the run ended and had not begun."""
    longest_gap_seconds: float | None = Field(default=None, gt=0)
    """Longest time without an accepted write, as in a failover."""
    generator_cpu: float = Field(default=0.9, gt=0, le=1)
    """Share of a core above which a generator process counts as saturated: then it may be to blame itself."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One threshold: what was allowed and found; if it does not hold, whether the generator may be to blame."""

    name: str
    allowed: str
    found: str
    holds: bool
    blames_generator: bool = False


_PERCENTILES: Final = {"p50_ms": 50.0, "p95_ms": 95.0, "p99_ms": 99.0, "p99_9_ms": 99.9}


def read_thresholds(file: Path) -> Thresholds:
    """Read a file of thresholds.

    Raises:
        ThresholdsError: not YAML, an unknown field, a value out of its bounds.
        OSError: the file cannot be read.
    """
    try:
        return Thresholds.model_validate(yaml.safe_load(file.read_text("utf-8")) or {})
    except yaml.YAMLError as error:
        raise ThresholdsError(f"{file}: not YAML: {error}") from None
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False)]
    raise ThresholdsError("\n".join(f"{file}: {line}" for line in lines))


def judge(record: Record, thresholds: Thresholds) -> tuple[Verdict, list[Finding]]:
    """Return the verdict and a finding for each threshold."""
    wrong = _errors(record, wrong=True)
    findings = [Finding("wrong answers", "0", str(wrong), not wrong), *_target(record, thresholds)]
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
    return float(operation.latency.get_value_at_percentile(percentile)) / 1000 if operation.answered else 0.0


def _errors(record: Record, *, wrong: bool) -> int:
    counted = [(name == WRONG, times) for each in record.operations.values() for name, times in each.errors.items()]
    return sum(times for is_wrong, times in counted if is_wrong == wrong)


def _target(record: Record, thresholds: Thresholds) -> Iterator[Finding]:
    saturated = any(share > thresholds.generator_cpu for share in record.cpu.values())
    lag_ms = _lag_ms(record, 99.9)
    for name, bounds in thresholds.operations.items():
        operation = record.operations.get(name, Operation())
        for field, percentile in _PERCENTILES.items():
            bound = getattr(bounds, field)
            if bound is not None:
                found = percentile_ms(operation, percentile)
                holds = bool(operation.answered) and found <= bound
                yield Finding(
                    f"{name} {field}", f"{bound:g}", f"{found:.3g}", holds, saturated or found - lag_ms <= bound
                )
    intended = record.intended
    failed = _errors(record, wrong=False) / intended if intended else 0.0
    yield Finding("error ratio", f"{thresholds.error_ratio:g}", f"{failed:.4g}", failed <= thresholds.error_ratio)
    achieved = sum(each.answered for each in record.operations.values()) / intended if intended else 0.0
    least = thresholds.achieved_ratio
    yield Finding("achieved ratio", f">= {least:g}", f"{achieved:.4g}", achieved >= least, saturated)
    dropped, most = record.dropped, thresholds.dropped
    yield Finding("dropped", str(most), str(dropped), dropped <= most, saturated)
    if thresholds.longest_gap_seconds is not None:
        gap, longest = record.longest_gap, thresholds.longest_gap_seconds
        yield Finding(
            "longest gap s", f"{longest:g}", f"{gap:.2f}", gap <= longest, saturated or gap - lag_ms / 1000 <= longest
        )


def _generator(record: Record, thresholds: Thresholds) -> Iterator[Finding]:
    bound = thresholds.generator_cpu
    for process, share in sorted(record.cpu.items()):
        yield Finding(f"generator CPU {process}", f"{bound:g}", f"{share:.2f}", share <= bound)


def _lag_ms(record: Record, percentile: float) -> float:
    return float(record.lag.get_value_at_percentile(percentile)) / 1000 if record.lag.total_count else 0.0
