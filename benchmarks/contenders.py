"""What is compared: this library, its peers from PyPI and redis-py itself, each as its users call it.

Runs in an environment that has the peers (`benchmarks.sessions` makes it). An operation takes a number that says for
which user it is. Every session carries the same 300 bytes of metadata.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final, TypeAlias

import redis
import redis.asyncio
from crudauth.storage.backends.redis import RedisSessionStorage
from crudauth.transports.session.manager import SessionManager as CrudauthManager
from crudauth.transports.session.schemas import CSRFToken, SessionData
from fastapi import Request
from fastapi_users.authentication.strategy.redis import RedisStrategy
from flask import Flask
from flask_session import Session as FlaskSession
from starsessions import JsonSerializer
from starsessions.session import SessionHandler
from starsessions.stores.redis import RedisStore

from session_core import SessionManager

METADATA: Final = {"device": "x" * 285}
"""300 bytes as JSON."""
VALUE: Final = b"x" * 350
TTL: Final = 86_400
POOL: Final = 60
"""Connections of each client, more than the concurrency."""
Operation: TypeAlias = Callable[[int], Awaitable[object]]


@dataclass(frozen=True)
class Contender:
    """Attributes: `read` validates user n's session, `create` logs user n in; `also` are other ways to do the same."""

    name: str
    read: Operation
    create: Operation
    also_read: dict[str, Operation]


def request(cookie: str = "") -> Request:
    """Make a request, as the peers want one."""
    headers = [(b"user-agent", b"Mozilla/5.0"), (b"cookie", cookie.encode())]
    return Request({"type": "http", "headers": headers, "client": ("10.0.0.1", 1), "method": "GET", "path": "/"})


async def bare(client: "redis.asyncio.Redis", users: int) -> Contender:
    """redis-py alone: one GET, one SET."""
    for number in range(users):
        await client.set(f"bare:{number}", VALUE, ex=TTL)
    fresh = itertools.count(users)
    return Contender(
        "redis-py GET / SET",
        lambda number: client.get(f"bare:{number}"),
        lambda _number: client.set(f"bare:{next(fresh)}", VALUE, ex=TTL),
        {},
    )


async def ours(sessions: SessionManager, users: int, name: str) -> Contender:
    """This library."""
    made = await asyncio.gather(*(sessions.create_session(f"reader-{number}", METADATA) for number in range(users)))
    return Contender(
        name,
        lambda number: sessions.get_session(made[number].session_id),
        lambda number: sessions.create_session(f"user-{number}", METADATA),
        {},
    )


def newcomers(sessions: SessionManager) -> Operation:
    """Logins of users that have no session yet, so that nothing has to go for them."""
    fresh = itertools.count()
    return lambda _number: sessions.create_session(f"new-{next(fresh)}", METADATA)


async def starsessions(client: "redis.asyncio.Redis", users: int) -> Contender:
    """One key for each session, no index of users, no limit."""
    store = RedisStore(connection=client)

    def handler(session_id: str | None) -> SessionHandler:
        return SessionHandler(request(), session_id, store, JsonSerializer(), TTL)

    async def create(_number: int) -> str:
        new = handler(None)
        await new.load()
        new.connection.session.update(METADATA)
        saved: str = await new.save(TTL)
        return saved

    async def read(number: int) -> SessionHandler:
        found = handler(made[number])
        await found.load()
        if not found.connection.session:
            raise LookupError(number)
        return found

    async def read_and_save(number: int) -> None:
        found = await read(number)
        await found.save(TTL)

    made = [await create(number) for number in range(users)]
    return Contender("starsessions 2.2.1", read, create, {"starsessions 2.2.1, load and save": read_and_save})


async def fastapi_users(client: "redis.asyncio.Redis", users: int) -> Contender:
    """A token that leads to a user id; no metadata, no index of users, never extended."""
    strategy: Any = RedisStrategy(client, TTL)
    manager: Any = SimpleNamespace(parse_id=lambda text: text, get=_itself)

    async def create(number: int) -> str:
        token: str = await strategy.write_token(SimpleNamespace(id=f"user-{number}"))
        return token

    made = [await create(number) for number in range(users)]
    return Contender("fastapi-users 15.0.5", lambda number: strategy.read_token(made[number], manager), create, {})


async def crudauth(client: "redis.asyncio.Redis", users: int) -> Contender:
    """Index of users, limit of 5, CSRF token, extended at each use."""
    manager = CrudauthManager(
        RedisSessionStorage[SessionData](prefix="session:", client=client),
        csrf_storage=RedisSessionStorage[CSRFToken](prefix="csrf:", client=client),
        max_sessions_per_user=5,
        session_timeout_minutes=TTL // 60,
    )

    async def create(number: int) -> str:
        session_id, _ = await manager.create_session(request(), f"user-{number}", METADATA)
        return str(session_id)

    async def read_only(number: int) -> None:
        if await manager.validate_session(made[number], update_activity=False) is None:
            raise LookupError(number)

    async def read(number: int) -> None:
        if await manager.validate_session(made[number]) is None:
            raise LookupError(number)

    made = [await create(1_000_000 + number) for number in range(users)]
    return Contender("crudauth 0.8.2", read, create, {"crudauth 0.8.2, without extending": read_only})


async def flask_session(client: "redis.Redis", users: int) -> Contender:
    """One key for each session; synchronous, in threads."""
    app = Flask("benchmark")
    app.config.update(SESSION_TYPE="redis", SESSION_REDIS=client, SESSION_PERMANENT=True)
    FlaskSession(app)
    interface: Any = app.session_interface

    def create_now(_number: int) -> str:
        with app.test_request_context("/"):
            session = interface.session_class(sid=interface._generate_sid(32), permanent=True)  # noqa: SLF001
            session.update(METADATA)
            interface._upsert_session(app.permanent_session_lifetime, session, "session:" + session.sid)  # noqa: SLF001
            return str(session.sid)

    def read_now(number: int) -> None:
        with app.test_request_context("/", headers={"Cookie": f"session={made[number]}"}) as context:
            if interface.open_session(app, context.request).get("device") is None:
                raise LookupError(number)

    made = [create_now(number) for number in range(users)]
    loop = asyncio.get_running_loop()
    return Contender(
        "Flask-Session 0.8.0 (threads)",
        lambda number: loop.run_in_executor(None, read_now, number),
        lambda number: loop.run_in_executor(None, create_now, number),
        {},
    )


async def _itself(user_id: object) -> object:
    return user_id
