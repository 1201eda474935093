"""Connections to Redis and Sentinel for greenlets, without what redis-py does on them: its time is the generator's."""

import ssl
from collections.abc import Sequence
from typing import Any, Final

import gevent.socket
import hiredis
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from loadtests.trust import trusting
from session_core.address import Address
from session_core.connection import Login, new_reader
from session_core.protocol import Word
from session_core.settings import Settings

CONNECT_SECONDS: Final = 2.0
REPLY_SECONDS: Final = 2.0
RECEIVED_BYTES: Final = 16_384
READ: Final = 1
"""Of libev: tell when there is something to read."""
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


class _Tls(_Plain):
    """The same with TLS: the certificate has to be that of the announced name."""

    def __init__(self, *, context: ssl.SSLContext, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(**settings)
        self._context = context

    def _connect(self) -> Any:  # noqa: ANN401
        return self._context.wrap_socket(super()._connect(), server_hostname=self.host)


class Conversation:
    """Commands and their replies on an open connection."""

    def __init__(self, connection: redis.Connection) -> None:
        """Take a connection that is logged in."""
        self._connection = connection
        self._socket: Any = connection._sock  # noqa: SLF001 - redis-py gives no other way to it
        self._reader = new_reader(_NOTHING)
        self._readable = gevent.get_hub().loop.io(self._socket.fileno(), READ)  # type: ignore[attr-defined]

    def ask(self, commands: Sequence[tuple[Word, ...]]) -> list[Any]:
        """Send commands in one write; their replies, in order.

        Raises:
            RedisError: the first reply that is an error, or the connection was closed.
            OSError: it broke.
        """
        packed = b"".join(map(hiredis.pack_command, commands))  # type: ignore[arg-type]
        if (sent := self._socket.send(packed)) < len(packed):  # sendall alone asks for the size of the buffer each time
            self._socket.sendall(packed[sent:])
        gevent.socket.wait(self._readable, REPLY_SECONDS, TimeoutError)  # trying before that would only raise
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
        self._readable.close()
        self._connection.disconnect()  # type: ignore[no-untyped-call]


def dial(settings: Settings, address: Address, login: Login, db: int = 0) -> Conversation:
    """Open a connection to an announced address and log in.

    Raises:
        RedisError: no connection, or the login was refused.
        OSError: the authority cannot be read.
    """
    common: dict[str, Any] = {
        "host": address.host,
        "port": address.port,
        "place": settings.address_map.dial(address),
        "username": login.username or None,
        "password": login.password or None,
        "db": db,
        "protocol": 2,
        "driver_info": None,
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": REPLY_SECONDS,
        "retry": Retry(NoBackoff(), 0),
    }
    connection = _Tls(**common, context=trusting(settings.redis_ca_file)) if settings.tls else _Plain(**common)
    connection.connect()  # type: ignore[no-untyped-call]
    return Conversation(connection)
