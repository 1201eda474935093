"""What callers see of a session: immutable values."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
Metadata: TypeAlias = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Revocation:
    """Why, when (UTC, the server's clock) and by whom a session was ended; reason and actor may be unknown."""

    reason: str | None
    at: datetime
    actor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One session as of the moment of the answer. All times are UTC by the server's clock.

    Attributes:
        session_id: the bearer secret, where the caller proved to know it; in listings the handle.
        handle: the public name: safe to show, to log and to revoke by.
        last_seen_at: last create, slide or refresh; reading alone is not recorded.
        max_expires_at: the absolute limit; no activity extends the session beyond it.
        metadata: a copy; sealed entries are present only where the secret id was given.
        evicted: handles of the sessions that had to go for this one (`create_session` only).
        durable: whether enough replicas confirmed this very write; None where nothing was written.
    """

    session_id: str = field(repr=False)
    handle: str
    user_id: str
    created_at: datetime
    expires_at: datetime
    last_seen_at: datetime
    max_expires_at: datetime
    is_active: bool
    metadata: Metadata = field(default_factory=dict, repr=False)
    revocation: Revocation | None = None
    evicted: tuple[str, ...] = ()
    durable: bool | None = None


@dataclass(frozen=True, slots=True)
class Revoked:
    """Outcome of `revoke_session`; true if the session is now revoked, false if there was none.

    Not `durable`: a failover could undo it, and then it is done again (`session_core.journal`).
    """

    handle: str
    revocation: Revocation | None
    durable: bool

    def __bool__(self) -> bool:
        """Tell whether there was a session to revoke."""
        return self.revocation is not None


@dataclass(frozen=True, slots=True)
class RevokedAll:
    """Outcome of `revoke_user_sessions`; sessions created after `cutoff` were spared."""

    handles: tuple[str, ...]
    cutoff: datetime
    durable: bool


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the event streams.

    Attributes:
        kind: created, evicted, revoked, revoked_all or rotated.
        handle: the session; empty for revoked_all.
    """

    kind: str
    at: datetime
    user_id: str
    handle: str
    reason: str | None
    actor: str | None


def moment(milliseconds: int) -> datetime:
    """Return milliseconds of the server's clock as UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
