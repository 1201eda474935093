"""REDIS_URL=unix://: a server on the same machine, reached by its socket and by no port."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from session_core import SessionManager
from session_core.doctor import examine
from session_core.errors import StoreDenied
from tests.session_core import scenarios, servers
from tests.session_core.conftest import prepare, redis_settings
from tests.session_core.servers import Server

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def sockets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("socket")


@pytest.fixture(scope="module")
def server(bridge: Any, sockets: Path) -> Iterator[Server]:
    with servers.redis_server(bridge, alias="socket", sockets=sockets) as made:
        yield made


@pytest.fixture
async def settings(server: Server, sockets: Path) -> Any:
    await prepare(server)
    return {"server": server, "redis_url": f"unix://{sockets}/redis.sock"}


async def test_a_session_lives_and_ends_by_the_socket(settings: dict[str, Any], server: Server) -> None:
    with server.admin() as admin:
        before = admin.info("clients")["connected_clients"]
        async with SessionManager(redis_settings(**settings)) as sessions, aclosing(sessions.events()) as events:
            follow = asyncio.create_task(anext(events))
            await asyncio.sleep(0.1)
            session = await sessions.create_session("alice", {"access_token": "t"})
            found = await sessions.get_session(session.session_id)
            assert found is not None
            assert found.metadata == {"access_token": "t"}
            assert (await follow).handle == session.handle
            clients = [client["addr"] for client in admin.client_list()]
            assert len(clients) > before
            assert all(address.endswith("redis.sock:0") for address in clients[before:])
            assert await sessions.revoke_session(session.session_id)
            assert await sessions.count_active_sessions() == 0


async def test_the_limit_and_the_races_hold_by_the_socket(settings: dict[str, Any]) -> None:
    clients = [SessionManager(redis_settings(**settings, session_max_concurrent=3)) for _ in range(3)]
    await scenarios.logins_leave_exactly_the_limit(clients, 3, 40)
    for client in clients:
        await client.aclose()


async def test_calls_go_on_after_the_server_was_restarted(settings: dict[str, Any], server: Server) -> None:
    async with SessionManager(redis_settings(**settings)) as sessions:
        await sessions.create_session("alice")
        server.docker("restart")
        await asyncio.to_thread(servers.wait_for, server)
        await prepare(server)
        assert (await sessions.create_session("alice")).is_active


async def test_a_wrong_password_is_refused_and_doctor_has_nothing_to_say_about_tls(settings: dict[str, Any]) -> None:
    async with SessionManager(redis_settings(**settings, redis_password="wrong")) as sessions:
        with pytest.raises(StoreDenied):
            await sessions.check()
    found = [finding async for finding in examine(redis_settings(**settings))]
    assert [finding for finding in found if finding.state == "wrong"] == []
    assert "redis.sock" in found[0].text
