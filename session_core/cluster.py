"""The way through a Redis Cluster: each call goes to the node that serves its slot, in that node's lanes.

Source of the rules: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#redirection-and-resharding
"""

import asyncio
import random
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AskError, MovedError, RedisError, ResponseError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError

from session_core.address import Address
from session_core.connection import Dialler, Login, Outcome, exchange, sort
from session_core.errors import StoreError
from session_core.lane import Replies
from session_core.pool import Kind, Pool, seen
from session_core.protocol import Call
from session_core.replicas import Replicas
from session_core.settings import Settings
from session_core.slots import by_slot, held_while_moving, slot_of

REDIRECTIONS: Final = 5
AT_ONCE: Final = 3
"""Nodes that are asked for the slots at the same time; the first answer counts."""
ANSWER_SECONDS: Final = 1.0
FRESH_SECONDS: Final = 0.1
"""Calls that fail together ask once."""
REPLICAS_SECONDS: Final = 10.0
"""How often the nodes are asked for the replicas that there are, where those are read from."""
T = TypeVar("T")
_Slots: TypeAlias = tuple[dict[int, Address], dict[Address, Sequence[Address]]]
"""Which primary serves each slot, and the replicas of each primary."""


_SLOTS: Final[Call[None]] = Call(("CLUSTER", "SLOTS"), lambda _reply, _now: None)


class Cluster:
    """Nodes by slot, and the connections to each; implements `session_core.route.Route`."""

    def __init__(self, settings: Settings, login: Login) -> None:
        """Read the settings."""
        self._settings = settings
        self._login = login
        self._dialler = Dialler(settings)
        self._seeds = settings.target.addresses
        self._pools: dict[Address, Pool] = {}
        self._replicas: dict[Address, Replicas] = {}
        self._owners: dict[int, Address] = {}
        self._followers: dict[Address, Sequence[Address]] = {}
        self._learnt = float("-inf")
        self._learning: asyncio.Task[None] | None = None

    async def exchange(self, call: Call[T], kind: Kind, deadline: float, *, stale: bool) -> Replies:
        """See `Route`. Redirections are followed at once; a node that is not there is looked for in the background."""
        if not self._owners:
            await self._learn(deadline)
        call, address = held_while_moving(call), self._address_of(call)
        asking = False
        for _ in range(REDIRECTIONS):
            try:
                if asking:
                    replies = await self._pool(address).exchange_alone(call, kind, deadline, ("ASKING",))
                else:
                    replies = await self._way(address, stale=stale).exchange(call, kind, deadline)
            except (RedisError, OSError, TimeoutError):
                await self.doubt()
                raise
            outcome, closing = replies
            if not isinstance(outcome, AskError):
                return _told(outcome, address), closing
            address = _named(outcome, address)
            asking = not isinstance(outcome, MovedError)  # then this one call is to go there, and the next is not
            if not asking:
                self._owners[outcome.slot_id] = address
                await self.doubt()  # most likely it is not the only one that has moved
        return TryAgainError(f"redirected {REDIRECTIONS} times"), None

    async def doubt(self) -> None:
        """See `Route`: learn anew who serves which slots, while calls go on by what is known."""
        if asyncio.get_running_loop().time() > self._learnt + FRESH_SECONDS:
            self._learn_soon()

    def spread(self, keys: Iterable[str]) -> Sequence[tuple[str, ...]]:
        """See `Route`: one call takes keys of one slot."""
        return by_slot(keys)

    def servers(self) -> Sequence[Address | str]:
        """See `Route`."""
        return sorted(self._followers)

    async def aclose(self) -> None:
        """See `Route`."""
        if self._learning is not None:
            self._learning.cancel()
        for replicas in self._replicas.values():
            await replicas.aclose()
        for pool in self._pools.values():
            await pool.renew()

    def _address_of(self, call: Call[T]) -> Address:
        if isinstance(call.at, Address):
            return call.at
        slot = slot_of(call)
        if slot not in self._owners:
            self._learn_soon()
            message = f"no node of the cluster serves slot {slot} now"
            raise RedisConnectionError(message)
        return self._owners[slot]

    def _way(self, primary: Address, *, stale: bool) -> Pool | Replicas:
        pool = self._pool(primary)
        if not stale:
            return pool
        if primary not in self._replicas:
            whom = partial(self._replicas_of, primary)
            self._replicas[primary] = Replicas(self._settings, pool, whom, self._open_replica)
        return self._replicas[primary]

    def _pool(self, address: Address) -> Pool:
        if address not in self._pools:
            dial = partial(self._dialler.open, address, self._login)
            self._pools[address] = Pool(self._settings, dial, self._dialler.reply_seconds)
        return self._pools[address]

    async def _learn(self, deadline: float) -> None:
        async with asyncio.timeout_at(deadline):
            await asyncio.shield(self._learn_soon())  # who gives up does not take the others along

    def _learn_soon(self) -> asyncio.Task[None]:
        if self._learning is None or self._learning.done():
            self._learning = asyncio.create_task(self._ask_nodes())
            self._learning.add_done_callback(seen)
        return self._learning

    async def _ask_nodes(self) -> None:
        """Take the slots from the first node that tells them: primaries in any order, then replicas, then the seeds."""
        primaries = random.sample(list(self._followers), len(self._followers))
        replicas = (replica for primary in primaries for replica in self._followers[primary])
        candidates = list(dict.fromkeys([*primaries, *replicas, *self._seeds]))
        failures: list[Exception] = []
        for start in range(0, len(candidates), AT_ONCE):
            asking = [asyncio.create_task(self._ask_node(node)) for node in candidates[start : start + AT_ONCE]]
            try:
                for answer in asyncio.as_completed(asking):
                    try:
                        await self._settle(await answer)
                    except (RedisError, OSError, TimeoutError, StoreError) as error:
                        failures.append(error)
                    else:
                        return
            finally:
                for task in asking:
                    task.cancel()
        for failure in failures:
            final = failure if isinstance(failure, StoreError) else sort(failure)
            if final is not None:
                raise final
        reasons = "; ".join(sorted({str(failure) or type(failure).__name__ for failure in failures}))
        message = f"no node of the cluster answers: {reasons}"
        raise RedisConnectionError(message)

    async def _ask_node(self, node: Address) -> _Slots:
        deadline = asyncio.get_running_loop().time() + ANSWER_SECONDS
        reply, _ = await self._pool(node).exchange(_SLOTS, "read", deadline)
        if isinstance(reply, ResponseError) and "cluster support disabled" in str(reply):
            message = f"REDIS_URL names a cluster, but {node} is a server of its own: name it by redis:// or rediss://"
            raise StoreError(message)
        if isinstance(reply, Exception):
            raise reply
        return _read_slots(reply, node)

    async def _settle(self, slots: _Slots) -> None:
        self._owners, self._followers = slots
        self._learnt = asyncio.get_running_loop().time()
        for address in set(self._pools).difference(self._followers):
            await self._pools.pop(address).renew()
        for address in set(self._replicas).difference(self._followers):
            await self._replicas.pop(address).aclose()

    async def _replicas_of(self, primary: Address) -> Sequence[Address]:
        now = asyncio.get_running_loop().time()
        if now > self._learnt + REPLICAS_SECONDS:
            await self._learn(now + ANSWER_SECONDS)
        return self._followers.get(primary, ())

    async def _open_replica(self, address: Address) -> AbstractConnection:
        return await self._dialler.open(address, self._login, greet=_greet_replica)


def _read_slots(reply: Any, asked: Address) -> _Slots:  # noqa: ANN401 - see CLUSTER SLOTS
    owners: dict[int, Address] = {}
    followers: dict[Address, Sequence[Address]] = {}
    for first, last, primary, *replicas in reply:
        owner = _address(primary, asked)
        if owner is not None:
            owners.update(dict.fromkeys(range(first, last + 1), owner))
            followers[owner] = [where for where in (_address(replica, asked) for replica in replicas) if where]
    return owners, followers


def _address(node: Any, asked: Address) -> Address | None:  # noqa: ANN401 - host, port, ...
    host = (node[0] or b"").decode()
    return None if host == "?" else Address(host or asked.host, node[1])  # it does not know its own, or a name


def _named(redirection: AskError, asked: Address) -> Address:
    if redirection.host == "?":
        message = "redirected to a node whose name is not known yet"
        raise RedisConnectionError(message)
    return Address(redirection.host or asked.host, redirection.port)


def _told(outcome: Outcome, address: Address) -> Outcome:
    """Return an error with the node's name where an operator needs it."""
    missing = isinstance(outcome, ResponseError) and "Function not found" in str(outcome)
    return ResponseError(f"{outcome!s} on {address}") if missing else outcome


async def _greet_replica(connection: AbstractConnection) -> None:
    """Log in and ask for reads to be answered here."""
    await connection.on_connect()
    [reply] = await exchange(connection, [("READONLY",)])
    if isinstance(reply, Exception):
        raise reply
