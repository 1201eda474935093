"""What a back end is asked and what it answers: plain values, shared by the wire protocol and the memory back end.

Times are milliseconds of the back end's clock.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from session_core.ids import Ref

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
