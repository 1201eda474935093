"""Speaks to one address of Redis or Sentinel directly: to look at it, and to try what must be refused. Blocking."""

import contextlib
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import hiredis

from session_core.address import Address, AddressMap

SECONDS = 2.0
"""Longest wait for a connection and for each reply."""
Reply = Any
"""As hiredis decodes it: text, int, list, None; an error reply is a `hiredis.ReplyError` in its place."""


class WireError(Exception):
    """No conversation was possible: refused, silent, closed, or no TLS."""


class LoginError(WireError):
    """The server answers, and lets this user not in."""


@dataclass(frozen=True, slots=True)
class Login:
    """ACL user and password; both empty for nobody."""

    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Wire:
    """How to reach the announced addresses of a deployment; `context` is None where it has no TLS."""

    places: AddressMap
    context: ssl.SSLContext | None

    def ask(self, address: Address, login: Login, *commands: Sequence[str]) -> list[Reply]:
        """Log in, if there is a user, and send commands; their replies, in order.

        Raises:
            LoginError: the login was refused.
            WireError: no conversation.
        """
        with _as_wire_error(address), self.connect(address) as connection:
            if login.password:
                words = ("AUTH", *filter(None, (login.username, login.password)))
                [answer] = converse(connection, [words])
                if isinstance(answer, hiredis.ReplyError):
                    raise LoginError(f"{address}: {answer}")
            return converse(connection, commands)

    def connect(self, address: Address, *, plain: bool = False) -> socket.socket:
        """Open a connection, verified against the announced name; `plain`: without TLS whatever the deployment has."""
        place = self.places.dial(address)
        connection = socket.create_connection((place.host, place.port), SECONDS)
        if self.context is None or plain:
            return connection
        try:
            return self.context.wrap_socket(connection, server_hostname=address.host)
        except BaseException:
            connection.close()
            raise


def converse(connection: socket.socket, commands: Sequence[Sequence[str]]) -> list[Reply]:
    """Send commands and read as many replies.

    Raises:
        WireError: the connection was closed, or speaks something else.
    """
    connection.sendall(b"".join(hiredis.pack_command(tuple(words)) for words in commands))  # type: ignore[arg-type]
    nothing = object()
    reader = hiredis.Reader(encoding="utf-8", errors="replace", notEnoughData=nothing)
    replies: list[Reply] = []
    while len(replies) < len(commands):
        while (reply := reader.gets()) is nothing:
            if not (received := connection.recv(65536)):
                raise WireError("the connection was closed")
            reader.feed(received)
        replies.append(reply)
    return replies


def pairs(reply: Reply) -> dict[str, Any]:
    """A reply of names and values, which RESP2 tells as a list and RESP3 as a map."""
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))


@contextlib.contextmanager
def _as_wire_error(address: Address) -> Iterator[None]:
    try:
        yield
    except (OSError, hiredis.ProtocolError) as error:
        raise WireError(f"{address}: {error}") from error
