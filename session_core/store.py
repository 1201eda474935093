"""What `SessionManager` needs of a back end. Redis and memory are the two; one test suite holds both to it.

Times are milliseconds of the back end's clock. A write returns, beside its answer, whether it is durable.
"""

from collections.abc import Awaitable, Mapping
from typing import Protocol

from session_core.ephemeral import Ephemeral
from session_core.ids import Ref
from session_core.records import Answer, Effort, NewSession, Note, Record, Rotation, StreamEntry, Update, UserRevocation
from session_core.settings import Settings


class Store(Protocol):
    """A back end. Every method may raise `StoreError`; each is atomic."""

    @property
    def effort(self) -> Effort:
        """What was sent so far."""

    @property
    def ephemeral(self) -> Ephemeral:
        """What all processes share beside sessions."""

    async def create(self, new: NewSession) -> tuple[Answer, bool]:
        """Store a session and make room for it: codes ok, limit. A repeat answers the same."""

    def read(self, ref: Ref, *, consistent: bool = True) -> Awaitable[Answer]:
        """Read a session without touching it: codes ok, revoked, missing. Not `consistent`: may be a moment behind."""

    async def refresh(self, ref: Ref, threshold_ms: int, *, once: bool = False) -> Answer:
        """Extend a session if less than the threshold is left: codes ok, revoked, missing. `once`: do not insist."""

    async def revoke(self, ref: Ref, note: Note) -> tuple[Answer, bool]:
        """Put a tombstone in the place of a session: codes ok, missing."""

    async def revoke_user(self, what: UserRevocation) -> tuple[tuple[str, ...], bool]:
        """Revoke a user's sessions up to a moment; returns their digests."""

    async def rotate(self, what: Rotation) -> tuple[Answer, bool]:
        """Give a session a new name: codes ok, missing, revoked, rotated, stale."""

    async def update(self, what: Update) -> tuple[Answer, bool]:
        """Replace the metadata if the version is the expected one: codes ok, missing, revoked, stale."""

    async def list_user(self, user_id: str, *, consistent: bool = True) -> list[tuple[str, Record]]:
        """List a user's live sessions by creation: digest and record without ttl, version, evicted and the seal."""

    async def count(self, user_id: str | None = None) -> int:
        """Count live sessions, of one user or of all."""

    async def users(self, first_bucket: int, about: int) -> tuple[int, list[str]]:
        """List the users with live sessions of whole buckets; returns the next bucket, and the users."""

    async def now(self, user_id: str | None = None) -> int:
        """Return the time, by the clock that stamps the sessions of this user."""

    async def positions(self) -> dict[str, str]:
        """Return where the event streams are now, for `events`."""

    async def events(self, positions: Mapping[str, str], block_ms: int) -> list[StreamEntry]:
        """Return the events after these positions (key of a stream: entry id), waiting for the first that long."""

    async def count_users(self) -> int:
        """Count the users with live sessions."""

    async def check(self, *, seconds: float | None = None) -> None:
        """Make sure that everything is in place to serve; `seconds` shortens the deadline.

        Raises:
            StoreNotReady: the function library or the layout of the data is not what we need.
        """

    async def aclose(self) -> None:
        """Let go of all connections."""


def store_of(settings: Settings) -> Store:
    """Return the back end that the settings choose; nothing is sent."""
    # Each back end is imported only where it is used: memory needs no Redis client, a service no second store.
    if settings.session_backend == "memory":
        from session_core.memory import MemoryStore

        return MemoryStore(settings)
    from session_core.redis_store import RedisStore

    return RedisStore(settings)
