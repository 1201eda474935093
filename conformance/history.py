"""What happened in one experiment, line by line; every finding is computed from this and nothing else.

Kinds of events: `invoke` and, with the same number, `ok` (done), `fail` (certainly not done) or `info` (nobody knows)
for each call of a client, as in Jepsen; `fault` for what was done to the target; `probe` for what was seen of it. Times
are seconds of this process's clock since the experiment began. No event holds a session id or a password.
"""

import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, get_args

Outcome = Literal["ok", "fail", "info"]
OUTCOMES: tuple[str, ...] = get_args(Outcome)
Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Op:
    """One call of a client, with what it was asked and what it answered.

    `end` is infinite where the outcome is `info`: it may take effect at any later time.
    """

    client: str
    call: str
    start: float
    end: float
    outcome: Outcome
    asked: Fields
    told: Fields


@dataclass(frozen=True, slots=True)
class Moment:
    """A fault or a probe: when, its name, and what was done or seen."""

    at: float
    name: str
    fields: Fields


@dataclass(frozen=True, slots=True)
class History:
    """All events of one experiment, in the order in which they happened."""

    ops: tuple[Op, ...] = ()
    faults: tuple[Moment, ...] = ()
    probes: tuple[Moment, ...] = ()

    def calls(self, call: str, outcome: Outcome | None = "ok") -> tuple[Op, ...]:
        """The calls of this name with this outcome; with any, if it is None."""
        return tuple(op for op in self.ops if op.call == call and outcome in (None, op.outcome))

    def seen(self, name: str) -> tuple[Fields, ...]:
        """What the probes of this name saw."""
        return tuple(probe.fields for probe in self.probes if probe.name == name)

    def fault(self, name: str) -> Moment | None:
        """The first fault event of this name: `begin`, `bit`, `heal`, `settled`."""
        return next((moment for moment in self.faults if moment.name == name), None)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file that a `Recorder` has written.

        Raises:
            ValueError: a line is not an event.
            OSError: it cannot be read.
        """
        with path.open(encoding="utf-8") as lines:
            return cls.of([json.loads(line) for line in lines])

    @classmethod
    def of(cls, events: list[dict[str, Any]]) -> Self:
        """Put events together; a call without an answer is `info`."""
        asked = {event["op"]: event for event in events if event["kind"] == "invoke"}
        told = {event["op"]: event for event in events if event["kind"] in OUTCOMES}
        ops = tuple(_op(event, told.get(number)) for number, event in asked.items())
        faults, probes = (
            tuple(Moment(event["at"], event["name"], event) for event in events if event["kind"] == kind)
            for kind in ("fault", "probe")
        )
        return cls(ops, faults, probes)


@dataclass
class Recorder:
    """Collects events and writes them to a file of one JSON object a line, if it has one."""

    path: Path | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        """Seconds since the experiment began."""
        return round(time.monotonic() - self.began, 6)

    def invoke(self, client: str, call: str, **asked: object) -> int:
        """Record that a call begins; its number."""
        number = len(self.events)
        self._add(kind="invoke", op=number, client=client, call=call, **asked)
        return number

    def complete(self, number: int, outcome: Outcome, **told: object) -> None:
        """Record how that call ended."""
        self._add(kind=outcome, op=number, **told)

    def fault(self, name: str, **fields: object) -> None:
        """Record what was done to the target, or what came of it."""
        self._add(kind="fault", name=name, **fields)

    def probe(self, name: str, **fields: object) -> None:
        """Record what was seen."""
        self._add(kind="probe", name=name, **fields)

    def unanswered(self) -> bool:
        """Whether a call has failed, or its outcome is not known."""
        return any(event["kind"] in {"fail", "info"} for event in self.events)

    def history(self) -> History:
        """What has been recorded until now."""
        return History.of(self.events)

    def save(self) -> None:
        """Write everything to the file."""
        if self.path:
            self.path.write_text("".join(self._lines()), encoding="utf-8")

    def _lines(self) -> Iterator[str]:
        return (json.dumps(event, separators=(",", ":")) + "\n" for event in self.events)

    def _add(self, **event: object) -> None:
        self.events.append({"at": self.now(), **event})


def _op(asked: dict[str, Any], told: dict[str, Any] | None) -> Op:
    outcome: Outcome = told["kind"] if told else "info"
    end = told["at"] if told and outcome != "info" else math.inf
    return Op(asked["client"], asked["call"], asked["at"], end, outcome, asked, told or {})
