"""The connections to the primary: lent one by one, renewed when they lead to the wrong server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from session_core.address import Address, Target
from session_core.connection import Dialler, Login
from session_core.errors import StoreError
from session_core.sentinel import Sentinels, greet_primary

DOUBT_SECONDS: Final = 2.0
"""How often the Sentinels are asked although all is well: a primary that was cut off goes on answering reads."""


class Pool:
    """At most `size` connections in use at a time; who comes later waits. Serves one event loop at a time."""

    def __init__(self, dialler: Dialler, target: Target, login: Login, sentinels: Sentinels | None, size: int) -> None:
        """Keep how to connect; nothing is sent."""
        self._dialler = dialler
        self._target = target
        self._login = login
        self._sentinels = sentinels
        self._size = size
        self._loop: asyncio.AbstractEventLoop | None = None
        self._start(None)

    def _start(self, loop: asyncio.AbstractEventLoop | None) -> None:
        # Connections belong to the loop that made them: those of a loop that has ended are of no use.
        self._loop = loop
        self._places = asyncio.Semaphore(self._size)
        self._idle: list[AbstractConnection] = []
        self._generation = 0
        self._primary: Address | None = None
        self._doubting: asyncio.Task[None] | None = None
        self._next_doubt = 0.0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AbstractConnection]:
        """Lend a connection. One that was left in the middle of a reply, for whatever reason, is never lent again."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._start(loop)
        if self._sentinels is not None and loop.time() > self._next_doubt:
            self._next_doubt = loop.time() + DOUBT_SECONDS
            self._doubting = asyncio.create_task(self._doubt_quietly())
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
        """Close the idle connections; those in use are closed when they come back."""
        self._generation += 1
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
