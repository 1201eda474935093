"""Promises about sets of sessions: what was confirmed is there at the end, what was ended does not come back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from conformance.history import History, Op

AUDIT = "inspect"
"""The call by which every session is looked at when everything has healed, by the client AUDITOR."""
AUDITOR = "auditor"
HASTY = "hasty"
"""A client that asks no replica (WAIT off)."""


@dataclass(frozen=True)
class Survival:
    """What became of the creates that were answered.

    `durable` ones said that a replica confirmed them, `unconfirmed` ones did not. A create counts as lost if nothing is
    left of its session, not even a tombstone, before it could have expired, or if it has ended and
    nobody can have ended it. `unread` ones were never looked at.
    """

    durable: int
    unconfirmed: int
    lost: tuple[str, ...]
    lost_unconfirmed: tuple[str, ...]
    unread: int


def survival(history: History, client: str = "") -> Survival:
    """Compare the creates, those of one client if it is named, with what the auditor found (acked-create set check)."""
    creates = {op.told["session"]: op for op in history.calls("create") if client in {"", op.client}}
    audit, may_have_ended = _audit(history), _may_have_ended(history)
    gone = [
        handle
        for handle, op in creates.items()
        if handle in audit
        and audit[handle].end < _earliest_expiry(op)
        and (audit[handle].told["session"] is None or not (audit[handle].told["alive"] or may_have_ended(op)))
    ]
    return Survival(
        durable=sum(bool(op.told["durable"]) for op in creates.values()),
        unconfirmed=sum(not op.told["durable"] for op in creates.values()),
        lost=tuple(handle for handle in gone if creates[handle].told["durable"]),
        lost_unconfirmed=tuple(handle for handle in gone if not creates[handle].told["durable"]),
        unread=len(creates.keys() - audit.keys()),
    )


@dataclass(frozen=True)
class Returns:
    """Sessions that were seen alive after their end was answered.

    `judged` ends were answered, and their session was read afterwards. `back` ones were durable (or no fault was there
    that could undo them), `back_unconfirmed` ones were not.
    """

    judged: int
    back: tuple[str, ...]
    back_unconfirmed: tuple[str, ...]


def returns(history: History, *, faults: bool) -> Returns:
    """Look for reads that began after a revocation was answered and show the session alive (terminal revoke).

    Args:
        faults: whether a failover may have undone what no replica had confirmed.
    """
    ends: dict[str, Op] = {}
    for op in sorted(history.calls("revoke"), key=lambda op: op.end):
        if op.told["found"]:
            ends.setdefault(op.asked["session"], op)
    for op in history.calls("revoke_all"):
        for handle in op.told["sessions"]:
            ends.setdefault(handle, op)
    judged, alive = set(), set()
    for read, handle, is_alive in _sightings(history):
        end = ends.get(handle)
        if end and read.start > end.end:
            judged.add(handle)
            if is_alive:
                alive.add(handle)
    sure = {handle for handle in alive if ends[handle].told["durable"] or not faults}
    return Returns(len(judged), tuple(sorted(sure)), tuple(sorted(alive - sure)))


def _sightings(history: History) -> list[tuple[Op, str, bool]]:
    """Every read of every session: the call, the handle, whether it was alive."""
    seen = [
        (op, op.asked["session"], bool(op.told["alive"]))
        for call in ("get", "inspect", "refresh")
        for op in history.calls(call)
    ]
    return seen + [(op, handle, True) for op in history.calls("list") for handle in op.told["sessions"]]


def _audit(history: History) -> Mapping[str, Op]:
    return {op.asked["session"]: op for op in history.calls(AUDIT) if op.client == AUDITOR}


def _may_have_ended(history: History) -> Callable[[Op], bool]:
    """Whether a call may have ended the session of a create: one that named it, or one without an answer."""
    named = {op.asked["session"] for op in history.calls("revoke", None)}
    named |= {handle for op in history.calls("create") for handle in op.told["evicted"]}
    users = {op.asked["user"] for op in history.calls("revoke_all", None)}
    users |= {op.asked["user"] for op in history.calls("create", "info")}
    return lambda create: create.told["session"] in named or create.asked["user"] in users


def _earliest_expiry(create: Op) -> float:
    return create.start + float(create.told["expires"]) - float(create.told["created"])
