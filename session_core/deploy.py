"""Loads the function library with the deploy user. The application itself has no right to."""

from session_core import library, protocol
from session_core.address import Address
from session_core.connection import Login
from session_core.errors import SettingsError, StoreError, StoreNotReady
from session_core.ids import BUCKETS
from session_core.link import Link
from session_core.protocol import Call, Reply
from session_core.settings import Settings


async def load_functions(settings: Settings) -> str:
    """Load the library where it is missing, other than ours, or older; say what was done. May be repeated at will.

    In a cluster it is loaded on every primary, and what was done is one line for each.

    Raises:
        SettingsError: the deploy user is not set.
        StoreNotReady: the database belongs to a release with another layout.
        StoreError: the server did not do it.
    """
    password = settings.redis_deploy_password.get_secret_value()
    if settings.redis_deploy_username and not password:
        message = "REDIS_DEPLOY_USERNAME is set but REDIS_DEPLOY_PASSWORD is missing"
        raise SettingsError(message)
    link = Link(settings, Login(settings.redis_deploy_username, password) if password else None)
    try:
        await _lay_out(link)
        if settings.session_scripts == "eval":
            return "session_meta is in place; SESSION_SCRIPTS=eval needs no library"
        done = [(server, await _load(link, server)) for server in link.servers()]
        return "\n".join(f"{server}: {what}" if server else what for server, what in done)
    finally:
        await link.aclose()


async def _lay_out(link: Link) -> None:
    for field, value in (("buckets", BUCKETS), ("schema", library.SCHEMA)):
        await link.ask(Call(("HSETNX", "session_meta", field, value), _number, writes=True))
    buckets, schema = await link.ask(protocol.layout())
    if (buckets, schema) != (BUCKETS, library.SCHEMA):
        message = (
            f"session_meta says {buckets} buckets, schema {schema}; this release needs {BUCKETS}, {library.SCHEMA}"
        )
        raise StoreNotReady(message)


async def _load(link: Link, server: Address | str) -> str:
    try:
        found = await link.ask(protocol.revision(server))
    except StoreNotReady:
        found = 0
    if found > library.REVISION:
        return f"the server has the newer revision {found}; revision {library.REVISION} was not loaded"
    ours = library.source()
    if found == library.REVISION and await link.ask(_installed(server)) == ours:
        return f"{library.NAME} revision {found} is loaded already"
    load = Call(("FUNCTION", "LOAD", "REPLACE", ours), lambda _reply, _now: None, writes=True, at=server)
    _, durable = await link.ask_durably(load)
    if await link.ask(protocol.revision(server)) != library.REVISION:
        message = "the server does not answer with the revision that was just loaded"
        raise StoreError(message)
    confirmed = "confirmed by the replicas" if durable else "not confirmed by a replica"
    return f"loaded {library.NAME} revision {library.REVISION} ({confirmed})"


def _installed(server: Address | str) -> Call[str]:
    def read(reply: Reply, _now: int) -> str:
        for found in reply if isinstance(reply, list) else []:
            fields = found if isinstance(found, list) else []
            named = dict(zip(fields[::2], fields[1::2], strict=True))
            code = named.get(b"library_code")
            if isinstance(code, bytes):
                return code.decode()
        return ""

    return Call(("FUNCTION", "LIST", "LIBRARYNAME", library.NAME, "WITHCODE"), read, at=server)


def _number(reply: Reply, _now: int) -> int:
    return reply if isinstance(reply, int) else 0
