"""Sessions as they are often built: one command after the other, an index in a list. Only here to fail.

As a plug-in of pytest (`-p tests.session_core.naive`) it takes the place of the library's store.
"""

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
from redis.asyncio import Redis

from session_core import redis_store
from session_core.ids import BUCKETS, Ref
from session_core.memory import MemoryStore
from session_core.records import Answer, NewSession, Note, Record, Rotation, Update, UserRevocation
from session_core.settings import Settings


class NaiveStore(MemoryStore):
    """The same interface; every method reads, decides in Python, and writes."""

    def __init__(self, settings: Settings, client: Redis) -> None:
        super().__init__(settings)
        self._redis = client

    async def create(self, new: NewSession) -> tuple[Answer, bool]:
        now = await self.now()
        mine = await self._mine(new.user)
        evicted = []
        if self._limit.count:
            for ref, _ in mine[: max(0, len(mine) + 1 - self._limit.count)]:
                await self.revoke(ref, Note("session limit"))
                evicted.append(ref.digest)
        record = Record(
            new.user, now, now + new.ttl_ms, now + new.lifetime_ms, new.ttl_ms, now, new.version, new.meta,
            evicted=tuple(evicted),
        )  # fmt: skip
        await self._save(new.ref, record)
        await self._redis.rpush(f"naive:user:{new.user}", new.ref.handle)
        return Answer("ok", now, record), False

    async def read(self, ref: Ref, *, consistent: bool = True) -> Answer:
        now, record = await self.now(), await self._find(ref)
        return Answer("ok", now, record) if record else Answer("missing", now)

    async def refresh(self, ref: Ref, threshold_ms: int, *, once: bool = False) -> Answer:
        now, record = await self.now(), await self._find(ref)
        if record is None:
            return Answer("missing", now)
        record = record._replace(expires=now + record.ttl, seen=now)
        await self._save(ref, record)
        return Answer("ok", now, record, ref.digest)

    async def revoke(self, ref: Ref, note: Note) -> tuple[Answer, bool]:
        now, record = await self.now(), await self._find(ref)
        if record is None:
            return Answer("missing", now), False
        await self._redis.delete(f"naive:{ref.handle}")
        await self._redis.lrem(f"naive:user:{record.user}", 0, ref.handle)
        return Answer("ok", now, record._replace(revoked=now, reason=note.reason)), False

    async def revoke_user(self, what: UserRevocation) -> tuple[tuple[str, ...], bool]:
        gone = [ref for ref, _ in await self._mine(what.user) if ref.digest != what.spared]
        for ref in gone:
            await self.revoke(ref, what.note)
        return tuple(ref.digest for ref in gone), False

    async def rotate(self, what: Rotation) -> tuple[Answer, bool]:
        return Answer("missing", await self.now()), False

    async def update(self, what: Update) -> tuple[Answer, bool]:
        now, record = await self.now(), await self._find(what.ref)
        if record is None:
            return Answer("missing", now), False
        record = record._replace(meta=what.meta)
        await self._save(what.ref, record)
        return Answer("ok", now, record), False

    async def list_user(self, user_id: str, *, consistent: bool = True) -> list[tuple[str, Record]]:
        return [(ref.digest, record) for ref, record in await self._mine(user_id)]

    async def count(self, user_id: str | None = None) -> int:
        if user_id is not None:
            return len(await self._mine(user_id))
        return len([key async for key in self._redis.scan_iter("naive:h*")])

    async def users(self, first_bucket: int, about: int) -> tuple[int, list[str]]:
        return BUCKETS, []

    async def now(self, user_id: str | None = None) -> int:
        return time.time_ns() // 1_000_000

    async def _mine(self, user_id: str) -> list[tuple[Ref, Record]]:
        found = []
        handles: list[Any] = await self._redis.lrange(f"naive:user:{user_id}", 0, -1)
        for handle in handles:
            bucket, _, digest = handle.decode()[1:].partition("-")
            ref = Ref(int(bucket), digest)
            record = await self._find(ref)
            if record is not None:
                found.append((ref, record))
        return found

    async def _find(self, ref: Ref) -> Record | None:
        stored: Mapping[Any, Any] = await self._redis.hgetall(f"naive:{ref.handle}")
        if not stored:
            return None
        fields = json.loads(stored[b"record"])
        return Record(**{**fields, "meta": fields["meta"].encode(), "evicted": tuple(fields["evicted"])})

    async def _save(self, ref: Ref, record: Record) -> None:
        names = ("user", "created", "expires", "limit", "ttl", "seen", "version", "evicted")
        fields = {name: getattr(record, name) for name in names} | {"meta": record.meta.decode()}
        await self._redis.hset(f"naive:{ref.handle}", "record", json.dumps(fields))
        await self._redis.pexpireat(f"naive:{ref.handle}", record.expires)


def pytest_configure(config: pytest.Config) -> None:
    def store(settings: Settings) -> NaiveStore:
        return NaiveStore(settings, Redis.from_url(settings.redis_url.get_secret_value()))

    redis_store.RedisStore = store  # type: ignore[assignment, misc]
