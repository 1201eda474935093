"""Which server serves a call: the only one there is, or the primary that the Sentinels name.

A third way, through a Redis Cluster, is `session_core.cluster`.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Protocol, TypeVar

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from session_core.address import Address
from session_core.connection import Dialler, Login
from session_core.errors import StoreError
from session_core.lane import Replies
from session_core.pool import Kind, Pool
from session_core.protocol import Call
from session_core.replicas import Replicas
from session_core.sentinel import Sentinels, greet_primary
from session_core.settings import Settings

DOUBT_SECONDS: Final = 2.0
"""How often the Sentinels are asked although all is well: a primary that was cut off goes on answering reads."""
T = TypeVar("T")


class Route(Protocol):
    """A way to the server that a call belongs to. Nothing is sent before the first call."""

    def exchange(self, call: Call[T], kind: Kind, deadline: float, *, stale: bool) -> Awaitable[Replies]:
        """Send a call and return its reply and that of the command that closed its batch; see `Pool.exchange`.

        `stale`: a replica may answer, if it is known to be hardly behind.

        Raises:
            StoreError: no repeat can better it.
        """

    async def doubt(self) -> None:
        """Find out whether calls still go to the right server: one has refused in a way that a repeat may better."""

    def spread(self, keys: Iterable[str]) -> Sequence[tuple[str, ...]]:
        """Group keys by what one call can take."""

    def servers(self) -> Sequence[Address | str]:
        """Return every primary, in words that `Call.at` takes; those of a cluster are known after a first call."""

    async def aclose(self) -> None:
        """Close everything that is idle."""


class Direct:
    """The way to the only server there is; implements `Route`."""

    def __init__(self, settings: Settings, login: Login) -> None:
        """Read the settings."""
        target, dialler = settings.target, Dialler(settings)
        dial = (
            partial(dialler.open_path, target.path, login, db=target.db)
            if target.path
            else partial(dialler.open, target.addresses[0], login, db=target.db)
        )
        self._pool = Pool(settings, dial, dialler.reply_seconds)

    def exchange(self, call: Call[T], kind: Kind, deadline: float, *, stale: bool) -> Awaitable[Replies]:  # noqa: ARG002
        """See `Route`; there is no replica to ask."""
        return self._pool.exchange(call, kind, deadline)

    async def doubt(self) -> None:
        """See `Route`: there is no other."""

    def spread(self, keys: Iterable[str]) -> Sequence[tuple[str, ...]]:
        """See `Route`."""
        return [tuple(keys)]

    def servers(self) -> Sequence[Address | str]:
        """See `Route`."""
        return [""]

    async def aclose(self) -> None:
        """See `Route`."""
        await self._pool.renew()


class ThroughSentinel:
    """The way to the primary that the Sentinels name, and to its replicas; implements `Route`."""

    def __init__(self, settings: Settings, login: Login) -> None:
        """Read the settings."""
        self._db, self._login, self._dialler = settings.target.db, login, Dialler(settings)
        known_as = Login(settings.redis_sentinel_username, settings.redis_sentinel_password.get_secret_value())
        self._sentinels = Sentinels(self._dialler, settings.target.addresses, settings.target.master, known_as)
        self._pool = Pool(settings, self._open, self._dialler.reply_seconds)
        self._replicas = Replicas(settings, self._pool, self._sentinels.replicas, self._open_replica)
        self._primary: Address | None = None
        self._doubting: asyncio.Task[None] | None = None
        self._next_doubt = 0.0

    def exchange(self, call: Call[T], kind: Kind, deadline: float, *, stale: bool) -> Awaitable[Replies]:
        """See `Route`."""
        now = asyncio.get_running_loop().time()
        if now > self._next_doubt:
            self._next_doubt = now + DOUBT_SECONDS
            self._doubting = asyncio.create_task(self._doubt_quietly())
        return (self._replicas if stale else self._pool).exchange(call, kind, deadline)

    async def doubt(self) -> None:
        """Ask the Sentinels whether our primary still is it.

        Raises:
            RedisConnectionError: no Sentinel knows a primary now.
        """
        if self._primary not in {None, await self._sentinels.primary()}:
            await self._pool.renew()

    def spread(self, keys: Iterable[str]) -> Sequence[tuple[str, ...]]:
        """See `Route`."""
        return [tuple(keys)]

    def servers(self) -> Sequence[Address | str]:
        """See `Route`."""
        return [""]

    async def aclose(self) -> None:
        """See `Route`."""
        if self._doubting is not None:
            self._doubting.cancel()
        await self._replicas.aclose()
        await self._pool.renew()
        await self._sentinels.aclose()

    async def _doubt_quietly(self) -> None:
        with suppress(RedisError, StoreError, OSError):  # whoever needs a connection will see
            await self.doubt()

    async def _open(self) -> AbstractConnection:
        primary = await self._sentinels.primary()
        connection = await self._dialler.open(primary, self._login, db=self._db, greet=greet_primary)
        self._primary = primary
        return connection

    async def _open_replica(self, address: Address) -> AbstractConnection:
        return await self._dialler.open(address, self._login, db=self._db)
