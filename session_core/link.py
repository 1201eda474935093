"""Sends calls to the primary, again and again until their deadline: the loop is around the command.

Each repeat after a broken connection or a refusal takes a new look at who the primary is (`session_core.pool`).
"""

import asyncio
import random
from collections.abc import Sequence
from itertools import count
from typing import Final, TypeVar

from redis.exceptions import RedisError, ResponseError

from session_core import protocol
from session_core.connection import Dialler, Login, exchange, sort
from session_core.errors import StoreUnavailable
from session_core.pool import Pool
from session_core.protocol import Call, Reply, Word
from session_core.records import Effort
from session_core.sentinel import Sentinels
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
        self._wait = protocol.wait(settings.wait_replicas, settings.session_wait_timeout_ms)
        self._wanted = settings.wait_replicas
        dialler = Dialler(settings)
        sentinels: Sentinels | None = None
        if target.sentinel:
            known_as = Login(settings.redis_sentinel_username, settings.redis_sentinel_password.get_secret_value())
            sentinels = Sentinels(dialler, target.addresses, target.master, known_as)
        login = login or Login(settings.redis_username or target.username, password)
        self._pool = Pool(dialler, target, login, sentinels, settings.redis_max_connections)
        self.effort = Effort()

    async def ask(self, call: Call[T], *, seconds: float | None = None, once: bool = False) -> T:
        """Send a call and return its result; `once` does not repeat it.

        Raises:
            StoreUnavailable: no answer within the deadline.
            StoreError: an answer that no repeat can better.
        """
        replies = await self._persist([call.words, *([("TIME",)] if call.clock else [])], call, seconds, once=once)
        return call.read(replies[0], protocol.read_time(replies[1]) if call.clock else 0)

    async def ask_durably(self, call: Call[T]) -> tuple[T, bool]:
        """Send a write followed by WAIT on the same connection; also return whether enough replicas confirmed it.

        Raises:
            StoreError: as `ask`.
        """
        if not self._wanted:
            return await self.ask(call), False
        result, confirmed = await self._persist([call.words, self._wait], call, None, once=False)
        return call.read(result, 0), isinstance(confirmed, int) and confirmed >= self._wanted

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    async def _persist(
        self, commands: Sequence[tuple[Word, ...]], call: Call[T], seconds: float | None, *, once: bool
    ) -> list[Reply]:
        loop = asyncio.get_running_loop()
        patience = self._deadline_seconds if seconds is None else seconds
        deadline = loop.time() + patience
        problem = "no reply"
        for attempt in count():
            self.effort.calls += 1
            self.effort.repeats += attempt > 0
            try:
                async with asyncio.timeout_at(deadline):
                    return await self._attempt(commands)
            except (RedisError, OSError, TimeoutError) as error:
                final = sort(error)
                if final is not None:
                    raise final from error
                problem = str(error) or problem  # a time-out has no text: what went wrong before it says more
            pause = random.uniform(0.5, 1) * min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt)  # noqa: S311
            if once or loop.time() + pause >= deadline:
                message = f"no answer from Redis within {patience:g} s: {problem}"
                raise StoreUnavailable(message, outcome_unknown=call.writes)
            await asyncio.sleep(pause)
        raise AssertionError  # pragma: no cover - count() does not end

    async def _attempt(self, commands: Sequence[tuple[Word, ...]]) -> list[Reply]:
        async with self._pool.connection() as connection:
            replies = await exchange(connection, commands)
        good = [reply for reply in replies if not isinstance(reply, ResponseError)]
        if len(good) == len(replies):
            return good
        error = next(reply for reply in replies if isinstance(reply, ResponseError))
        if sort(error) is None:
            # A primary that was cut off refuses writes (NOREPLICAS) or has become a replica (READONLY).
            await self._pool.doubt()
        raise error
