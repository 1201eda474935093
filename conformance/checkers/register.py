"""Each session as a register with an expiry, checked for linearizability (Wing & Gong's search, with Lowe's memory).

Sound only where no failover happens: what is lost in one is judged by `checkers.sets`.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from conformance.history import History, Op

State = TypeVar("State", bound=Hashable)
BUDGET = 200_000
"""States that are looked at for one session before the answer is `unknown`."""
SLACK = 0.01
"""Seconds: the server's clock has milliseconds, and both clocks may be adjusted while we look."""


@dataclass(frozen=True, slots=True)
class Action:
    """A call as the search sees it; `end` is infinite if it may happen later, or never."""

    start: float
    end: float
    what: Any


def linearizable(
    actions: Iterable[Action],
    initial: State,
    step: Callable[[State, Action], Iterator[State]],
    budget: int = BUDGET,
) -> bool | None:
    """Whether some order of the actions, each at one moment between its start and end, explains their answers.

    None: not found out within the budget.
    """
    ordered = sorted(actions, key=lambda action: action.start)
    required = sum(1 << number for number, action in enumerate(ordered) if action.end != math.inf)
    stack, looked = [(0, initial)], set()
    while stack:
        done, state = stack.pop()
        if done & required == required:
            return True
        if (done, state) in looked:
            continue
        looked.add((done, state))
        if len(looked) > budget:
            return None
        left = [(number, action) for number, action in enumerate(ordered) if not done >> number & 1]
        bound = min(action.end for _, action in left)
        for number, action in left:
            if action.start > bound:
                break
            stack.extend((done | 1 << number, following) for following in step(state, action))
    return False


@dataclass(frozen=True, slots=True)
class Seen:
    """What a call says of one session. `alive` and `gone` are answers, `ended` is an effect.

    `expires` is the server's time, `created` too.
    """

    what: Literal["created", "alive", "gone", "ended"]
    expires: float = math.nan


def session_step(create: Op) -> Callable[[float | None, Action], Iterator[float | None]]:
    """The register of the session that `create` made: its expiry by the server's clock, or None when it is not there.

    The server's clock is known from the create: what it calls `created` was between the call's start and its end.
    """
    created = float(create.told["created"])
    earliest, latest = create.start - created - SLACK, create.end - created + SLACK

    def step(expires: float | None, action: Action) -> Iterator[float | None]:
        seen: Seen = action.what
        if seen.what == "created":
            yield seen.expires
        elif seen.what == "ended":
            yield None
        elif seen.what == "gone":
            if expires is None or action.end >= expires + earliest:
                yield None
        elif expires is not None and action.start <= expires + latest and seen.expires >= expires - SLACK:
            yield seen.expires

    return step


def sessions(history: History) -> Mapping[str, tuple[Op, list[Action]]]:
    """The create of each session, and everything that its register is about."""
    creates = {op.told["session"]: op for op in history.calls("create")}
    found: dict[str, list[Action]] = defaultdict(list)
    for op in history.ops:
        for handle, seen in _about(op):
            found[handle].append(Action(op.start, op.end, seen))
        if op.call == "revoke_all" and op.outcome == "info":
            for handle, create in creates.items():
                if create.asked["user"] == op.asked["user"]:
                    found[handle].append(Action(op.start, op.end, Seen("ended")))
    return {handle: (create, found[handle]) for handle, create in creates.items()}


def not_linearizable(history: History) -> tuple[list[str], list[str]]:
    """Handles of sessions whose answers no order explains, and of those where the search gave up."""
    wrong, unknown = [], []
    for handle, (create, actions) in sessions(history).items():
        answer = linearizable(actions, None, session_step(create))
        if answer is None:
            unknown.append(handle)
        elif not answer:
            wrong.append(handle)
    return wrong, unknown


def _about(op: Op) -> Sequence[tuple[str, Seen]]:
    ended = Seen("ended")
    if op.call == "revoke":
        found = op.outcome == "info" or (op.outcome == "ok" and op.told["found"])
        return [(op.asked["session"], ended if found else Seen("gone"))] if op.outcome != "fail" else []
    if op.outcome != "ok":
        return []
    if op.call == "revoke_all":
        return [(handle, ended) for handle in op.told["sessions"]]
    if op.call == "create":
        return [
            (op.told["session"], Seen("created", op.told["expires"])),
            *((each, ended) for each in op.told["evicted"]),
        ]
    if op.call in {"get", "inspect", "refresh"}:
        return [(op.asked["session"], Seen("alive", op.told["expires"]) if op.told["alive"] else Seen("gone"))]
    return []
