"""The back end in this process's memory: the same contract, for trials and tests.

Each method runs without awaiting anything in its middle, so it is atomic in one event loop. Nothing is ever durable.
"""

import asyncio
import heapq
import time
from collections import defaultdict
from collections.abc import Mapping

from session_core.ephemeral import MemoryEphemeral
from session_core.ids import BUCKETS, Ref, bucket_of
from session_core.protocol import event_keys
from session_core.records import (
    Answer,
    Effort,
    Limit,
    NewSession,
    Note,
    Record,
    Rotation,
    StreamEntry,
    Update,
    UserRevocation,
)
from session_core.settings import Settings


class MemoryStore:
    """Sessions in a dictionary; implements `session_core.store.Store`."""

    def __init__(self, settings: Settings) -> None:
        """Start empty."""
        self._limit = Limit(settings.session_max_concurrent, settings.session_limit_policy)
        self._keep_ms = settings.session_tombstone_seconds * 1000
        self._records: dict[Ref, Record] = {}
        self._gone_at: dict[Ref, int] = {}
        self._heirs: dict[Ref, str] = {}  # of ids that were rotated away without a grace
        self._queue: list[tuple[int, Ref]] = []
        self._by_user: defaultdict[str, dict[Ref, None]] = defaultdict(dict)  # in order of creation
        self._events: list[StreamEntry] = []
        self._events_kept = settings.session_events_kept
        self._happened = asyncio.Event()
        self.effort = Effort()
        self.ephemeral = MemoryEphemeral()

    async def create(self, new: NewSession) -> tuple[Answer, bool]:
        """See `Store`."""
        now = await self.now()
        self._sweep(now)
        known = self._load(new.ref, now)
        if known is not None:
            return Answer("ok", now, known), False
        mine = sorted(self._living(new.user, now), key=self._rank)
        excess = len(mine) + 1 - self._limit.count if self._limit.count else 0
        if excess > 0 and self._limit.policy == "reject":
            return Answer("limit", now), False
        note = Note("session limit", new.ref.handle)
        evicted = mine[: max(excess, 0)]
        for ref in evicted:
            self._bury(ref, now, note, "evicted")
        record = Record(
            user=new.user,
            created=now,
            expires=now + new.ttl_ms,
            limit=now + new.lifetime_ms,
            ttl=new.ttl_ms,
            seen=now,
            version=new.version,
            meta=new.meta,
            sealed=new.sealed,
            wrap=new.wrap,
            evicted=tuple(ref.digest for ref in evicted[:100]),
        )
        self._store(new.ref, record, record.expires)
        self._by_user[new.user][new.ref] = None
        self._announce("created", new.user, new.ref.digest, now, Note())
        return Answer("ok", now, record), False

    async def read(self, ref: Ref, *, consistent: bool = True) -> Answer:  # noqa: ARG002 - of the contract
        """See `Store`."""
        now = await self.now()
        record = self._load(ref, now)
        if record is None:
            return Answer("missing", now)
        return Answer("ok" if record.revoked is None else "revoked", now, record)

    async def refresh(self, ref: Ref, threshold_ms: int, *, once: bool = False) -> Answer:  # noqa: ARG002 - of the contract
        """See `Store`."""
        now = await self.now()
        ref, record = self._current(ref, now)
        if record is None:
            return Answer("missing", now)
        if record.revoked is not None:
            return Answer("revoked", now, record, ref.digest)
        target = record.extended(now, threshold_ms)
        if target > record.expires:
            record = record._replace(expires=target, seen=now, evicted=())
            self._store(ref, record, target)
        return Answer("ok", now, record, ref.digest)

    async def revoke(self, ref: Ref, note: Note) -> tuple[Answer, bool]:
        """See `Store`."""
        now = await self.now()
        first = record = self._load(ref, now)
        here = ref
        while record is not None and (heir := record.successor or self._heirs.get(here)):
            if record.revoked is None:
                self._store(here, _tombstone(record, now, note), now + self._keep_ms)
            here = Ref(here.bucket, heir)
            record = self._load(here, now)
        if record is not None and record.revoked is None:
            self._bury(here, now, note, "revoked")
        if first is None:
            return Answer("missing", now), False
        return Answer("ok", now, self._load(ref, now), here.digest), False

    async def revoke_user(self, what: UserRevocation) -> tuple[tuple[str, ...], bool]:
        """See `Store`."""
        now = await self.now()
        spared, _ = self._current(Ref(bucket_of(what.user), what.spared), now)
        gone = [
            ref for ref in self._living(what.user, now) if ref != spared and self._records[ref].created <= what.cutoff
        ]
        for ref in gone:
            self._bury(ref, now, what.note, "revoked")
        self._announce("revoked_all", what.user, "", now, what.note)
        return tuple(ref.digest for ref in gone), False

    async def rotate(self, what: Rotation) -> tuple[Answer, bool]:
        """See `Store`."""
        now = await self.now()
        done = self._load(what.new, now)
        if done is not None:
            return Answer("ok" if done.revoked is None else "revoked", now, done), False
        record = self._load(what.old, now)
        if record is None:
            return Answer("missing", now), False
        if record.revoked is not None:
            return Answer("revoked", now, record), False
        if record.successor:
            return Answer("rotated", now), False
        if record.version != what.expected:
            return Answer("stale", now), False
        renamed = record._replace(version=what.version, wrap=what.wrap or record.wrap)
        self._store(what.new, renamed, record.expires)
        self._by_user[record.user] = {what.new if ref == what.old else ref: None for ref in self._by_user[record.user]}
        if what.grace_ms:
            until = min(now + what.grace_ms, record.expires)
            alias = record._replace(
                expires=until, ttl=0, version="", meta=b"", sealed=b"", successor=what.new.digest, evicted=()
            )
            self._store(what.old, alias, until)
        else:
            self._store(what.old, _tombstone(record, now, Note("rotated")), now + self._keep_ms)
            self._heirs[what.old] = what.new.digest
        self._announce("rotated", record.user, what.new.digest, now, Note("", what.old.handle))
        return Answer("ok", now, renamed), False

    async def update(self, what: Update) -> tuple[Answer, bool]:
        """See `Store`."""
        now = await self.now()
        ref, record = self._current(what.ref, now)
        if record is None:
            return Answer("missing", now), False
        if record.revoked is not None:
            return Answer("revoked", now, record), False
        if record.version not in (what.version, what.expected):
            return Answer("stale", now), False
        wrap = (what.wrap or record.wrap) if what.sealed else b""
        record = record._replace(version=what.version, meta=what.meta, sealed=what.sealed, wrap=wrap)
        self._records[ref] = record
        return Answer("ok", now, record), False

    async def list_user(self, user_id: str, *, consistent: bool = True) -> list[tuple[str, Record]]:  # noqa: ARG002
        """See `Store`."""
        refs = self._living(user_id, await self.now())
        return [(ref.digest, _shown(self._records[ref])) for ref in refs]

    async def count(self, user_id: str | None = None) -> int:
        """See `Store`."""
        now = await self.now()
        users = list(self._by_user) if user_id is None else [user_id]
        return sum(len(self._living(user, now)) for user in users)

    async def users(self, first_bucket: int, about: int) -> tuple[int, list[str]]:  # noqa: ARG002 - of the contract
        """See `Store`; one page holds everybody."""
        now = await self.now()
        return BUCKETS, [user for user in list(self._by_user) if self._living(user, now)]

    async def now(self, user_id: str | None = None) -> int:  # noqa: ARG002 - of the contract
        """See `Store`."""
        return time.time_ns() // 1_000_000

    async def positions(self) -> dict[str, str]:
        """See `Store`."""
        return dict.fromkeys(event_keys(), f"{await self.now()}-0")

    async def events(self, positions: Mapping[str, str], block_ms: int) -> list[StreamEntry]:
        """See `Store`."""
        deadline = asyncio.get_running_loop().time() + block_ms / 1000
        while True:
            new = [entry for entry in self._events if _position(entry.position) > _position(positions[entry.key])]
            if new:
                return new
            self._happened.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._happened.wait()
            except TimeoutError:
                return []

    async def count_users(self) -> int:
        """See `Store`."""
        return len((await self.users(0, 0))[1])

    async def check(self, *, seconds: float | None = None) -> None:
        """See `Store`."""

    async def aclose(self) -> None:
        """See `Store`."""

    def _load(self, ref: Ref, now: int) -> Record | None:
        return self._records.get(ref) if self._gone_at.get(ref, 0) > now else None

    def _current(self, ref: Ref, now: int) -> tuple[Ref, Record | None]:
        record = self._load(ref, now)
        while record is not None and record.successor:
            ref = Ref(ref.bucket, record.successor)
            record = self._load(ref, now)
        return ref, record

    def _living(self, user_id: str, now: int) -> list[Ref]:
        return [ref for ref in self._by_user.get(user_id, ()) if self._load(ref, now) is not None]

    def _rank(self, ref: Ref) -> int:
        return self._records[ref].seen if self._limit.policy == "idle" else 0

    def _store(self, ref: Ref, record: Record, gone_at: int) -> None:
        self._records[ref] = record
        self._gone_at[ref] = gone_at
        heapq.heappush(self._queue, (gone_at, ref))

    def _bury(self, ref: Ref, now: int, note: Note, kind: str) -> None:
        record = self._records[ref]
        self._store(ref, _tombstone(record, now, note), now + self._keep_ms)
        self._by_user[record.user].pop(ref, None)
        self._announce(kind, record.user, ref.digest, now, note)

    def _sweep(self, now: int) -> None:
        while self._queue and self._queue[0][0] <= now:
            _, ref = heapq.heappop(self._queue)
            if self._gone_at.get(ref, now + 1) <= now:
                user = self._records.pop(ref).user
                del self._gone_at[ref]
                self._heirs.pop(ref, None)
                self._by_user[user].pop(ref, None)
                if not self._by_user[user]:
                    del self._by_user[user]

    def _announce(self, kind: str, user: str, digest: str, now: int, note: Note) -> None:
        last_ms, last_number = _position(self._events[-1].position) if self._events else (0, 0)
        position = f"{now}-0" if now > last_ms else f"{last_ms}-{last_number + 1}"
        fields = {"kind": kind, "user": user, "digest": digest, "reason": note.reason, "actor": note.actor}
        self._events.append(StreamEntry(event_keys()[bucket_of(user)], position, fields))
        del self._events[: -self._events_kept]
        self._happened.set()


def _tombstone(record: Record, now: int, note: Note) -> Record:
    return Record(
        user=record.user,
        created=record.created,
        expires=record.expires,
        limit=record.limit,
        ttl=0,
        seen=record.seen,
        version="",
        revoked=now,
        reason=note.reason,
        actor=note.actor,
    )


def _position(position: str) -> tuple[int, int]:
    milliseconds, _, number = position.partition("-")
    return int(milliseconds), int(number or 0)


def _shown(record: Record) -> Record:
    """What a list says of a session: what functions/queries.lua reads for it."""
    return record._replace(ttl=0, version="", sealed=b"", wrap=b"", evicted=())
