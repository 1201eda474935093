"""What a back end is asked and what it answers: plain values, shared by the wire protocol and the memory back end.

Times are milliseconds of the back end's clock.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from session_core.ids import Ref, bucket_of
from session_core.session import Event, Revocation, moment

Code: TypeAlias = Literal["ok", "limit", "missing", "revoked", "rotated", "stale"]


class Record(NamedTuple):
    """A session, a tombstone (`revoked` is set), or a rotated id in its grace (`successor` is set)."""

    user: str
    created: int
    expires: int
    limit: int
    ttl: int
    seen: int
    version: str
    meta: bytes = b""
    sealed: bytes = b""
    wrap: bytes = b""
    successor: str = ""
    revoked: int | None = None
    reason: str = ""
    actor: str = ""
    evicted: tuple[str, ...] = ()

    def revocation(self) -> Revocation | None:
        """Return why it was ended, if it was."""
        if self.revoked is None:
            return None
        return Revocation(self.reason or None, moment(self.revoked), self.actor or None)

    def extended(self, now: int, threshold_ms: float) -> int:
        """Return when it ends if it is asked to be extended now: the rule of functions/refresh.lua.

        It is extended where less than the threshold is left (negative: in any case), never beyond its limit. A
        threshold above the TTL means once in a twentieth of it.
        """
        target = min(now + self.ttl, self.limit)
        if threshold_ms >= self.ttl:
            threshold_ms = self.ttl - self.ttl / 20
        due = threshold_ms < 0 or self.expires - now < threshold_ms
        return max(target, self.expires) if due else self.expires


class Answer(NamedTuple):
    """What happened, the server's time, and the record if there is one; `digest` if the id has a newer name."""

    code: Code
    now: int
    record: Record | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class NewSession:
    """Arguments of `create`; `ref` is made by the caller so that a repeat is recognised."""

    ref: Ref
    user: str
    ttl_ms: int
    lifetime_ms: int
    meta: bytes
    sealed: bytes
    wrap: bytes
    version: str


@dataclass(frozen=True, slots=True)
class ImportedSession(NewSession):
    """Arguments of an import: created and last seen by the former system's clock, and how long the session lives on."""

    created: int
    seen: int
    left_ms: int


class StreamEntry(NamedTuple):
    """One entry of an event stream: its key, its id (``<ms>-<n>``), and kind, user, digest, reason, actor."""

    key: str
    position: str
    fields: Mapping[str, str]

    def event(self) -> Event:
        """Return it as callers see it."""
        digest, user = self.fields["digest"], self.fields["user"]
        return Event(
            kind=self.fields["kind"],
            at=moment(int(self.position.partition("-")[0])),
            user_id=user,
            handle=Ref(bucket_of(user), digest).handle if digest else "",
            reason=self.fields["reason"] or None,
            actor=self.fields["actor"] or None,
        )


@dataclass(frozen=True, slots=True)
class Limit:
    """How many live sessions a user may have (0: any number) and who goes: oldest, idle or reject."""

    count: int
    policy: str


@dataclass(frozen=True, slots=True)
class Burial:
    """How long tombstones stay and how many events a bucket keeps."""

    keep_ms: int
    events: int


@dataclass(frozen=True, slots=True)
class Note:
    """Why and by whom a session is revoked; empty where unknown."""

    reason: str = ""
    actor: str = ""


@dataclass(frozen=True, slots=True)
class UserRevocation:
    """Arguments of `revoke_user`: sessions created after `cutoff` and the one with the digest `spared` live on."""

    user: str
    cutoff: int
    spared: str
    note: Note


@dataclass(frozen=True, slots=True)
class Rotation:
    """Arguments of `rotate`; versions are names that the client makes, `expected` is the one that was read."""

    old: Ref
    new: Ref
    expected: str
    version: str
    wrap: bytes
    grace_ms: int


@dataclass(frozen=True, slots=True)
class Update:
    """Arguments of `update`; an empty `wrap` leaves the stored one in place."""

    ref: Ref
    expected: str
    version: str
    meta: bytes
    sealed: bytes
    wrap: bytes


@dataclass(slots=True)
class Effort:
    """What a back end has sent, for the metrics: calls, repeats among them; and calls refused without being sent.

    Under way are calls that wait for their reply, or in a lane for a place (`session_core.lane.PLACES`).
    Each call, with its repeats, runs inside of what `around` returns for the name of its command, if there is one.
    """

    calls: int = 0
    repeats: int = 0
    refused: int = 0
    under_way: int = 0
    around: Callable[[str], AbstractContextManager[object]] | None = None
