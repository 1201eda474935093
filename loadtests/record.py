"""What was measured: latency from the intended start, errors by class, late starts, gaps, memory; can be merged.

Latency is kept in microseconds with three significant figures, since Locust's own figures are rounded to whole
milliseconds.
"""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self

from loadtests.histogram import Histogram

WRONG: Final = "wrong answer"
"""The class of an answer that contradicts what was written."""
LATE_SECONDS: Final = 0.01
FEWEST_SESSIONS: Final = 50
"""Below, the memory for a session is not told from that for everything else."""
SECONDS_OF_DRIFT: Final = 9
"""Shortest run that has a first and a last third."""


@dataclass(slots=True)
class Operation:
    """All starts of one kind of operation."""

    latency: Histogram = field(default_factory=Histogram)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def answered(self) -> int:
        """How many ended well."""
        return int(self.latency.whole.total_count)

    @property
    def count(self) -> int:
        """How many were started."""
        return self.answered + self.errors.total()


@dataclass(slots=True)
class Second:
    """One second of the run, by intended start: latency of all that ended, well or not."""

    answered: int = 0
    failed: int = 0
    longest_us: int = 0
    total_us: int = 0

    @property
    def mean_ms(self) -> float:
        """Milliseconds."""
        return self.total_us / 1000 / max(1, self.answered + self.failed)


class Gap(NamedTuple):
    """A time without an accepted write, seconds since the epoch."""

    begin: float
    end: float


class Sample(NamedTuple):
    """The store at one moment: bytes of data (not of clients and replicas), live sessions, processor time."""

    used: int
    sessions: int
    cpu_seconds: float = 0.0


class Fault(NamedTuple):
    """What was done to the target, when (seconds since the epoch), and to which node."""

    at: float
    what: str
    node: str


@dataclass(slots=True)
class Record:
    """Everything that one generator process has measured, or several together."""

    operations: dict[str, Operation] = field(default_factory=dict)
    seconds: dict[int, Second] = field(default_factory=dict)
    lag: Histogram = field(default_factory=Histogram)
    """Microseconds by which an idle user woke too late: the generator's own delay."""
    late: int = 0
    """Starts that had to wait because their user was still busy."""
    dropped: int = 0
    """Starts that were due when the run ended and had not begun."""
    unconfirmed: int = 0
    """Durable writes that no replica confirmed in time."""
    lost: int = 0
    """Acknowledged sessions that were not there at the end, and should have been."""
    cpu: dict[str, float] = field(default_factory=dict)
    """Share of a core that each generator process has used."""
    gaps: list[Gap] | None = None
    """Times without an accepted write by anybody; None: this process has not looked."""
    target: float = 0.0
    """Starts that the rate asks for in the time that was measured."""
    samples: dict[int, Sample] = field(default_factory=dict)
    """The store, by second; the first one before any of our sessions was there."""
    faults: list[Fault] = field(default_factory=list)

    @property
    def ended_count(self) -> int:
        """How many operations have ended, well or not."""
        return sum(each.count for each in self.operations.values())

    @property
    def intended(self) -> int:
        """How many starts came due."""
        return self.ended_count + self.dropped

    @property
    def errors(self) -> Counter[str]:
        """Failed operations by class."""
        return sum((each.errors for each in self.operations.values()), Counter())

    @property
    def longest_gap(self) -> float:
        """Longest time without an accepted write by anybody, in seconds."""
        return max((gap.end - gap.begin for gap in self.gaps or []), default=0.0)

    @property
    def store_cpu(self) -> float | None:
        """Share of a core that the store has used while we measured; None if it was not seen twice."""
        seen = [(at, each) for at, each in sorted(self.samples.items()) if at in self.seconds]
        if len(seen) < 2:  # noqa: PLR2004 - a beginning and an end
            return None
        (begin, first), (end, last) = seen[0], seen[-1]
        return (last.cpu_seconds - first.cpu_seconds) / (end - begin)

    @property
    def bytes_per_session(self) -> float | None:
        """Growth of the memory for each session that was added, at the end; None if that cannot be told."""
        costs = self._session_costs()
        return costs[-1] if costs else None

    @property
    def latency_drift(self) -> float | None:
        """Mean latency of the last third of the run to that of the first."""
        return _drift([each.mean_ms for _, each in sorted(self.seconds.items())])

    @property
    def memory_drift(self) -> float | None:
        """Bytes per session of the last third of the run to those of the first."""
        return _drift(self._session_costs())

    def _session_costs(self) -> list[float]:
        samples = [each for _, each in sorted(self.samples.items())]
        return [
            (each.used - samples[0].used) / (each.sessions - samples[0].sessions)
            for each in samples
            if each.sessions - samples[0].sessions >= FEWEST_SESSIONS
        ]

    def started(self, due: float, begun: float, *, idle: bool) -> None:
        """Note how far behind its time an operation began (seconds)."""
        if idle:
            self.lag.record(int((begun - due) * 1e6))
        elif begun - due > LATE_SECONDS:
            self.late += 1

    def ended(self, name: str, second: int, latency: float, error: str = "") -> None:
        """Note one operation: its class of error if it failed, and its latency (seconds) from the intended start."""
        operation = self.operations.get(name) or self.operations.setdefault(name, Operation())
        slot = self.seconds.get(second) or self.seconds.setdefault(second, Second())
        micros = int(latency * 1e6)
        slot.longest_us = max(slot.longest_us, micros)
        slot.total_us += micros
        if error:
            operation.errors[error] += 1
            slot.failed += 1
        else:
            operation.latency.record(micros)
            slot.answered += 1

    def failed(self, name: str, error: str) -> None:
        """Note that something failed before or after what is measured: a class of error, no latency."""
        self.operations.setdefault(name, Operation()).errors[error] += 1

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
            slot.total_us += second.total_us
        self.lag.add(other.lag)
        self.late += other.late
        self.dropped += other.dropped
        self.unconfirmed += other.unconfirmed
        self.lost += other.lost
        self.cpu |= other.cpu
        self.gaps = _common(self.gaps, other.gaps)
        self.target += other.target
        self.samples |= other.samples
        self.faults = sorted([*self.faults, *other.faults])

    def packed(self) -> dict[str, Any]:
        """Plain values, to be sent to another process."""
        return {
            "operations": {
                name: {"latency": each.latency.packed(), "errors": dict(each.errors)}
                for name, each in self.operations.items()
            },
            "seconds": {
                str(number): [each.answered, each.failed, each.longest_us, each.total_us]
                for number, each in self.seconds.items()
            },
            "lag": self.lag.packed(),
            "late": self.late,
            "dropped": self.dropped,
            "unconfirmed": self.unconfirmed,
            "lost": self.lost,
            "cpu": self.cpu,
            "gaps": self.gaps,
            "target": self.target,
            "samples": {str(number): list(each) for number, each in self.samples.items()},
            "faults": [list(each) for each in self.faults],
        }

    @classmethod
    def unpacked(cls, plain: Mapping[str, Any]) -> Self:
        """Read what `packed` has made."""
        return cls(
            operations={
                name: Operation(Histogram.unpacked(each["latency"]), Counter(each["errors"]))
                for name, each in plain["operations"].items()
            },
            seconds={int(number): Second(*each) for number, each in plain["seconds"].items()},
            lag=Histogram.unpacked(plain["lag"]),
            late=plain["late"],
            dropped=plain["dropped"],
            unconfirmed=plain["unconfirmed"],
            lost=plain["lost"],
            cpu=dict(plain["cpu"]),
            gaps=None if plain["gaps"] is None else [Gap(*each) for each in plain["gaps"]],
            target=plain["target"],
            samples={int(number): Sample(*each) for number, each in plain["samples"].items()},
            faults=[Fault(*each) for each in plain["faults"]],
        )


def _common(ours: list[Gap] | None, theirs: list[Gap] | None) -> list[Gap] | None:
    """The times that are in both: a gap is one if nobody has written."""
    if ours is None or theirs is None:
        return ours if theirs is None else theirs
    both = (Gap(max(a.begin, b.begin), min(a.end, b.end)) for a in ours for b in theirs)
    return [gap for gap in both if gap.begin < gap.end]


def _drift(values: Sequence[float]) -> float | None:
    if len(values) < SECONDS_OF_DRIFT:
        return None
    third = len(values) // 3
    first = statistics.median(values[:third])
    return statistics.median(values[-third:]) / first if first > 0 else None
