"""The connections to one server: three lanes, and others that are lent; renewed when they lead to the wrong one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal, TypeAlias, TypeVar

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from session_core import protocol
from session_core.connection import exchange
from session_core.lane import Lane, Replies
from session_core.protocol import Call, Word
from session_core.settings import Settings

Kind: TypeAlias = Literal["read", "write", "durable"]
"""A lane. Reads have their own, since a primary may hold writes up (CLIENT PAUSE); WAIT closes the durable batches."""
T = TypeVar("T")


class Pool:
    """Three lanes, and connections that are lent to calls that block: REDIS_MAX_CONNECTIONS, at least four in all.

    Serves one event loop at a time.
    """

    def __init__(self, settings: Settings, dial: Callable[[], Awaitable[AbstractConnection]], patience: float) -> None:
        """Keep how to connect; nothing is sent.

        Args:
            settings: how many connections, and how a durable batch ends.
            dial: opens a connection to the server, whichever that is now.
            patience: seconds without a byte, while a reply is due, after which a lane is given up.
        """
        self._dial = dial
        self._patience = patience
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

    async def exchange(self, call: Call[T], kind: Kind, deadline: float) -> Replies:
        """Send a call in its lane, or on a connection of its own if it blocks; return its reply and the closing one.

        Raises:
            RedisError: not reachable, or the connection was lost; the call may have been carried out.
            TimeoutError: the deadline has passed, by the clock of the event loop.
        """
        if call.blocks:
            return await self.exchange_alone(call, kind, deadline)
        lane = self._lane(kind)
        if lane is None:
            async with asyncio.timeout_at(deadline):
                lane = await self._open_lane(kind)
        try:
            return await lane.ask(call.words, deadline, closes=_closes(call, kind))
        except RedisConnectionError:
            if lane in self._lanes.values():
                await self.renew()  # the other connections most likely lead to the same dead server
            raise

    async def exchange_alone(self, call: Call[T], kind: Kind, deadline: float, *before: tuple[Word, ...]) -> Replies:
        """Send a call on a connection of its own, right behind other commands; see `exchange`."""
        closing = [self._closing[kind]] if _closes(call, kind) else []
        async with asyncio.timeout_at(deadline), self._connection() as connection:
            outcomes = await exchange(connection, [*before, call.words, *closing])
        return outcomes[len(before)], outcomes[-1] if closing else None

    async def renew(self) -> None:
        """Close the idle connections; those in use are closed when they come back, lanes when they are empty."""
        self._generation += 1
        lanes, self._lanes = self._lanes, {}
        for lane in lanes.values():
            lane.retire()
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.disconnect(nowait=True)

    def _lane(self, kind: Kind) -> Lane | None:
        self._look_around()
        lane = self._lanes.get(kind)
        return lane if lane is not None and lane.open else None

    async def _open_lane(self, kind: Kind) -> Lane:
        """Open a lane; who comes meanwhile gets the same one."""
        opening = self._opening.get(kind)
        if opening is None or opening.done():
            opening = self._opening[kind] = asyncio.create_task(self._new_lane(kind))
            opening.add_done_callback(seen)
        return await asyncio.shield(opening)  # who gives up does not take the others along

    async def _new_lane(self, kind: Kind) -> Lane:
        generation = self._generation
        connection = await self._dial()
        if generation != self._generation:
            await connection.disconnect(nowait=True)
            message = "the other connections failed while this one was opened"
            raise RedisConnectionError(message)
        lane = Lane(connection, self._closing[kind], self._patience, one_by_one=kind == "durable")
        self._lanes[kind] = lane
        return lane

    def _look_around(self) -> None:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._start(loop)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AbstractConnection]:
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

    async def _take(self) -> AbstractConnection:
        while self._idle:
            connection = self._idle.pop()
            try:
                if not await connection.can_read():  # readable while idle: closed by the server
                    return connection
            except RedisError:
                pass
            await connection.disconnect(nowait=True)
        return await self._dial()


def _closes(call: Call[T], kind: Kind) -> bool:
    return call.clock or kind == "durable"


def seen(task: asyncio.Task[T]) -> None:
    """Look at how a task ended: those who waited for it may have given up, and the loop must not report it."""
    if not task.cancelled():
        task.exception()
