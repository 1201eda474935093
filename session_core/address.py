"""Where Redis is: the URL forms of ``REDIS_URL`` and the address map for clients outside the network. No I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from session_core.errors import SettingsError

REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26379
_SCHEMES: Final = {
    "redis": ("server", False),
    "rediss": ("server", True),
    "redis-sentinel": ("sentinel", False),
    "rediss-sentinel": ("sentinel", True),
    "redis-cluster": ("cluster", False),
    "rediss-cluster": ("cluster", True),
}
"""Scheme: (what the addresses are, TLS)."""


class Address(NamedTuple):
    """A host and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return it as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Target:
    """What ``REDIS_URL`` says.

    Attributes:
        addresses: the server, the Sentinels, or some nodes of the cluster; empty for a unix socket.
        master: the name of the group that the Sentinels watch; empty without Sentinel.
        cluster: whether the addresses are of a Redis Cluster, which names its other nodes itself.
        path: of the unix socket, else empty.
    """

    addresses: tuple[Address, ...]
    tls: bool = False
    master: str = ""
    cluster: bool = False
    path: str = ""
    db: int = 0
    username: str = ""
    password: str = field(default="", repr=False)

    @property
    def sentinel(self) -> bool:
        """Whether the primary has to be asked for."""
        return bool(self.master)


def parse_url(url: str) -> Target:
    """Read one of the forms below; user name and password before ``@`` are allowed in each.

    ``redis://host[:port][/db]``, ``rediss://…``, ``redis-sentinel://host[:port],…/master[/db]``, ``rediss-sentinel://…``,
    ``redis-cluster://host[:port],…``, ``rediss-cluster://…``, ``unix:///path``.

    Raises:
        SettingsError: any other form; the message never holds the URL, which may contain a password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or (scheme not in _SCHEMES and scheme != "unix"):
        raise _bad(f"must start with {', '.join(f'{known}://' for known in _SCHEMES)} or unix://")
    if "?" in rest or "#" in rest:
        raise _bad("takes no ?options; use the REDIS_… variables (percent-encode ? and # in passwords)")
    credentials, at, rest = rest.rpartition("@")
    username, _, password = credentials.partition(":") if at else ("", "", "")
    if "," in username:
        raise _bad("names its user and password once, before the first host (percent-encode a comma in a name)")
    username, password = unquote(username), unquote(password)
    if scheme == "unix":
        if not rest.startswith("/"):
            raise _bad("needs an absolute path: unix:///run/redis.sock")
        return Target((), path=unquote(rest), username=username, password=password)
    kind, tls = _SCHEMES[scheme]
    hosts, *path = rest.rstrip("/").split("/")
    port = SENTINEL_PORT if kind == "sentinel" else REDIS_PORT
    addresses = tuple(_address(host, port) for host in hosts.split(","))
    master = unquote(path.pop(0)) if kind == "sentinel" and path else ""
    if kind == "sentinel" and not master:
        raise _bad("needs the master name: redis-sentinel://host:26379/mymaster")
    if kind == "server" and len(addresses) > 1:
        raise _bad("names several hosts: only the redis-sentinel:// and redis-cluster:// forms do")
    db = _database(path)
    if kind == "cluster" and db:
        raise _bad("names a database: a cluster has only number 0")
    return Target(addresses, tls, master, kind == "cluster", db=db, username=username, password=password)


@dataclass(frozen=True, slots=True)
class AddressMap:
    """``REDIS_ADDRESS_MAP``: where to connect for the names that Redis and Sentinel announce.

    Certificates are still checked against the announced name.
    """

    exact: Mapping[Address, Address] = field(default_factory=dict)
    every_host: str = ""

    def dial(self, announced: Address) -> Address:
        """Return where to connect for this address."""
        if announced in self.exact:
            return self.exact[announced]
        return Address(self.every_host, announced.port) if self.every_host else announced


def parse_map(text: str) -> AddressMap:
    """Read ``redis-1:6379=127.0.0.1:6379,…``; ``*=127.0.0.1`` sends every name there and keeps the port.

    Raises:
        SettingsError: an entry that is neither.
    """
    exact: dict[Address, Address] = {}
    every_host = ""
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, equals, place = entry.partition("=")
        try:
            if name == "*" and place:
                every_host = _host(place)
            else:
                exact[_address(name, None)] = _address(place, None)
        except SettingsError:
            equals = ""
        if not equals:
            message = f"REDIS_ADDRESS_MAP: {entry!r} is neither name:port=host:port nor *=host"
            raise SettingsError(message)
    return AddressMap(exact, every_host)


def _address(text: str, default_port: int | None) -> Address:
    try:
        parts = urlsplit(f"//{text.strip()}")
        host, port = parts.hostname, default_port if parts.port is None else parts.port
    except ValueError:
        host = port = None
    whole = not text.strip().startswith("[") or re.fullmatch(r"\[[^\]]*\](:\d+)?", text.strip())
    if not host or not port or not whole:
        raise _bad("needs host names and ports from 1 to 65535")
    return Address(unquote(host), port)


def _host(text: str) -> str:
    """A host without a port."""
    host, port = _address(f"[{text}]" if text.count(":") > 1 and not text.startswith("[") else text, REDIS_PORT)
    if port != REDIS_PORT or (text.count(":") == 1):
        raise _bad("needs a host without a port")
    return host


def _database(path: list[str]) -> int:
    if not path:
        return 0
    if len(path) > 1 or not path[0].isascii() or not path[0].isdigit():
        raise _bad("ends in something that is not the number of a database")
    return int(path[0])


def _bad(what: str) -> SettingsError:
    return SettingsError(f"REDIS_URL {what}")
