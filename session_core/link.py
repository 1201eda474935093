"""Sends calls to the primary, again and again until their deadline: the loop is around the command.

Calls of one turn of the event loop share a write, in three lanes (`session_core.lane`): reads, writes, and durable
writes behind one WAIT. A call that blocks its connection on the server gets one of its own.

Each repeat after a broken connection or a refusal takes a new look at who the primary is (`session_core.pool`).
"""

import asyncio
import random
from itertools import count
from typing import Final, TypeVar

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from session_core import protocol
from session_core.breaker import Breaker
from session_core.connection import Login, Outcome, exchange, sort
from session_core.errors import StoreUnavailable
from session_core.pool import Kind, Pool
from session_core.protocol import Call, Reply
from session_core.records import Effort
from session_core.settings import Settings

FIRST_PAUSE_SECONDS: Final = 0.02
LONGEST_PAUSE_SECONDS: Final = 0.5
T = TypeVar("T")


class Link:
    """Sends calls to the primary. Make one and keep it: it holds the connections."""

    def __init__(self, settings: Settings, login: Login | None = None) -> None:
        """Read the settings; nothing is sent. `login` replaces the user of the settings."""
        target = settings.target
        password = settings.redis_password.get_secret_value() or target.password
        self._deadline_seconds = settings.session_deadline_seconds
        self._wanted = settings.wait_replicas
        self._pool = Pool(settings, login or Login(settings.redis_username or target.username, password))
        self.effort = Effort()
        self._breaker = Breaker(settings.fail_fast_seconds)

    async def ask(self, call: Call[T], *, seconds: float | None = None, once: bool = False) -> T:
        """Send a call and return its result; `once` does not repeat it.

        Raises:
            StoreUnavailable: no answer within the deadline.
            StoreError: an answer that no repeat can better.
        """
        reply, time = await self._persist(call, "write" if call.writes else "read", seconds, once=once)
        return call.read(reply, protocol.read_time(time) if call.clock else 0)

    async def ask_durably(self, call: Call[T]) -> tuple[T, bool]:
        """Send a write with WAIT behind it on the same connection; also return whether enough replicas confirmed it.

        Raises:
            StoreError: as `ask`.
        """
        if not self._wanted:
            return await self.ask(call), False
        reply, confirmed = await self._persist(call, "durable", None, once=False)
        return call.read(reply, 0), isinstance(confirmed, int) and confirmed >= self._wanted

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    async def _persist(self, call: Call[T], kind: Kind, seconds: float | None, *, once: bool) -> tuple[Reply, Reply]:
        loop = asyncio.get_running_loop()
        patience = self._deadline_seconds if seconds is None else seconds
        deadline = loop.time() + patience
        problem = "no reply"
        if not self._breaker.admits(loop.time()):
            self.effort.refused += 1
            message = "Redis has not answered for long: refused at once (SESSION_FAIL_FAST_SECONDS)"
            raise StoreUnavailable(message)
        for attempt in count():
            self.effort.calls += 1
            self.effort.repeats += attempt > 0
            try:
                return await self._attempt(call, kind, deadline)
            except (RedisError, OSError, TimeoutError) as error:
                final = sort(error)
                if final is not None:
                    raise final from error
                if not isinstance(error, ResponseError):
                    self._breaker.failed(loop.time())
                problem = str(error) or problem  # a time-out has no text: what went wrong before it says more
            pause = random.uniform(0.5, 1) * min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt)  # noqa: S311
            if once or loop.time() + pause >= deadline:
                message = f"no answer from Redis within {patience:g} s: {problem}"
                raise StoreUnavailable(message, outcome_unknown=call.writes)
            await asyncio.sleep(pause)
        raise AssertionError  # pragma: no cover - count() does not end

    async def _attempt(self, call: Call[T], kind: Kind, deadline: float) -> tuple[Reply, Reply]:
        outcome, closing = await self._exchange(call, kind, deadline)
        self._breaker.answered()
        if isinstance(outcome, RedisError):
            raise await self._doubtful(outcome, deadline)
        if isinstance(closing, RedisError):
            raise await self._doubtful(closing, deadline)
        return outcome, closing

    async def _exchange(self, call: Call[T], kind: Kind, deadline: float) -> tuple[Outcome, Outcome]:
        if call.blocks:
            async with asyncio.timeout_at(deadline), self._pool.connection() as connection:
                [outcome] = await exchange(connection, [call.words])
            return outcome, None
        lane = self._pool.lane(kind)
        if lane is None:
            async with asyncio.timeout_at(deadline):
                lane = await self._pool.open_lane(kind)
        try:
            return await lane.ask(call.words, deadline, closes=call.clock or kind == "durable")
        except RedisConnectionError:
            await self._pool.lost(lane)
            raise

    async def _doubtful(self, refusal: RedisError, deadline: float) -> RedisError:
        if sort(refusal) is None:
            # A primary that was cut off refuses writes (NOREPLICAS) or has become a replica (READONLY).
            async with asyncio.timeout_at(deadline):
                await self._pool.doubt()
        return refusal
