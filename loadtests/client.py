"""A synchronous client for the calls of `session_core.protocol`, for greenlets: one connection to a primary, no pool.

A call is repeated until its deadline, and the Sentinels or the nodes of a cluster are asked anew, as the library does
it: a failover costs here what it costs an application. Every call may be repeated, since the caller makes the ids.
"""

import random
import time
from typing import TypeVar

import redis
from redis.exceptions import MovedError, RedisError, ResponseError

from loadtests.conversation import Conversation, dial
from loadtests.sentinels import sentinels_of
from session_core.address import Address
from session_core.connection import Login, sort
from session_core.link import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS
from session_core.protocol import Call, read_time, wait
from session_core.settings import Settings
from session_core.slots import slot_of

T = TypeVar("T")


class Client:
    """Calls on connections to the primaries, opened when they are needed."""

    def __init__(self, settings: Settings) -> None:
        """Keep how to connect; nothing is sent."""
        self._settings = settings
        self._open_to: dict[Address | None, Conversation] = {}
        """By the node of a cluster; None: the one primary."""
        self._owners: dict[int, Address] = {}
        """Of a cluster, by slot."""

    def ask(self, call: Call[T]) -> T:
        """Send a call and read its reply.

        Raises:
            RedisError: refused, or no answer within SESSION_DEADLINE_SECONDS.
        """
        return self._repeated(call, durable=False)[0]

    def ask_durably(self, call: Call[T]) -> tuple[T, bool]:
        """Send a write and WAIT; also returns whether enough replicas have confirmed it.

        Raises:
            RedisError: refused, or no answer within SESSION_DEADLINE_SECONDS.
        """
        return self._repeated(call, durable=self._settings.wait_replicas > 0)

    def close(self) -> None:
        """Close the connections; the next call opens another one."""
        while self._open_to:
            self._open_to.popitem()[1].close()
        self._owners = {}

    def _repeated(self, call: Call[T], *, durable: bool) -> tuple[T, bool]:
        end = time.monotonic() + self._settings.session_deadline_seconds
        attempt = 0
        while True:
            try:
                return self._once(call, durable=durable)
            except (RedisError, OSError) as error:
                again = sort(error) is None or isinstance(error, MovedError)
                if again or not isinstance(error, ResponseError):
                    self.close()
                if not again or time.monotonic() >= end:
                    raise
            pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt)
            time.sleep(random.uniform(0.5, 1) * pause)  # noqa: S311 - jitter
            attempt += 1

    def _once(self, call: Call[T], *, durable: bool) -> tuple[T, bool]:
        commands = [call.words]
        if call.clock:
            commands.append(("TIME",))
        if durable:
            commands.append(wait(self._settings.wait_replicas, self._settings.session_wait_timeout_ms))
        replies = self._conversation(call).ask(commands)
        result = call.read(replies[0], read_time(replies[1]) if call.clock else 0)
        return result, not durable or replies[-1] >= self._settings.wait_replicas

    def _conversation(self, call: Call[T]) -> Conversation:
        node = self._owner(call) if self._settings.target.cluster else None
        if node not in self._open_to:
            self._open_to[node] = self._dialled(node) if node else self._opened()
        return self._open_to[node]

    def _owner(self, call: Call[T]) -> Address:
        """The node that serves the slot of a call, as a node of the cluster tells it."""
        if not self._owners:
            seed = random.choice(self._settings.target.addresses)  # noqa: S311
            asked = self._dialled(seed)
            try:
                [ranges] = asked.ask([("CLUSTER", "SLOTS")])
            finally:
                asked.close()
            for first, last, (host, port, *_), *_replicas in ranges:
                self._owners.update(dict.fromkeys(range(first, last + 1), Address(host.decode(), port)))
        try:
            return self._owners[slot_of(call)]
        except KeyError:
            raise redis.exceptions.ClusterDownError("nobody serves this slot") from None

    def _opened(self) -> Conversation:
        target = self._settings.target
        if not target.sentinel:
            return self._dialled(target.addresses[0])
        for address in sentinels_of(self._settings).named():
            conversation = None
            try:
                conversation = self._dialled(address)
                [role] = conversation.ask([("ROLE",)])
            except (RedisError, OSError):
                role = [b""]  # the word of the next Sentinel may be a better one
            if conversation and role[0] == b"master":
                return conversation
            if conversation:
                conversation.close()
        raise redis.ConnectionError(f"no Sentinel of {target.master} names a node that is primary")

    def _dialled(self, address: Address) -> Conversation:
        settings, target = self._settings, self._settings.target
        username = settings.redis_username or target.username
        password = settings.redis_password.get_secret_value() or target.password
        return dial(settings, address, Login(username, password), target.db)
