"""The connections to the primary: three lanes, and others that are lent; renewed when they lead to the wrong server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal, TypeAlias

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from session_core import protocol
from session_core.address import Address
from session_core.connection import Dialler, Login
from session_core.errors import StoreError
from session_core.lane import Lane
from session_core.protocol import Word
from session_core.sentinel import Sentinels, greet_primary
from session_core.settings import Settings

DOUBT_SECONDS: Final = 2.0
"""How often the Sentinels are asked although all is well: a primary that was cut off goes on answering reads."""


Kind: TypeAlias = Literal["read", "write", "durable"]
"""A lane. Reads have their own, since a primary may hold writes up (CLIENT PAUSE); WAIT closes the durable batches."""


class Pool:
    """Three lanes, and connections that are lent to calls that block: REDIS_MAX_CONNECTIONS, at least four in all.

    Serves one event loop at a time.
    """

    def __init__(self, settings: Settings, login: Login) -> None:
        """Read how to connect; nothing is sent."""
        self._dialler = Dialler(settings)
        self._target = settings.target
        self._login = login
        self._sentinels: Sentinels | None = None
        if self._target.sentinel:
            known_as = Login(settings.redis_sentinel_username, settings.redis_sentinel_password.get_secret_value())
            self._sentinels = Sentinels(self._dialler, self._target.addresses, self._target.master, known_as)
        wait = protocol.wait(settings.wait_replicas, settings.session_wait_timeout_ms)
        self._closing: dict[Kind, tuple[Word, ...]] = {"read": ("TIME",), "write": ("TIME",), "durable": wait}
        self._size = max(1, settings.redis_max_connections - len(self._closing))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._start(None)

    def _start(self, loop: asyncio.AbstractEventLoop | None) -> None:
        # Connections belong to the loop that made them: those of a loop that has ended are of no use.
        self._loop = loop
        self._places = asyncio.Semaphore(self._size)
        self._idle: list[AbstractConnection] = []
        self._lanes: dict[Kind, Lane] = {}
        self._opening: dict[Kind, asyncio.Task[Lane]] = {}
        self._generation = 0
        self._primary: Address | None = None
        self._doubting: asyncio.Task[None] | None = None
        self._next_doubt = 0.0

    def lane(self, kind: Kind) -> Lane | None:
        """Return the lane if it is open."""
        self._look_around()
        lane = self._lanes.get(kind)
        return lane if lane is not None and lane.open else None

    async def open_lane(self, kind: Kind) -> Lane:
        """Open a lane; who comes meanwhile gets the same one.

        Raises:
            RedisError: not reachable, or refused.
        """
        opening = self._opening.get(kind)
        if opening is None or opening.done():
            opening = self._opening[kind] = asyncio.create_task(self._open_lane(kind))
            opening.add_done_callback(_seen)
        return await asyncio.shield(opening)  # who gives up does not take the others along

    async def _open_lane(self, kind: Kind) -> Lane:
        generation = self._generation
        connection = await self._open()
        if generation != self._generation:
            await connection.disconnect(nowait=True)
            message = "the other connections failed while this one was opened"
            raise RedisConnectionError(message)
        lane = Lane(connection, self._closing[kind], self._dialler.reply_seconds, one_by_one=kind == "durable")
        self._lanes[kind] = lane
        return lane

    async def lost(self, lane: Lane) -> None:
        """Take note that a lane has failed: the other connections most likely lead to the same dead server."""
        if lane in self._lanes.values():
            await self.renew()

    def _look_around(self) -> None:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._start(loop)
        if self._sentinels is not None and loop.time() > self._next_doubt:
            self._next_doubt = loop.time() + DOUBT_SECONDS
            self._doubting = asyncio.create_task(self._doubt_quietly())

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AbstractConnection]:
        """Lend a connection. One that was left in the middle of a reply, for whatever reason, is never lent again."""
        self._look_around()
        async with self._places:
            generation = self._generation
            connection = await self._take()
            try:
                yield connection
            except BaseException as error:
                await connection.disconnect(nowait=True)
                if isinstance(error, RedisError | OSError):
                    await self.renew()  # the others most likely lead to the same dead server
                raise
            if generation == self._generation and connection.is_connected:
                self._idle.append(connection)
            else:
                await connection.disconnect(nowait=True)

    async def renew(self) -> None:
        """Close the idle connections; those in use are closed when they come back, lanes when they are empty."""
        self._generation += 1
        lanes, self._lanes = self._lanes, {}
        for lane in lanes.values():
            lane.retire()
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.disconnect(nowait=True)

    async def doubt(self) -> None:
        """Ask the Sentinels, if there are any, whether our primary still is it.

        Raises:
            RedisConnectionError: no Sentinel knows a primary now.
        """
        if self._sentinels is not None and self._primary not in {None, await self._sentinels.primary()}:
            await self.renew()

    async def aclose(self) -> None:
        """Close everything that is idle."""
        if self._doubting is not None:
            self._doubting.cancel()
        await self.renew()
        if self._sentinels is not None:
            await self._sentinels.aclose()

    async def _doubt_quietly(self) -> None:
        with suppress(RedisError, StoreError, OSError):  # whoever needs a connection will see
            await self.doubt()

    async def _take(self) -> AbstractConnection:
        while self._idle:
            connection = self._idle.pop()
            try:
                if not await connection.can_read():  # readable while idle: closed by the server
                    return connection
            except RedisError:
                pass
            await connection.disconnect(nowait=True)
        return await self._open()

    async def _open(self) -> AbstractConnection:
        target = self._target
        if target.path:
            return await self._dialler.open_path(target.path, self._login, db=target.db)
        if self._sentinels is None:
            return await self._dialler.open(target.addresses[0], self._login, db=target.db)
        primary = await self._sentinels.primary()
        connection = await self._dialler.open(primary, self._login, db=target.db, greet=greet_primary)
        self._primary = primary
        return connection


def _seen(opening: asyncio.Task[Lane]) -> None:
    if not opening.cancelled():
        opening.exception()  # those who waited may have given up: the loop must not report it
