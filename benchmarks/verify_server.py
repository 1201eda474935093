"""What `benchmarks.verify` asks: the service with routes beside its own, in one process and one environment.

    python -m benchmarks.verify_server PORT REDIS_URL USERS

Prints the cookies of each route as one line of JSON, then serves plain HTTP with one worker.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import redis.asyncio
import uvicorn
from crudauth.storage.backends.redis import RedisSessionStorage
from crudauth.transports.session.manager import SessionManager as Crudauth
from crudauth.transports.session.schemas import CSRFToken, SessionData
from fastapi import Cookie, Depends, FastAPI, HTTPException, Request, Response

from session_core import SessionManager, Settings
from session_core.deploy import load_functions
from session_core.service import sessions
from session_core.service.app import make_app
from session_core.service.server import Server
from session_core.service.settings import ServiceSettings

COOKIE: Final = "__Host-session_id"
POOL: Final = 64
"""Connections of the peer to Redis: one for each request that can be under way."""
METADATA: Final = {"device": "x" * 285}


def peer(redis_url: str) -> Crudauth:
    """Return crudauth's sessions with its Redis storage."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(redis_url, max_connections=POOL)
    client = redis.asyncio.Redis(connection_pool=pool)
    return Crudauth(
        RedisSessionStorage[SessionData](prefix="session:", client=client),
        csrf_storage=RedisSessionStorage[CSRFToken](prefix="csrf:", client=client),
        session_timeout_minutes=1440,
    )


async def log_in(redis_url: str, users: int) -> dict[str, list[str]]:
    """Return a cookie of each user for each route."""
    settings = Settings(redis_url=redis_url)
    await load_functions(settings)
    async with SessionManager(settings) as manager:
        own = [(await manager.create_session(f"user-{number}", METADATA)).session_id for number in range(users)]
    request = Request({"type": "http", "headers": [(b"user-agent", b"x")], "client": ("10.0.0.1", 1), "method": "GET"})
    crudauth = peer(redis_url)
    other = [str((await crudauth.create_session(request, number, METADATA))[0]) for number in range(users)]
    return {"constant": own, "verify": own, "crudauth": other, "crudauth/read-only": other}


def checked(crudauth: Crudauth, *, extends: bool) -> Callable[[str], Awaitable[SessionData]]:
    """Return the dependency with which an application of the peer asks who is there."""

    async def session(cookie: Annotated[str, Cookie(alias=COOKIE)]) -> SessionData:
        found = await crudauth.validate_session(cookie, update_activity=extends)
        if found is None:
            raise HTTPException(401)
        return found

    return session


def application(redis_url: str) -> FastAPI:
    """Return the service with three more routes in the router of `/v1/verify`, in front of it."""
    crudauth = peer(redis_url)

    async def constant() -> Response:
        return Response()

    async def extends(session: Annotated[SessionData, Depends(checked(crudauth, extends=True))]) -> Response:
        return Response(headers={"X-Session-User": str(session.user_id)})

    async def reads(session: Annotated[SessionData, Depends(checked(crudauth, extends=False))]) -> Response:
        return Response(headers={"X-Session-User": str(session.user_id)})

    router = sessions.router
    router.add_api_route("/constant", constant)
    router.add_api_route("/crudauth", extends)
    router.add_api_route("/crudauth/read-only", reads)
    router.routes[:] = [*router.routes[-3:], *router.routes[:-3]]
    return make_app(ServiceSettings(redis_url=redis_url, session_admin_token="x" * 32, session_log_level="warning"))


def main() -> None:
    """Log in and serve."""
    port, redis_url, users = sys.argv[1:]
    print(json.dumps(asyncio.run(log_in(redis_url, int(users)))), flush=True)
    more = {"loop": "uvloop", "http": "httptools", "log_level": "warning", "access_log": False}
    Server(uvicorn.Config(application(redis_url), host="127.0.0.1", port=int(port), **more)).run()  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
