"""The replicas of one primary, for reads that may be a moment behind it (SESSION_READ_FROM=replica).

A round asks the primary for its replication offset, and then each replica for its own. One that has reached that offset
holds whatever the primary held when the round began, and is used until LAG_SECONDS after that moment. So an answer
lacks at most the writes of that time, whether a link is slow, or silent, or a process was stopped. Where no replica has
shown that, or none answers, the primary does.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, RedisError

from session_core.address import Address
from session_core.connection import Outcome
from session_core.errors import StoreError
from session_core.lane import Replies
from session_core.pool import Kind, Pool
from session_core.protocol import Call
from session_core.settings import Settings

LAG_SECONDS: Final = 3.0
"""How far an answer may be behind the primary."""
ROUND_SECONDS: Final = 1.0
"""How often the replicas are looked at, and how long that may take."""
ANSWER_SECONDS: Final = 0.5
"""How long a replica has for an answer before the primary is asked."""
_ROLE: Final[Call[None]] = Call(("ROLE",), lambda _reply, _now: None)
T = TypeVar("T")


class Replicas:
    """The connections to the replicas of a primary. Serves one event loop at a time."""

    def __init__(
        self,
        settings: Settings,
        primary: Pool,
        whom: Callable[[], Awaitable[Sequence[Address]]],
        dial: Callable[[Address], Awaitable[AbstractConnection]],
    ) -> None:
        """Keep whom to ask for the replicas that there are, and how to connect to one; nothing is sent."""
        self._settings = settings
        self._primary = primary
        self._whom = whom
        self._dial = dial
        self._pools: dict[Address, Pool] = {}
        self._held: dict[Address, float] = {}
        self._round: asyncio.Task[None] | None = None
        self._next_round = 0.0

    async def exchange(self, call: Call[T], kind: Kind, deadline: float) -> Replies:
        """Send a read to a replica, or to the primary if none is fit or has the answer; see `Pool.exchange`."""
        now = asyncio.get_running_loop().time()
        if now > self._next_round and (self._round is None or self._round.done()):
            self._next_round = now + ROUND_SECONDS
            self._round = asyncio.create_task(self._look())
        fit = [address for address, moment in self._held.items() if now < moment + LAG_SECONDS]
        if fit:
            chosen = random.choice(fit)  # noqa: S311 - spreads the load
            try:
                replies = await self._pools[chosen].exchange(call, kind, min(deadline, now + ANSWER_SECONDS))
            except (RedisError, OSError, TimeoutError):
                replies = None
            if replies is not None and not _refused(replies[0]):
                return replies
            self._held.pop(chosen, None)  # until the next round
        return await self._primary.exchange(call, kind, deadline)

    async def aclose(self) -> None:
        """Close everything that is idle."""
        if self._round is not None:
            self._round.cancel()
        self._held.clear()
        for pool in self._pools.values():
            await pool.renew()

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with suppress(RedisError, StoreError, OSError, TimeoutError):  # then nobody has shown anything
            async with asyncio.timeout_at(began + ROUND_SECONDS):
                await self._meet(await self._whom())
                goal = _offset(await self._primary.exchange(_ROLE, "read", began + ROUND_SECONDS), b"master")
                await asyncio.gather(*(self._compare(address, goal, began) for address in self._pools))

    async def _meet(self, addresses: Sequence[Address]) -> None:
        for address in set(self._pools).difference(addresses):
            self._held.pop(address, None)
            await self._pools.pop(address).renew()
        for address in set(addresses).difference(self._pools):
            self._pools[address] = Pool(self._settings, partial(self._dial, address), ANSWER_SECONDS)

    async def _compare(self, address: Address, goal: int, moment: float) -> None:
        with suppress(RedisError, OSError, TimeoutError):
            replies = await self._pools[address].exchange(_ROLE, "read", moment + ROUND_SECONDS)
            if 0 <= goal <= _offset(replies, b"slave"):
                self._held[address] = moment


def _offset(replies: Replies, role: bytes) -> int:
    """Read the reply of ROLE; -1 for another role, or a replica that has no link to its primary."""
    reply = replies[0]
    if not isinstance(reply, list) or reply[0] != role or (role == b"slave" and reply[3] != b"connected"):
        return -1
    offset = reply[1] if role == b"master" else reply[4]
    return offset if isinstance(offset, int) else -1


def _refused(outcome: Outcome) -> bool:
    # LOADING, MASTERDOWN, MOVED, missing rights. A script that is missing is sent to this one again.
    return isinstance(outcome, RedisError) and not isinstance(outcome, NoScriptError)
