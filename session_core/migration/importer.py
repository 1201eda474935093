"""Brings the sessions of the former system over. The old database is only read: SCAN, PTTL, HGETALL, LRANGE.

A session keeps its remaining time, its user, its metadata (secret names are sealed), and its id: what a client holds
goes on working where SESSION_OLD_IDS is set. A note under the digest of the old id says whose it is, and that it was
imported.
"""

import asyncio
import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar

from session_core import protocol
from session_core.content import Contents
from session_core.errors import InvalidInput, StoreError
from session_core.ids import adopted_id, old_ref, ref_of
from session_core.link import Link
from session_core.metadata import checked_user_id
from session_core.migration.old import LIST_PREFIX, OURS, PREFIX, UnreadableError, parse
from session_core.protocol import Call, Reply
from session_core.records import ImportedSession
from session_core.redis_store import RedisStore
from session_core.settings import Settings

PAGE: Final = 500
AT_ONCE: Final = 100
T = TypeVar("T")
_Pages: TypeAlias = tuple[int, list[str]]


@dataclass(slots=True)
class Report:
    """What was found and done.

    Attributes:
        found: hashes ``session:*`` of the former system.
        imported: brought over by this run (or, in a dry run, what would be tried).
        already: brought over by a former run, whatever became of them since.
        expired: ended meanwhile, or had no TTL and a past `expires_at`.
        too_old: logged in longer ago than SESSION_MAX_LIFETIME_SECONDS.
        unreadable: how many were left out, by what was wrong: id, encoding, fields, times, metadata,
            user_id.
        evicted: sessions that had to go, because their user has more than SESSION_MAX_CONCURRENT.
        unconfirmed: imported, but not confirmed by the wanted number of replicas.
        dead_entries: ids in the lists ``user_sessions:*`` that lead to no session.
        unlisted: sessions in no list: "log out everywhere" would have missed them.
    """

    dry_run: bool
    found: int = 0
    imported: int = 0
    already: int = 0
    expired: int = 0
    too_old: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    evicted: int = 0
    unconfirmed: int = 0
    dead_entries: int = 0
    unlisted: int = 0

    def lines(self) -> list[str]:
        """Return it for people."""
        wrong = ", ".join(f"{number} for their {what}" for what, number in sorted(self.unreadable.items()))
        return [
            f"{self.found} sessions found",
            f"{self.unlisted} of them in no list of a user, {self.dead_entries} list entries lead to nothing",
            f"{self.imported} {'would be imported: this was a dry run' if self.dry_run else 'imported'}",
            f"{self.already} imported before",
            f"{self.expired} expired, {self.too_old} older than SESSION_MAX_LIFETIME_SECONDS",
            f"{self.unreadable.total()} unreadable{f' ({wrong})' if wrong else ''}",
            f"{self.evicted} evicted at the limit, {self.unconfirmed} not confirmed by a replica",
        ]


class Importer:
    """Reads one old database, writes to the store of the settings. May be run again: it goes on where it ended."""

    def __init__(self, old: Settings, settings: Settings, *, dry_run: bool) -> None:
        """Keep where from and where to; nothing is sent. A dry run only reads, on both sides."""
        self._old = Link(old)
        self._settings = settings
        self._store = RedisStore(settings)
        self._contents = Contents(settings)
        self.report = Report(dry_run)

    async def run(self) -> Report:
        """Import everything.

        Raises:
            StoreError: one of the two did not answer; what was imported is, and a repeat does the rest.
        """
        try:
            await self._store.check()
            seen: set[str] = set()
            cursor = -1
            while cursor:
                cursor, keys = await self._read(_scan(max(cursor, 0), PREFIX, "hash"))
                new = [key for key in dict.fromkeys(keys) if key not in seen and not key.startswith(OURS)]
                seen.update(new)
                for start in range(0, len(new), AT_ONCE):
                    await asyncio.gather(*map(self._take, new[start : start + AT_ONCE]))
            await self._compare_lists({key.removeprefix(PREFIX) for key in seen})
        finally:
            await self._old.aclose()
            await self._store.aclose()
        return self.report

    async def _take(self, key: str) -> None:
        report = self.report
        report.found += 1
        try:
            await self._bring(key)
        except UnreadableError as wrong:
            report.unreadable[str(wrong)] += 1
        except InvalidInput as wrong:
            report.unreadable["user_id" if "user_id" in str(wrong) else "metadata"] += 1

    async def _bring(self, key: str) -> None:
        report, lifetime = self.report, self._settings.session_max_lifetime_seconds * 1000
        old_id = key.removeprefix(PREFIX)
        note = old_ref(old_id)
        if note is None:
            raise UnreadableError("id")
        known = await self._store.read(note)
        if known.record is not None:
            report.already += 1
            return
        left, fields = await asyncio.gather(self._read(_left(key)), self._read(_fields(key)))
        if not fields:
            report.expired += 1
            return
        try:
            found = parse({name.decode(): value.decode() for name, value in fields.items()})
        except UnicodeDecodeError:
            raise UnreadableError("encoding") from None
        session_id = adopted_id(old_id, checked_user_id(found.user_id))
        content = self._contents.make(found.metadata, (), session_id, found.user_id)
        left = found.expires - known.now if left == -1 else left
        if left <= 0:
            report.expired += 1
            return
        if report.dry_run:
            too_old = found.created + lifetime <= known.now
            report.too_old += too_old
            report.imported += not too_old
            return
        new = ImportedSession(
            ref=ref_of(session_id),
            user=found.user_id,
            created=found.created,
            seen=found.seen,
            left_ms=left,
            ttl_ms=self._settings.session_ttl_seconds * 1000,
            lifetime_ms=lifetime,
            meta=content.meta,
            sealed=content.sealed,
            wrap=content.wrap,
            version=secrets.token_urlsafe(6),
        )
        store = self._store
        call = protocol.import_session(new, store.limit, store.burial)
        (code, evicted), stored = await store.link.ask_durably(call)
        if code == "missing":
            report.too_old += 1
            return
        report.evicted += evicted
        # Last: until it is there, the old id opens nothing, and a repeat of the import tries again.
        until = found.created + lifetime
        _, noted = await store.link.ask_durably(protocol.note_old_id(note, found.user_id, found.created, until))
        report.imported += 1
        report.unconfirmed += not (stored and noted) and self._settings.wait_replicas > 0

    async def _read(self, call: Call[T]) -> T:
        try:
            return await self._old.ask(call)
        except StoreError as error:
            message = f"the old database: {error}"
            raise StoreError(message) from error

    async def _compare_lists(self, sessions: set[str]) -> None:
        listed: set[str] = set()
        cursor = -1
        while cursor:
            cursor, keys = await self._read(_scan(max(cursor, 0), LIST_PREFIX, "list"))
            for key in keys:
                members = await self._read(_members(key))
                listed.update(members)
        self.report.dead_entries = len(listed - sessions)
        self.report.unlisted = len(sessions - listed)


def settings_of_old(url: str, ca_file: str | None) -> Settings:
    """Return settings for the old database that take nothing but these two from the environment.

    Raises:
        SettingsError: not a URL of the forms of REDIS_URL.
    """
    return Settings(
        session_backend="redis",
        redis_url=url,
        redis_username="",
        redis_password="",
        redis_ssl=None,
        redis_ca_file=ca_file,
        redis_sentinel_username="",
        redis_sentinel_password="",
        redis_address_map="",
        session_wait_replicas=0,
    )


def _scan(cursor: int, prefix: str, kind: str) -> Call[_Pages]:
    def read(reply: Reply, _now: int) -> _Pages:
        after, keys = _list(reply)
        return int(_text(after)), [_text(key) for key in _list(keys)]

    return Call(("SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", PAGE, "TYPE", kind), read)


def _left(key: str) -> Call[int]:
    return Call(("PTTL", key), lambda reply, _now: reply if isinstance(reply, int) else -2)


def _fields(key: str) -> Call[dict[bytes, bytes]]:
    def read(reply: Reply, _now: int) -> dict[bytes, bytes]:
        words = [word for word in _list(reply) if isinstance(word, bytes)]
        return dict(zip(words[::2], words[1::2], strict=True))

    return Call(("HGETALL", key), read)


def _members(key: str) -> Call[list[str]]:
    def read(reply: Reply, _now: int) -> list[str]:
        return [_text(word) for word in _list(reply)]

    return Call(("LRANGE", key, 0, -1), read)


def _list(reply: Reply) -> list[Reply]:
    return reply if isinstance(reply, list) else []


def _text(reply: Any) -> str:  # noqa: ANN401 - bytes, by what was asked
    return bytes(reply).decode(errors="replace")
