"""How many sessions of one user certainly lived at the same moment."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from conformance.history import History, Op


@dataclass(frozen=True, slots=True)
class Lifetime:
    """From when to when a session certainly lived; empty if `end` is not later than `start`."""

    start: float
    end: float


def overlap(lifetimes: Iterable[Lifetime]) -> int:
    """Return the most lifetimes that have a moment in common; touching ends do not count (sweep-line)."""
    steps = [
        (moment, step)
        for each in lifetimes
        if each.end > each.start
        for moment, step in ((each.start, 1), (each.end, -1))
    ]
    most = now = 0
    for _, step in sorted(steps):
        now += step
        most = max(most, now)
    return most


def lifetimes(history: History, *, faults: bool) -> Mapping[str, list[Lifetime]]:
    """The certain lifetime of each session, by user.

    With `faults` only of those whose create was durable: a primary that is cut off shows others that exist there alone.

    From the answer to its create, until the last read that shows it alive began, or until the call that ended it (a
    revocation, the create that evicted it) began, if that was earlier. So a session that was lost, or that nobody saw
    again, counts for nothing, and there is no false alarm.
    """
    seen: dict[str, float] = defaultdict(float)
    ended: dict[str, float] = {}

    def end(handle: str, when: float) -> None:
        ended[handle] = min(when, ended.get(handle, when))

    for op in history.ops:
        if op.call in {"revoke", "rotate"}:
            end(op.asked["session"], op.start)
        if op.outcome != "ok":
            continue
        if op.call == "list":
            for handle in op.told["sessions"]:
                seen[handle] = max(seen[handle], op.start)
        elif op.call in {"get", "inspect", "refresh"} and op.told["alive"]:
            seen[op.told["session"]] = max(seen[op.told["session"]], op.start)
        for handle in (*op.told.get("evicted", ()), *(op.told["sessions"] if op.call == "revoke_all" else ())):
            end(handle, op.start)
    found: dict[str, list[Lifetime]] = defaultdict(list)
    for op in _counted(history, faults=faults):
        handle = op.told["session"]
        found[op.asked["user"]].append(Lifetime(op.end, min(seen[handle], ended.get(handle, seen[handle]))))
    return found


def _counted(history: History, *, faults: bool) -> list[Op]:
    return [op for op in history.calls("create") if op.told["durable"] or not faults]


def most_at_once(history: History, *, faults: bool = False) -> int:
    """Return the most sessions that any one user certainly had at the same moment."""
    return max((overlap(mine) for mine in lifetimes(history, faults=faults).values()), default=0)


def longest_list(history: History) -> int:
    """Return the most sessions that any one listing shows."""
    return max((len(op.told["sessions"]) for op in history.calls("list")), default=0)
