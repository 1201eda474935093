"""Fixtures: one Redis for the whole run with the ACL users of a deployment, and a manager for each back end."""

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol

import pytest

from session_core import SessionManager, Settings, acl
from session_core.deploy import load_functions
from tests.session_core import servers
from tests.session_core.servers import Server

APP_PASSWORD = "app-password"
DEPLOY_PASSWORD = "deploy-password"


class Make(Protocol):
    """Makes a manager with these settings; all of one test share the store (Redis only)."""

    def __call__(self, **settings: Any) -> SessionManager: ...


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in list(os.environ):
        if name.startswith(("REDIS_", "SESSION_", "AUTH_MODE")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def bridge() -> Iterator[Any]:
    servers.sweep()
    try:
        with servers.network() as made:
            yield made
    finally:
        servers.sweep()


@pytest.fixture(scope="session")
def shared_redis(bridge: Any) -> Iterator[Server]:
    with servers.redis_server(bridge) as server:
        yield server


def add_users(server: Server) -> None:
    """The application and the deploy user, with exactly the rights that the library declares."""
    with server.admin() as admin:
        admin.execute_command("ACL", "SETUSER", "sessions", "reset", "on", f">{APP_PASSWORD}", *acl.APP_RULE.split())
        admin.execute_command(
            "ACL", "SETUSER", "deploy", "reset", "on", f">{DEPLOY_PASSWORD}", *acl.DEPLOY_RULE.split()
        )


def redis_settings(server: Server, **settings: Any) -> Settings:
    defaults = {
        "redis_url": server.url,
        "redis_username": "sessions",
        "redis_password": APP_PASSWORD,
        "redis_deploy_username": "deploy",
        "redis_deploy_password": DEPLOY_PASSWORD,
    }
    return Settings(**(defaults | settings))


@pytest.fixture
async def redis(shared_redis: Server) -> Server:
    """The server, empty but for the functions, as after a deployment."""
    with shared_redis.admin() as admin:
        admin.config_set("maxmemory", "0")
        admin.config_set("min-replicas-to-write", "0")
        admin.flushall()
    add_users(shared_redis)
    await load_functions(redis_settings(shared_redis))
    return shared_redis


@pytest.fixture
async def on_redis(redis: Server) -> AsyncIterator[Make]:
    made: list[SessionManager] = []

    def make(**settings: Any) -> SessionManager:
        made.append(SessionManager(redis_settings(redis, **settings)))
        return made[-1]

    yield make
    for manager in made:
        await manager.aclose()


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.engine)])
def make(request: pytest.FixtureRequest) -> Make:
    """A manager on each back end in turn."""
    if request.param == "redis":
        found: Make = request.getfixturevalue("on_redis")
        return found

    def make_in_memory(**settings: Any) -> SessionManager:
        return SessionManager(Settings(session_backend="memory", **settings))

    return make_in_memory
