"""Small things that all processes share and that end by themselves: marks of what was used, leases, counts, notes.

They guard logins (`session_core.service`); no session depends on them. Names are hashed, so no key tells about anybody.
"""

import asyncio
import secrets
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol

from session_core.ids import bucket_of
from session_core.protocol import Call, Reply, Word

if TYPE_CHECKING:  # the back end in memory needs no Redis client
    from session_core.link import Link

PREFIX: Final = "session_ephemeral:"


class Ephemeral(Protocol):
    """Where they are kept. `kind` is a fixed word, `name` anything. Every method may raise `StoreError`."""

    async def claim(self, kind: str, name: str, seconds: float) -> bool:
        """Mark a name as used for so long; true for the first who does it."""

    async def put(self, kind: str, name: str, value: bytes, seconds: float) -> None:
        """Keep a value."""

    async def get(self, kind: str, name: str) -> bytes | None:
        """Return a value, or that of a mark."""

    async def drop(self, kind: str, name: str) -> None:
        """Forget a value or a mark."""

    async def count(self, kind: str, name: str, seconds: float) -> int:
        """Count one more and return how many there were in this span, which began with the first."""


class RedisEphemeral:
    """In Redis; each call is one round trip, `count` two that are sent together."""

    def __init__(self, link: "Link") -> None:
        self._link = link

    async def claim(self, kind: str, name: str, seconds: float) -> bool:
        """See `Ephemeral`. A call that is repeated because its reply was lost recognises its own mark."""
        mine = secrets.token_bytes(12)
        words = ("SET", _key(kind, name), mine, "NX", "GET", "PX", _ms(seconds))
        before = await self._link.ask(_call(*words, writes=True))
        return before is None or before == mine

    async def put(self, kind: str, name: str, value: bytes, seconds: float) -> None:
        """See `Ephemeral`."""
        await self._link.ask(_call("SET", _key(kind, name), value, "PX", _ms(seconds), writes=True))

    async def get(self, kind: str, name: str) -> bytes | None:
        """See `Ephemeral`."""
        value = await self._link.ask(_call("GET", _key(kind, name)))
        return value if isinstance(value, bytes) else None

    async def drop(self, kind: str, name: str) -> None:
        """See `Ephemeral`."""
        await self._link.ask(_call("DEL", _key(kind, name), writes=True))

    async def count(self, kind: str, name: str, seconds: float) -> int:
        """See `Ephemeral`."""
        key = _key(kind, name)
        counted, _ = await asyncio.gather(
            self._link.ask(_call("INCR", key, writes=True)),
            self._link.ask(_call("PEXPIRE", key, _ms(seconds), "NX", writes=True)),
        )
        return counted if isinstance(counted, int) else 0


class MemoryEphemeral:
    """In this process."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[float, bytes]] = {}

    async def claim(self, kind: str, name: str, seconds: float) -> bool:
        """See `Ephemeral`."""
        if await self.get(kind, name) is not None:
            return False
        await self.put(kind, name, b"1", seconds)
        return True

    async def put(self, kind: str, name: str, value: bytes, seconds: float) -> None:
        """See `Ephemeral`."""
        now = time.monotonic()
        self._kept = {each: kept for each, kept in self._kept.items() if kept[0] > now}
        self._kept[kind, name] = (now + seconds, value)

    async def get(self, kind: str, name: str) -> bytes | None:
        """See `Ephemeral`."""
        until, value = self._kept.get((kind, name), (0.0, b""))
        return value if until > time.monotonic() else None

    async def drop(self, kind: str, name: str) -> None:
        """See `Ephemeral`."""
        self._kept.pop((kind, name), None)

    async def count(self, kind: str, name: str, seconds: float) -> int:
        """See `Ephemeral`."""
        if await self.get(kind, name) is None:
            await self.put(kind, name, b"0", seconds)
        until, value = self._kept[kind, name]
        self._kept[kind, name] = (until, b"%d" % (int(value) + 1))
        return int(value) + 1


def _key(kind: str, name: str) -> str:
    return f"{PREFIX}{{{bucket_of(name)}}}:{kind}:{sha256(name.encode()).hexdigest()}"


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _call(*words: Word, writes: bool = False) -> Call[Reply]:
    return Call(words, _as_it_is, writes=writes)


def _as_it_is(reply: Reply, _now: int) -> Reply:
    return reply
