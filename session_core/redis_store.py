"""The back end in Redis: which call goes how."""

from collections.abc import Mapping
from typing import TypeVar

from session_core import library, protocol
from session_core.errors import StoreNotReady
from session_core.ids import BUCKETS, Ref
from session_core.protocol import Call
from session_core.records import (
    Answer,
    Burial,
    Limit,
    NewSession,
    Note,
    Record,
    Rotation,
    StreamEntry,
    Update,
    UserRevocation,
)
from session_core.scripts import link_of
from session_core.settings import Settings

T = TypeVar("T")


class RedisStore:
    """Sessions in Redis; implements `session_core.store.Store`."""

    def __init__(self, settings: Settings) -> None:
        """Read the settings; nothing is sent."""
        self.link = link_of(settings)
        self.effort = self.link.effort
        self.limit = Limit(settings.session_max_concurrent, settings.session_limit_policy)
        self.burial = Burial(settings.session_tombstone_seconds * 1000, -(-settings.session_events_kept // BUCKETS))
        self._checked = False

    async def create(self, new: NewSession) -> tuple[Answer, bool]:
        """See `Store`."""
        return await self._durably(protocol.create(new, self.limit, self.burial))

    async def read(self, ref: Ref) -> Answer:
        """See `Store`."""
        return await self._ask(protocol.read(ref))

    async def refresh(self, ref: Ref, threshold_ms: int, *, once: bool = False) -> Answer:
        """See `Store`. Not confirmed by replicas: what is lost is an extension."""
        return await self._ask(protocol.refresh(ref, threshold_ms), once=once)

    async def revoke(self, ref: Ref, note: Note) -> tuple[Answer, bool]:
        """See `Store`."""
        return await self._durably(protocol.revoke(ref, note, self.burial))

    async def revoke_user(self, what: UserRevocation) -> tuple[tuple[str, ...], bool]:
        """See `Store`."""
        return await self._durably(protocol.revoke_user(what, self.burial))

    async def rotate(self, what: Rotation) -> tuple[Answer, bool]:
        """See `Store`."""
        return await self._durably(protocol.rotate(what, self.burial))

    async def update(self, what: Update) -> tuple[Answer, bool]:
        """See `Store`."""
        return await self._durably(protocol.update(what))

    async def list_user(self, user_id: str) -> list[tuple[str, Record]]:
        """See `Store`."""
        return await self._ask(protocol.list_user(user_id))

    async def count(self, user_id: str | None = None) -> int:
        """See `Store`."""
        keys = protocol.index_keys() if user_id is None else (protocol.expiry_key(user_id),)
        return await self._ask(protocol.count(keys))

    async def users(self, first_bucket: int, about: int) -> tuple[int, list[str]]:
        """See `Store`."""
        return await self._ask(protocol.users(first_bucket, about))

    async def now(self) -> int:
        """See `Store`."""
        return await self._ask(protocol.clock())

    async def events(self, positions: Mapping[str, str], block_ms: int) -> list[StreamEntry]:
        """See `Store`."""
        return await self._ask(protocol.events(positions, block_ms))

    async def count_users(self) -> int:
        """See `Store`."""
        return await self._ask(protocol.count(protocol.user_index_keys()))

    async def check(self, *, seconds: float | None = None) -> None:
        """See `Store`."""
        revision = await self.link.ask(protocol.revision(), seconds=seconds)
        buckets, schema = await self.link.ask(protocol.layout(), seconds=seconds)
        if revision < library.REVISION or not buckets:
            found = f"revision {revision}" if buckets else "no session_meta"
            message = (
                f"the server has {found}, this program needs function library {library.NAME} of revision "
                f"{library.REVISION}: run `session-core functions load` with the deploy user"
            )
            raise StoreNotReady(message)
        if (buckets, schema) != (BUCKETS, library.SCHEMA):
            message = (
                f"session_meta says {buckets} buckets, schema {schema}; this program is made for {BUCKETS} and "
                f"{library.SCHEMA}: it is another release's database"
            )
            raise StoreNotReady(message)
        self._checked = True

    async def aclose(self) -> None:
        """See `Store`."""
        await self.link.aclose()

    async def _ask(self, call: Call[T], *, once: bool = False) -> T:
        if not self._checked:
            await self.check()
        return await self.link.ask(call, once=once)

    async def _durably(self, call: Call[T]) -> tuple[T, bool]:
        if not self._checked:
            await self.check()
        return await self.link.ask_durably(call)
