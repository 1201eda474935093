"""Sends calls to the server that they belong to, again and again until their deadline: the loop is around the command.

Calls to one server that are made in one turn of the event loop share a write, in three lanes (`session_core.lane`):
reads, writes, and durable writes behind one WAIT. A call that blocks its connection on the server gets one of its own.

Which server it is, a route knows (`session_core.route`, `session_core.cluster`): each repeat after a broken connection
or a refusal takes a new look.
"""

import asyncio
import random
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from itertools import count
from typing import Final, TypeVar

from redis.exceptions import RedisError, ResponseError

from session_core import protocol
from session_core.address import Address
from session_core.breaker import Breaker
from session_core.cluster import Cluster
from session_core.connection import Login, sort
from session_core.errors import StoreUnavailable
from session_core.pool import Kind
from session_core.protocol import Call, Reply
from session_core.records import Effort
from session_core.route import Direct, Route, ThroughSentinel
from session_core.settings import Settings

FIRST_PAUSE_SECONDS: Final = 0.02
LONGEST_PAUSE_SECONDS: Final = 0.5
T = TypeVar("T")


class Link:
    """Sends calls. Make one and keep it: it holds the connections."""

    def __init__(self, settings: Settings, login: Login | None = None) -> None:
        """Read the settings; nothing is sent. `login` replaces the user of the settings."""
        target = settings.target
        password = settings.redis_password.get_secret_value() or target.password
        self._deadline_seconds = settings.session_deadline_seconds
        self._wanted = settings.wait_replicas
        way = Cluster if target.cluster else ThroughSentinel if target.sentinel else Direct
        self._route: Route = way(settings, login or Login(settings.redis_username or target.username, password))
        self.effort = Effort()
        self._breaker = Breaker(settings.fail_fast_seconds)

    async def ask(self, call: Call[T], *, seconds: float | None = None, once: bool = False, stale: bool = False) -> T:
        """Send a call and return its result.

        Args:
            call: what to send.
            seconds: instead of the deadline of the settings.
            once: do not repeat it.
            stale: a replica may answer, which is a moment behind.

        Raises:
            StoreUnavailable: no answer within the deadline.
            StoreError: an answer that no repeat can better.
        """
        kind: Kind = "write" if call.writes else "read"
        persist = self._persist if self.effort.around is None else self._observed
        reply, time = await persist(call, kind, seconds, once=once, stale=stale)
        return call.read(reply, protocol.read_time(time) if call.clock else 0)

    async def ask_durably(self, call: Call[T]) -> tuple[T, bool]:
        """Send a write with WAIT behind it on the same connection; also return whether enough replicas confirmed it.

        Raises:
            StoreError: as `ask`.
        """
        if not self._wanted:
            return await self.ask(call), False
        persist = self._persist if self.effort.around is None else self._observed
        reply, confirmed = await persist(call, "durable", None)
        return call.read(reply, 0), isinstance(confirmed, int) and confirmed >= self._wanted

    def spread(self, keys: Iterable[str]) -> Sequence[tuple[str, ...]]:
        """Group keys by what one call can take: all of them, but in a cluster those of one slot."""
        return self._route.spread(keys)

    def servers(self) -> Sequence[Address | str]:
        """Return every primary, in words that `Call.at` takes; those of a cluster are known after a first call."""
        return self._route.servers()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._route.aclose()

    async def _observed(
        self, call: Call[T], kind: Kind, seconds: float | None, *, once: bool = False, stale: bool = False
    ) -> tuple[Reply, Reply]:
        # The name of a function says more than that one is called; what follows is keys and values.
        name = call.words[1] if str(call.words[0]).startswith("FCALL") else call.words[0]
        with self.effort.around(str(name)) if self.effort.around else nullcontext():
            return await self._persist(call, kind, seconds, once=once, stale=stale)

    async def _persist(
        self, call: Call[T], kind: Kind, seconds: float | None, *, once: bool = False, stale: bool = False
    ) -> tuple[Reply, Reply]:
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
            self.effort.under_way += 1
            try:
                outcome, closing = await self._route.exchange(call, kind, deadline, stale=stale)
                self._breaker.answered()
                if isinstance(outcome, RedisError):
                    raise await self._doubtful(outcome, deadline)
                if isinstance(closing, RedisError):
                    raise await self._doubtful(closing, deadline)
                return outcome, closing  # noqa: TRY300 - what is raised above is sorted below
            except (RedisError, OSError, TimeoutError) as error:
                final = sort(error)
                if final is not None:
                    raise final from error
                if not isinstance(error, ResponseError):
                    self._breaker.failed(loop.time())
                problem = str(error) or problem  # a time-out has no text: what went wrong before it says more
            finally:
                self.effort.under_way -= 1
            pause = random.uniform(0.5, 1) * min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt)  # noqa: S311
            if once or loop.time() + pause >= deadline:
                message = f"no answer from Redis within {patience:g} s: {problem}"
                raise StoreUnavailable(message, outcome_unknown=call.writes)
            await asyncio.sleep(pause)
        raise AssertionError  # pragma: no cover - count() does not end

    async def _doubtful(self, refusal: RedisError, deadline: float) -> RedisError:
        if sort(refusal) is None:
            # A primary that was cut off refuses writes (NOREPLICAS) or has become a replica (READONLY).
            async with asyncio.timeout_at(deadline):
                await self._route.doubt()
        return refusal
