"""Opens connections to Redis and Sentinel, exchanges commands on them, and sorts the errors.

redis-py's own retries stay at 0: they would send again on the same connection and never ask Sentinel anew. The loop
that repeats is in `session_core.link`.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import hiredis
from redis._parsers import BaseParser
from redis.asyncio.connection import AbstractConnection, Connection, UnixDomainSocketConnection
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    InvalidResponse,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from session_core.address import Address, AddressMap
from session_core.errors import StoreDenied, StoreError, StoreFull, StoreNotReady
from session_core.protocol import Reply, Word
from session_core.settings import Settings

CONNECT_SECONDS: Final = 2.0
REPLY_SECONDS: Final = 2.0
"""Longest wait for one reply; a stopped process accepts connections and never answers."""

_AGAIN: Final = (
    RedisConnectionError,
    RedisTimeoutError,
    ReadOnlyError,
    ClusterDownError,
    MasterDownError,
    TryAgainError,
    OSError,
    TimeoutError,
)
_AGAIN_CODES: Final = (
    "NOREPLICAS",
    "UNBLOCKED",
    "BUSY",
    "LOADING",
    "READONLY",
    "MASTERDOWN",
    "TRYAGAIN",
    "CLUSTERDOWN",
)
Outcome: TypeAlias = "Reply | RedisError"
_LOAD: Final = "load the function library with the deploy user: session-core functions load"


@dataclass(frozen=True, slots=True)
class Login:
    """ACL user and password; both empty for a server without."""

    username: str = ""
    password: str = field(default="", repr=False)


class Socket(Connection):
    """A connection that is dialled where the address map says and verified against the announced name."""

    def __init__(self, *, place: Address, context: ssl.SSLContext | None, **settings: Any) -> None:  # noqa: ANN401
        """Keep where to dial; everything else is redis-py's."""
        super().__init__(**settings)
        self._place = place
        self._context = context

    def _connection_arguments(self) -> Mapping[str, Any]:
        arguments: dict[str, Any] = {"host": self._place.host, "port": self._place.port}
        if self._context is not None:
            arguments |= {"ssl": self._context, "server_hostname": self.host}
        return arguments


class LocalSocket(UnixDomainSocketConnection):
    """By a unix socket. redis-py's own logs in while it connects, so that a refusal looks like a broken connection."""

    async def _connect(self) -> None:
        async with asyncio.timeout(self.socket_connect_timeout):
            self._reader, self._writer = await asyncio.open_unix_connection(self.path)


class Dialler:
    """Makes connections as the settings say. The TLS context is made once and shared."""

    def __init__(self, settings: Settings) -> None:
        """Read the settings.

        Raises:
            StoreDenied: the CA file cannot be read or holds no certificate.
        """
        self._map: AddressMap = settings.address_map
        self._context = _tls_context(settings) if settings.tls else None
        self.reply_seconds = REPLY_SECONDS + settings.session_wait_timeout_ms / 1000

    async def open(
        self,
        address: Address,
        login: Login,
        *,
        db: int = 0,
        greet: Callable[[AbstractConnection], Awaitable[None]] | None = None,
    ) -> AbstractConnection:
        """Connect and log in; `greet` replaces the greeting.

        Raises:
            RedisError: not reachable, or refused.
        """
        connection = Socket(
            host=address.host,
            port=address.port,
            place=self._map.dial(address),
            context=self._context,
            **self._common(login, db),
            redis_connect_func=greet,
        )
        await connection.connect()  # type: ignore[no-untyped-call]
        return connection

    async def open_path(self, path: str, login: Login, *, db: int = 0) -> AbstractConnection:
        """Connect to a unix socket and log in."""
        connection = LocalSocket(path=path, **self._common(login, db))
        await connection.connect()  # type: ignore[no-untyped-call]
        return connection

    def _common(self, login: Login, db: int) -> dict[str, Any]:
        return {
            "username": login.username or None,
            "password": login.password or None,
            "db": db,
            "protocol": 2,  # the replies of both protocols are the same here; 2 needs no HELLO
            "driver_info": None,  # no CLIENT SETINFO: one right less
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": self.reply_seconds,
        }


def _tls_context(settings: Settings) -> ssl.SSLContext:
    problem = "cannot be read"
    try:
        return ssl.create_default_context(cafile=str(settings.redis_ca_file) if settings.redis_ca_file else None)
    except ssl.SSLError:
        problem = "holds no certificate in PEM form"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    message = f"REDIS_CA_FILE: {settings.redis_ca_file} {problem}"
    raise StoreDenied(message)


async def exchange(connection: AbstractConnection, commands: Sequence[tuple[Word, ...]]) -> list[Outcome]:
    """Send commands in one write and return their replies in order; an error reply is an element, not an exception.

    Raises:
        RedisError: the connection broke; it is closed.
    """
    packed = b"".join(hiredis.pack_command(command) for command in commands)  # type: ignore[arg-type]
    await connection.send_packed_command(packed, check_health=False)
    replies: list[Outcome] = []
    for _ in commands:
        try:
            replies.append(await connection.read_response())
        except ResponseError as error:
            replies.append(error)
    return replies


def take_over(connection: AbstractConnection, protocol: asyncio.Protocol) -> asyncio.StreamWriter:
    """Hand the bytes of a connection to a protocol; return what closes it. The connection itself is of no use then."""
    writer = connection._writer  # noqa: SLF001 - redis-py gives no other way to keep what it has opened
    if writer is None:
        message = "the connection was closed"
        raise RedisConnectionError(message)
    connection._reader = connection._writer = None  # noqa: SLF001
    writer.transport.set_protocol(protocol)
    return writer


def new_reader(nothing: object) -> hiredis.Reader:
    """Make a parser that sorts error replies as redis-py does; `nothing` stands for a reply that is not complete."""
    return hiredis.Reader(InvalidResponse, BaseParser.parse_error, notEnoughData=nothing)


def sort(error: Exception) -> StoreError | None:
    """Return what to raise for an error of redis-py, or None if trying again can help."""
    refused = _refused_certificate(error)
    if refused is not None:
        return StoreDenied(f"the certificate of the server was refused: {refused.verify_message}")
    if isinstance(error, AuthenticationError | AuthorizationError | NoPermissionError):
        return StoreDenied(
            f"the server refused us: {error} (REDIS_USERNAME, REDIS_PASSWORD, the rule of `session-core acl`)"
        )
    text = str(error)
    if isinstance(error, OutOfMemoryError) or text.startswith(("OOM", "MISCONF")):
        return StoreFull(f"the server cannot take more data: {text}")
    if isinstance(error, _AGAIN) or text.startswith(_AGAIN_CODES):
        return None
    if "Function not found" in text:
        where = text.partition("Function not found")[2]  # the node of a cluster
        return StoreNotReady(f"the functions of this library are missing{where}: {_LOAD}")
    if isinstance(error, AskError):
        text += " (a node of a Redis Cluster: REDIS_URL must be a redis-cluster:// one)"
    return StoreError(f"unexpected answer: {text}" if isinstance(error, RedisError) else f"unexpected: {error!r}")


def _refused_certificate(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = error.__cause__ or error.__context__
    return None
