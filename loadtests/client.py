"""A synchronous client for the calls of `session_core.protocol`, for greenlets: one connection to a primary, no pool.

A call is repeated until its deadline, and the Sentinels or the nodes of a cluster are asked anew, as the library does
it: a failover costs here what it costs an application. Every call may be repeated, since the caller makes the ids.
"""

import random
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.exceptions import MovedError, RedisError, ResponseError
from redis.retry import Retry

from session_core.address import Address
from session_core.connection import new_reader, sort
from session_core.protocol import Call, Word, read_time, wait
from session_core.settings import Settings
from session_core.slots import slot_of

T = TypeVar("T")
CONNECT_SECONDS: Final = 2.0
REPLY_SECONDS: Final = 2.0
PAUSE_SECONDS: Final = 0.1
RECEIVED_BYTES: Final = 16_384
_NOTHING: Final = object()


class _Plain(redis.Connection):
    """A connection that is dialled where the address map says."""

    def __init__(self, *, place: Address, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(**settings)  # type: ignore[no-untyped-call]
        self._place = place

    def _connect(self) -> Any:  # noqa: ANN401
        announced = Address(self.host, self.port)
        self.host, self.port = self._place
        try:
            return super()._connect()  # type: ignore[no-untyped-call]
        finally:
            self.host, self.port = announced


class _Tls(redis.SSLConnection, _Plain):
    """The same with TLS: the certificate has to be that of the announced name."""


class Conversation:
    """Commands and their replies on an open connection. Of redis-py only the opening: its time is the generator's."""

    def __init__(self, connection: redis.Connection) -> None:
        """Take a connection that is logged in."""
        self._connection = connection
        self._socket: Any = connection._sock  # noqa: SLF001 - redis-py gives no other way to it
        self._reader = new_reader(_NOTHING)

    def ask(self, commands: Sequence[tuple[Word, ...]]) -> list[Any]:
        """Send commands in one write; their replies, in order.

        Raises:
            RedisError: the first reply that is an error, or the connection was closed.
            OSError: it broke.
        """
        self._socket.sendall(b"".join(map(hiredis.pack_command, commands)))  # type: ignore[arg-type]
        replies = [self._reply() for _ in commands]
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    def _reply(self) -> object:
        while (reply := self._reader.gets()) is _NOTHING:
            received = self._socket.recv(RECEIVED_BYTES)
            if not received:
                raise redis.ConnectionError("the server closed the connection")
            self._reader.feed(received)
        return reply

    def close(self) -> None:
        """Close the connection."""
        self._connection.disconnect()  # type: ignore[no-untyped-call]


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
        while True:
            try:
                return self._once(call, durable=durable)
            except (RedisError, OSError) as error:
                again = sort(error) is None or isinstance(error, MovedError)
                if again or not isinstance(error, ResponseError):
                    self.close()
                if not again or time.monotonic() >= end:
                    raise
            time.sleep(random.uniform(PAUSE_SECONDS / 2, PAUSE_SECONDS))  # noqa: S311 - jitter

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
            self._open_to[node] = Conversation(self._dialled(node) if node else self._open())
        return self._open_to[node]

    def _owner(self, call: Call[T]) -> Address:
        """The node that serves the slot of a call, as a node of the cluster tells it."""
        if not self._owners:
            seed = random.choice(self._settings.target.addresses)  # noqa: S311
            asked = Conversation(self._dialled(seed))
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

    def _dialled(self, address: Address) -> redis.Connection:
        connection = self._dial(address, self._login())
        connection.connect()  # type: ignore[no-untyped-call]
        return connection

    def _open(self) -> redis.Connection:
        target = self._settings.target
        if not target.sentinel:
            return self._dialled(target.addresses[0])
        for address in self._named():
            connection = self._dial(address, self._login())
            try:
                connection.connect()  # type: ignore[no-untyped-call]
                connection.send_command("ROLE")  # type: ignore[no-untyped-call]
                if connection.read_response()[0] == b"master":
                    return connection
            except (RedisError, OSError):
                pass  # the word of the next Sentinel may be a better one
            connection.disconnect()  # type: ignore[no-untyped-call]
        raise redis.ConnectionError(f"no Sentinel of {target.master} names a node that is primary")

    def _named(self) -> Iterator[Address]:
        """The primary as each Sentinel knows it, in random order."""
        target, settings = self._settings.target, self._settings
        password = settings.redis_sentinel_password.get_secret_value()
        for sentinel in random.sample(target.addresses, len(target.addresses)):
            connection = self._dial(
                sentinel, {"username": settings.redis_sentinel_username or None, "password": password or None}
            )
            try:
                connection.connect()  # type: ignore[no-untyped-call]
                connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", target.master)  # type: ignore[no-untyped-call]
                host, port = connection.read_response()
            except (RedisError, OSError, TypeError):
                continue
            finally:
                connection.disconnect()  # type: ignore[no-untyped-call]
            yield Address(host.decode(), int(port))

    def _login(self) -> dict[str, str | int | None]:
        settings, target = self._settings, self._settings.target
        return {
            "username": settings.redis_username or target.username or None,
            "password": settings.redis_password.get_secret_value() or target.password or None,
            "db": target.db,
        }

    def _dial(self, address: Address, login: dict[str, Any]) -> redis.Connection:
        common = login | {
            "host": address.host,
            "port": address.port,
            "place": self._settings.address_map.dial(address),
            "protocol": 2,
            "driver_info": None,
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": REPLY_SECONDS,
            "retry": Retry(NoBackoff(), 0),
        }
        if not self._settings.tls:
            return _Plain(**common)
        authority = self._settings.redis_ca_file
        return _Tls(**common, ssl_ca_certs=str(authority) if authority else None, ssl_check_hostname=True)
