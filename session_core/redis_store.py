"""The back end in Redis: which call goes how."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Final, TypeVar

from session_core import library, protocol
from session_core.ephemeral import RedisEphemeral
from session_core.errors import StoreNotReady
from session_core.ids import BUCKETS, Ref
from session_core.pool import seen
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

POLL_SECONDS: Final = 0.2
"""How often the nodes of a cluster are asked for events while there are none."""
T = TypeVar("T")


class RedisStore:
    """Sessions in Redis; implements `session_core.store.Store`."""

    def __init__(self, settings: Settings) -> None:
        """Read the settings; nothing is sent."""
        self.link = link_of(settings)
        self.effort = self.link.effort
        self.ephemeral = RedisEphemeral(self.link)
        self.limit = Limit(settings.session_max_concurrent, settings.session_limit_policy)
        self.burial = Burial(settings.session_tombstone_seconds * 1000, -(-settings.session_events_kept // BUCKETS))
        self._stale = settings.session_read_from == "replica"
        self._checked = False
        self._checking: asyncio.Task[None] | None = None

    async def create(self, new: NewSession) -> tuple[Answer, bool]:
        """See `Store`."""
        return await self._durably(protocol.create(new, self.limit, self.burial))

    def read(self, ref: Ref, *, consistent: bool = True) -> Awaitable[Answer]:
        """See `Store`."""
        call = protocol.read(ref)
        return self._ask(call) if consistent or not self._stale else self._ask_replica_first(call)

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

    async def list_user(self, user_id: str, *, consistent: bool = True) -> list[tuple[str, Record]]:
        """See `Store`."""
        return await self._ask(protocol.list_user(user_id), stale=self._stale and not consistent)

    async def count(self, user_id: str | None = None) -> int:
        """See `Store`. Of all users: one call, in a cluster one pipeline for each node."""
        return await self._sum(protocol.index_keys() if user_id is None else [protocol.expiry_key(user_id)])

    async def count_users(self) -> int:
        """See `Store`. One call, in a cluster one pipeline for each node."""
        return await self._sum(protocol.user_index_keys())

    async def users(self, first_bucket: int, about: int) -> tuple[int, list[str]]:
        """See `Store`. One call, in a cluster up to nine pipelines: of 1, 2, 4, ... buckets, until there are enough."""
        groups = self.link.spread(protocol.user_index_keys(first_bucket))
        found: list[str] = []
        looked_at = taken = 0
        while not taken or (taken < len(groups) and len(found) < about):
            calls = [protocol.users(keys, about) for keys in groups[taken : 2 * taken + 1]]
            for keys, (buckets, users) in zip(groups[taken:], await self._all(calls, stale=self._stale), strict=False):
                looked_at += min(buckets, len(keys))
                found += users
            taken += len(calls)
        return first_bucket + looked_at, found

    async def now(self, user_id: str | None = None) -> int:
        """See `Store`."""
        return await self._ask(protocol.clock(protocol.user_key(user_id) if user_id else ""))

    async def positions(self) -> dict[str, str]:
        """See `Store`."""
        groups = self.link.spread(protocol.event_keys())
        moments = await self._all([protocol.clock(keys[0]) for keys in groups])
        return {key: f"{now}-0" for keys, now in zip(groups, moments, strict=True) for key in keys}

    async def events(self, positions: Mapping[str, str], block_ms: int) -> list[StreamEntry]:
        """See `Store`. A node of a cluster can wait for one slot only: there all are asked, every POLL_SECONDS."""
        groups = self.link.spread(positions)
        if len(groups) == 1:
            return await self._ask(protocol.events(positions, block_ms))
        calls = [protocol.events({key: positions[key] for key in keys}, 0) for keys in groups]
        for _ in range(max(1, round(block_ms / 1000 / POLL_SECONDS))):
            found = [entry for entries in await self._all(calls) for entry in entries]
            if found:
                return found
            await asyncio.sleep(POLL_SECONDS)
        return []

    async def check(self, *, seconds: float | None = None) -> None:
        """See `Store`. In a cluster every primary is asked."""
        buckets, schema = await self.link.ask(protocol.layout(), seconds=seconds)
        revisions = [self.link.ask(protocol.revision(server), seconds=seconds) for server in self.link.servers()]
        revision = min(await asyncio.gather(*revisions))
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

    def _ask(self, call: Call[T], *, once: bool = False, stale: bool = False) -> Awaitable[T]:
        if self._checked:
            return self.link.ask(call, once=once, stale=stale)
        return self._check_and_ask(call, once=once, stale=stale)

    async def _prepared(self) -> None:
        """Check once, however many first calls there are."""
        if self._checked:
            return
        checking = self._checking
        if checking is None or checking.done() or checking.get_loop() is not asyncio.get_running_loop():
            checking = self._checking = asyncio.create_task(self.check())
            checking.add_done_callback(seen)
        await asyncio.shield(checking)  # who gives up does not take the others along

    async def _check_and_ask(self, call: Call[T], *, once: bool, stale: bool) -> T:
        await self._prepared()
        return await self.link.ask(call, once=once, stale=stale)

    async def _ask_replica_first(self, call: Call[Answer]) -> Answer:
        """What a replica does not know, the primary is asked for: it may be too young."""
        answer = await self._ask(call, stale=True)
        return await self._ask(call) if answer.code == "missing" else answer

    async def _all(self, calls: Sequence[Call[T]], *, stale: bool = False) -> list[T]:
        """Ask all at once: the calls to one server share its lane."""
        await self._prepared()
        if len(calls) == 1:
            return [await self.link.ask(calls[0], stale=stale)]
        return await asyncio.gather(*(self.link.ask(call, stale=stale) for call in calls))

    async def _sum(self, keys: Sequence[str]) -> int:
        return sum(await self._all([protocol.count(some) for some in self.link.spread(keys)], stale=self._stale))

    async def _durably(self, call: Call[T]) -> tuple[T, bool]:
        await self._prepared()
        return await self.link.ask_durably(call)
