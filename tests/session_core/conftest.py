"""Fixtures: one Redis for the whole run with the ACL users of a deployment, and a manager for each back end."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol

import pytest

from session_core import SessionManager, Settings, acl, library
from session_core.deploy import load_functions
from session_core.ids import BUCKETS
from tests.session_core import servers
from tests.session_core.sentinel_group import Group, certificates, sentinel_group
from tests.session_core.servers import Server
from tests.session_core.shards import Shards, shards

APP_PASSWORD = "app-password"
DEPLOY_PASSWORD = "deploy-password"


class Make(Protocol):
    """Makes a manager with these settings; all of one test share the store (Redis only)."""

    def __call__(self, **settings: Any) -> SessionManager: ...


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in list(os.environ):
        if name.startswith(("REDIS_", "SESSION_", "AUTH_MODE", "KEYCLOAK_", "JWT_")):
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


@pytest.fixture(scope="session")
def shared_valkey(bridge: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("valkey")
    directory.chmod(0o755)
    certificates(directory)
    with servers.redis_server(bridge, alias="valkey", image=servers.VALKEY, certificates=directory) as server:
        yield server


@pytest.fixture(scope="session")
def shared_cluster(bridge: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shards]:
    directory = tmp_path_factory.mktemp("cluster")
    directory.chmod(0o755)
    with shards(bridge, directory) as made:
        asyncio.run(load_functions(made.settings()))
        yield made


def add_users(server: Server) -> None:
    """The application and the deploy user, with exactly the rights that the library declares."""
    with server.admin() as admin:
        admin.execute_command("ACL", "SETUSER", "sessions", "reset", "on", f">{APP_PASSWORD}", *acl.APP_RULE.split())
        admin.execute_command(
            "ACL", "SETUSER", "deploy", "reset", "on", f">{DEPLOY_PASSWORD}", *acl.DEPLOY_RULE.split()
        )


def redis_settings(server: Server, **settings: Any) -> Settings:
    defaults = {
        **server.settings,
        "redis_username": "sessions",
        "redis_password": APP_PASSWORD,
        "redis_deploy_username": "deploy",
        "redis_deploy_password": DEPLOY_PASSWORD,
    }
    return Settings(**(defaults | settings))


async def prepare(server: Server) -> Server:
    """Empty it but for the functions, as after a deployment."""
    with server.admin() as admin:
        admin.config_set("maxmemory", "0")
        admin.config_set("min-replicas-to-write", "0")
        admin.flushall()
    add_users(server)
    await load_functions(redis_settings(server))
    return server


@asynccontextmanager
async def making(settings_of: Callable[..., Settings]) -> AsyncIterator[Make]:
    made: list[SessionManager] = []

    def make(**settings: Any) -> SessionManager:
        made.append(SessionManager(settings_of(**settings)))
        return made[-1]

    yield make
    for manager in made:
        await manager.aclose()


@pytest.fixture
async def redis(shared_redis: Server) -> Server:
    return await prepare(shared_redis)


@pytest.fixture
async def on_redis(redis: Server) -> AsyncIterator[Make]:
    async with making(partial(redis_settings, redis)) as make:
        yield make


@pytest.fixture
async def on_valkey(shared_valkey: Server) -> AsyncIterator[Make]:
    async with making(partial(redis_settings, await prepare(shared_valkey))) as make:
        yield make


@pytest.fixture
def cluster(shared_cluster: Shards) -> Shards:
    shared_cluster.empty()
    return shared_cluster


@pytest.fixture
async def on_cluster(cluster: Shards) -> AsyncIterator[Make]:
    async with making(partial(cluster.settings, session_wait_replicas=0)) as make:
        yield make


@pytest.fixture(scope="session")
def shared_group(bridge: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    """In a network of its own; `bridge` outlives it, since its end removes all containers of the run."""
    directory = tmp_path_factory.mktemp("group")
    directory.chmod(0o755)
    with servers.network() as apart, sentinel_group(apart, directory) as made:
        asyncio.run(load_functions(made.settings()))
        yield made


@pytest.fixture
async def on_sentinel(shared_group: Group) -> AsyncIterator[Make]:
    with shared_group.admin(shared_group.primary()) as admin:
        admin.flushall()
        admin.hset("session_meta", mapping={"buckets": BUCKETS, "schema": library.SCHEMA})
    async with making(shared_group.settings) as make:
        yield make


SERVERS = ("redis", "valkey", "sentinel", "cluster")
ENGINES = ["memory", *(pytest.param(name, marks=pytest.mark.engine) for name in SERVERS)]


@pytest.fixture(params=ENGINES)
def make(request: pytest.FixtureRequest) -> Make:
    """A manager on each back end in turn; on Valkey, through Sentinel and on the cluster by TLS."""
    if request.param != "memory":
        found: Make = request.getfixturevalue(f"on_{request.param}")
        return found

    def make_in_memory(**settings: Any) -> SessionManager:
        return SessionManager(Settings(session_backend="memory", **settings))

    return make_in_memory
