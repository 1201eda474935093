"""What was measured, per operation: latency from the intended start, errors by class, late starts; can be merged.

Latency is kept in microseconds with three significant figures (HdrHistogram), since Locust's own figures are rounded to
whole milliseconds.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from hdrh.histogram import HdrHistogram

LONGEST_US: Final = 600_000_000
WRONG: Final = "wrong answer"
"""The class of an answer that contradicts what was written."""
LATE_SECONDS: Final = 0.01


def new_histogram() -> HdrHistogram:
    """An empty histogram of microseconds, up to ten minutes."""
    return HdrHistogram(1, LONGEST_US, 3)


@dataclass(slots=True)
class Operation:
    """All starts of one kind of operation."""

    latency: HdrHistogram = field(default_factory=new_histogram)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def answered(self) -> int:
        """How many ended well."""
        return int(self.latency.total_count)

    @property
    def count(self) -> int:
        """How many were started."""
        return self.answered + self.errors.total()


@dataclass(slots=True)
class Second:
    """One second of the run, by intended start."""

    answered: int = 0
    failed: int = 0
    longest_us: int = 0


@dataclass(slots=True)
class Record:
    """Everything that one generator process has measured, or several together."""

    operations: dict[str, Operation] = field(default_factory=dict)
    seconds: dict[int, Second] = field(default_factory=dict)
    lag: HdrHistogram = field(default_factory=new_histogram)
    """Microseconds by which an idle user woke too late: the generator's own delay."""
    late: int = 0
    """Starts that had to wait because their user was still busy."""
    dropped: int = 0
    """Starts that were due when the run ended and had not begun."""
    unconfirmed: int = 0
    """Durable writes that no replica confirmed in time."""
    cpu: dict[str, float] = field(default_factory=dict)
    """Share of a core that each generator process has used."""
    longest_gap: float = 0.0
    """Seconds between two accepted writes, at the most; the longest that any one process has seen."""

    @property
    def intended(self) -> int:
        """How many starts the schedule asked for."""
        return sum(each.count for each in self.operations.values()) + self.dropped

    def started(self, due: float, begun: float, *, idle: bool) -> None:
        """Note how far behind its time an operation began (seconds)."""
        if idle:
            self.lag.record_value(max(1, int((begun - due) * 1e6)))
        elif begun - due > LATE_SECONDS:
            self.late += 1

    def ended(self, name: str, second: int, latency: float, error: str = "") -> None:
        """Note one operation: its class of error if it failed, and its latency (seconds) from the intended start."""
        operation = self.operations.setdefault(name, Operation())
        slot = self.seconds.setdefault(second, Second())
        micros = min(LONGEST_US, max(1, int(latency * 1e6)))
        slot.longest_us = max(slot.longest_us, micros)
        if error:
            operation.errors[error] += 1
            slot.failed += 1
        else:
            operation.latency.record_value(micros)
            slot.answered += 1

    def add(self, other: Self) -> None:
        """Take in what another process has measured."""
        for name, theirs in other.operations.items():
            ours = self.operations.setdefault(name, Operation())
            ours.latency.add(theirs.latency)
            ours.errors.update(theirs.errors)
        for number, second in other.seconds.items():
            slot = self.seconds.setdefault(number, Second())
            slot.answered += second.answered
            slot.failed += second.failed
            slot.longest_us = max(slot.longest_us, second.longest_us)
        self.lag.add(other.lag)
        self.late += other.late
        self.dropped += other.dropped
        self.unconfirmed += other.unconfirmed
        self.cpu |= other.cpu
        self.longest_gap = max(self.longest_gap, other.longest_gap)

    def packed(self) -> dict[str, Any]:
        """Plain values, to be sent to another process."""
        return {
            "operations": {
                name: {"latency": each.latency.encode().decode(), "errors": dict(each.errors)}
                for name, each in self.operations.items()
            },
            "seconds": {
                str(number): [each.answered, each.failed, each.longest_us] for number, each in self.seconds.items()
            },
            "lag": self.lag.encode().decode(),
            "late": self.late,
            "dropped": self.dropped,
            "unconfirmed": self.unconfirmed,
            "cpu": self.cpu,
            "longest_gap": self.longest_gap,
        }

    @classmethod
    def unpacked(cls, plain: Mapping[str, Any]) -> Self:
        """Read what `packed` has made."""
        return cls(
            operations={
                name: Operation(_histogram(each["latency"]), Counter(each["errors"]))
                for name, each in plain["operations"].items()
            },
            seconds={int(number): Second(*each) for number, each in plain["seconds"].items()},
            lag=_histogram(plain["lag"]),
            late=plain["late"],
            dropped=plain["dropped"],
            unconfirmed=plain["unconfirmed"],
            cpu=dict(plain["cpu"]),
            longest_gap=plain["longest_gap"],
        )


def _histogram(encoded: str) -> HdrHistogram:
    whole = new_histogram()
    whole.decode_and_add(encoded.encode())
    return whole
