"""Asks the Sentinels who the primary is, and which replicas are in step."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from session_core.address import Address
from session_core.connection import Dialler, Login, exchange, sort
from session_core.errors import StoreDenied
from session_core.protocol import Reply

ANSWER_SECONDS: Final = 1.0
FRESH_SECONDS: Final = 0.1
"""Calls that fail together ask once."""


class Sentinels:
    """The Sentinels of one group. All are asked at once; the majority wins, so that one that was cut off does not."""

    def __init__(self, dialler: Dialler, addresses: Sequence[Address], master: str, login: Login) -> None:
        """Keep whom to ask; nothing is sent."""
        self._dialler = dialler
        self._addresses = tuple(addresses)
        self._master = master
        self._login = login
        self._start(None)

    def _start(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._lock = asyncio.Lock()
        self._known: tuple[float, Address] | None = None
        self._kept: dict[Address, AbstractConnection] = {}
        self._asking: set[asyncio.Task[Address]] = set()

    async def primary(self) -> Address:
        """Return the announced address of the primary.

        Raises:
            StoreDenied: every Sentinel that answers refuses us.
            RedisConnectionError: no Sentinel knows a primary now.
        """
        self._look_around()
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if self._known is None or now - self._known[0] > FRESH_SECONDS:
                self._known = None
                self._known = (now, await self._ask_all())
            return self._known[1]

    async def replicas(self) -> list[Address]:
        """Return the announced addresses of the replicas that a Sentinel finds up.

        Raises:
            RedisConnectionError: no Sentinel answers.
        """
        self._look_around()
        for address in self._addresses:
            with suppress(RedisError, OSError, TimeoutError):
                return _usable(await self._ask(address, "REPLICAS"))
        message = "no Sentinel tells the replicas"
        raise RedisConnectionError(message)

    async def aclose(self) -> None:
        """Close the connections that were kept."""
        for task in self._asking:
            task.cancel()
        kept, self._kept = self._kept, {}
        for connection in kept.values():
            await connection.disconnect(nowait=True)

    def _look_around(self) -> None:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._start(loop)

    async def _ask_all(self) -> Address:
        tasks = [asyncio.create_task(self._vote(address)) for address in self._addresses]
        for task in tasks:  # those that are not waited for end by themselves, within ANSWER_SECONDS
            self._asking.add(task)
            task.add_done_callback(self._answered)
        votes: Counter[Address] = Counter()
        failures: list[Exception] = []
        for next_answer in asyncio.as_completed(tasks):
            try:
                votes[await next_answer] += 1
            except (RedisError, OSError, TimeoutError) as error:
                failures.append(error)
            leader = votes.most_common(1)
            if leader and leader[0][1] > len(tasks) // 2:
                return leader[0][0]
        if votes:
            return votes.most_common(1)[0][0]
        refusals = [refusal for refusal in map(sort, failures) if isinstance(refusal, StoreDenied)]
        if refusals:
            message = f"the Sentinels refuse us: {refusals[0]} (REDIS_SENTINEL_USERNAME, REDIS_SENTINEL_PASSWORD)"
            raise StoreDenied(message)
        reasons = "; ".join(sorted({str(failure) or type(failure).__name__ for failure in failures}))
        message = f"no Sentinel knows a primary of {self._master}: {reasons}"
        raise RedisConnectionError(message)

    def _answered(self, task: asyncio.Task[Address]) -> None:
        self._asking.discard(task)
        if not task.cancelled():
            task.exception()  # seen, so that the loop does not report it

    async def _vote(self, address: Address) -> Address:
        reply = await self._ask(address, "GET-MASTER-ADDR-BY-NAME")
        if not isinstance(reply, list):
            message = f"{address} watches no group of this name"
            raise RedisConnectionError(message)
        host, port = (bytes(part).decode() for part in reply if isinstance(part, bytes))
        return Address(host, int(port))

    async def _ask(self, address: Address, question: str) -> Reply:
        async with asyncio.timeout(ANSWER_SECONDS):
            kept = self._kept.pop(address, None)
            if kept is not None:
                try:
                    return await self._exchange(address, kept, question)
                except (RedisError, OSError):
                    pass  # it was closed meanwhile, as after a restart of the Sentinel
            return await self._exchange(address, await self._dialler.open(address, self._login), question)

    async def _exchange(self, address: Address, connection: AbstractConnection, question: str) -> Reply:
        try:
            [reply] = await exchange(connection, [("SENTINEL", question, self._master)])
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        if self._kept.setdefault(address, connection) is not connection:
            await connection.disconnect(nowait=True)
        if isinstance(reply, Exception):
            raise reply
        return reply


def _usable(reply: Reply) -> list[Address]:
    found = []
    for replica in reply if isinstance(reply, list) else []:
        words = (
            [bytes(word).decode() for word in replica if isinstance(word, bytes)] if isinstance(replica, list) else []
        )
        told = dict(zip(words[::2], words[1::2], strict=True))
        down = {"s_down", "o_down", "disconnected"}.intersection(told["flags"].split(","))
        if not down and told["master-link-status"] == "ok":
            found.append(Address(told["ip"], int(told["port"])))
    return found


async def greet_primary(connection: AbstractConnection) -> None:
    """Log in and make sure that this is a primary: what Sentinel said may be out of date.

    Source of the rule: https://redis.io/docs/latest/develop/reference/sentinel-clients/, step 3.
    """
    await connection.on_connect()
    [role] = await exchange(connection, [("ROLE",)])
    if isinstance(role, Exception):
        raise role
    if not isinstance(role, list) or role[0] != b"master":
        message = "the server that Sentinel named is not a primary"
        raise RedisConnectionError(message)
