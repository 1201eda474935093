"""The service as it is deployed: a process with TLS, through the loss and the return of its store."""

import asyncio
import gc
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from session_core.deploy import load_functions
from session_core.service import server as http
from tests.session_core import servers
from tests.session_core.conftest import APP_PASSWORD, add_users, redis_settings
from tests.session_core.sentinel_group import certificates
from tests.session_core.servers import Server
from tests.session_core.service_process import ADMIN, MODULE, TOKEN, ServiceProcess

pytestmark = pytest.mark.engine
RSS_BOUND_KIB = 110 * 1024
"""On this interpreter, with the sealing library loaded; the figure of the image is in the report of its deployment."""


def loopback() -> list[str]:
    """Addresses of this machine for itself: that of IPv6 too, where the kernel has it and it is not switched off."""
    addresses = Path("/proc/net/if_inet6")
    has_ipv6 = addresses.exists() and f"{1:032x} " in addresses.read_text()
    return ["127.0.0.1", *(["::1"] if has_ipv6 else [])]


@pytest.fixture
def store(bridge: Any) -> Iterator[Server]:
    with servers.redis_server(bridge, alias="service-store") as server:
        add_users(server)
        yield server


@pytest.fixture
async def service(tmp_path: Path, store: Server) -> AsyncIterator[ServiceProcess]:
    certificates(tmp_path)
    made = ServiceProcess(tmp_path / "service.log", store.port, tmp_path / "redis-1.crt")
    try:
        yield made
    finally:
        made.kill()


async def until(client: httpx.AsyncClient, path: str, status: int, seconds: float = 15) -> httpx.Response:
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer = await client.get(path)
            if answer.status_code == status or time.monotonic() > deadline:
                assert answer.status_code == status, answer.text
                return answer
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.1)


async def test_the_service_starts_before_its_store_and_outlives_it(service: ServiceProcess, store: Server) -> None:
    async with service.client() as client:
        # No functions yet: not ready, and it says what to run.
        await until(client, "/healthz", 200)
        problem = await until(client, "/readyz", 503)
        assert "session-core functions load" in problem.json()["detail"]
        assert "session-core functions load" in service.log()
        await load_functions(redis_settings(store))
        await until(client, "/readyz", 200)
        assert '"ready: the store is reachable and prepared"' in service.log()

        login = await client.post("/v1/sessions", json={"user_id": "alice"}, headers=ADMIN)
        assert login.status_code == 201
        assert (await client.get("/v1/verify")).status_code == 200

        # The store is gone: 503 in time, never 401; alive, not ready.
        store.docker("kill")
        start = time.monotonic()
        for method, path in (("GET", "/v1/verify"), ("POST", "/v1/sessions"), ("GET", "/v1/sessions")):
            answer = await client.request(method, path, json={"user_id": "alice"}, headers=ADMIN)
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            assert answer.json()["type"] == "urn:redis-session-kit:store-unavailable"
        assert time.monotonic() - start < 3 * 1.5
        await until(client, "/readyz", 503)
        assert (await client.get("/healthz")).status_code == 200
        assert await asyncio.to_thread(service.health) == 0
        assert "session_active NaN" in (await client.get("/metrics")).text

        # It is back (empty: this one keeps nothing): the same process serves again.
        await asyncio.to_thread(store.docker, "start")
        servers.wait_for(store)
        add_users(store)
        await load_functions(redis_settings(store))
        await until(client, "/readyz", 200)
        assert (await client.get("/v1/verify")).status_code == 401
        assert (await client.post("/v1/sessions", json={"user_id": "alice"}, headers=ADMIN)).status_code == 201
        assert service.process.poll() is None


@pytest.mark.parametrize("address", loopback())
async def test_it_listens_at_every_address_of_its_machine(service: ServiceProcess, address: str) -> None:
    """A cluster may have IPv6 alone."""
    service.kill()
    del service.environment["SESSION_HTTP_HOST"]
    service.start()
    service.host = f"[{address}]" if ":" in address else address
    async with service.client() as client:
        await until(client, "/healthz", 200)


async def test_sigterm_lets_requests_in_flight_finish(service: ServiceProcess, store: Server) -> None:
    await load_functions(redis_settings(store))
    async with service.client() as client:
        await until(client, "/readyz", 200)
        store.docker("pause")
        try:
            slow = asyncio.create_task(client.get("/v1/admin/stats", headers=ADMIN))
            await asyncio.sleep(0.3)
            service.process.send_signal(signal.SIGTERM)
            assert (await slow).status_code == 503
        finally:
            store.docker("unpause")
        assert await asyncio.to_thread(service.process.wait, 5) in (0, -signal.SIGTERM)


async def test_after_sigterm_who_is_connected_is_still_answered_once(service: ServiceProcess, store: Server) -> None:
    """A gateway sends its request a moment after it has connected, and may not send a POST twice."""
    await load_functions(redis_settings(store))
    async with service.client() as client:
        await until(client, "/readyz", 200)
    fresh = await asyncio.open_connection(service.host, service.port, ssl=service.context)
    used = await asyncio.open_connection(service.host, service.port, ssl=service.context)
    assert b"connection: close" not in await answer(*used)
    service.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.2)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(service.host, service.port, ssl=service.context)
    for connection in (fresh, used):
        told = await answer(*connection)
        assert told.startswith(b"HTTP/1.1 401 ")
        assert b"connection: close" in told
        connection[1].close()
    assert await asyncio.to_thread(service.process.wait, 5) in (0, -signal.SIGTERM)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"GET /v1/verify HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.partition(b":")[2]))
    return head


async def test_the_log_is_json_without_secrets_and_the_process_stays_small(
    service: ServiceProcess, store: Server
) -> None:
    await load_functions(redis_settings(store))
    async with service.client() as client:
        await until(client, "/readyz", 200)
        body = {"user_id": "alice", "metadata": {"access_token": "very-secret"}}
        login = await client.post("/v1/sessions", json=body, headers=ADMIN)
        secret = login.cookies["__Host-session_id"]
        await client.get("/v1/verify")
        await client.get(f"/{secret}")
    assert service.resident_kib() < RSS_BOUND_KIB
    service.process.terminate()  # a line is written after its answer: only a process that has ended has written all
    await asyncio.to_thread(service.process.wait, 10)
    lines = [json.loads(line) for line in service.log().splitlines()]
    assert {"time", "level", "logger", "message"} <= set(lines[0])
    assert [line["status"] for line in lines if line["message"] == "request"] == [201, 200, 404]
    for private in (secret, "very-secret", TOKEN, APP_PASSWORD):
        assert private not in service.log()


async def test_the_collector_passes_over_what_the_start_has_made() -> None:
    threshold = gc.get_threshold()
    server = http.Server(uvicorn.Config(FastAPI(), host="127.0.0.1", port=servers.free_port(), log_config=None))
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not serving.done()
            await asyncio.sleep(0.01)
        assert gc.get_freeze_count() > 10_000
        assert gc.get_threshold()[0] == http.YOUNG_OBJECTS
    finally:
        gc.unfreeze()
        gc.set_threshold(*threshold)
        server.should_exit = True
        await serving


def test_wrong_settings_are_one_line_and_a_status() -> None:
    environment = {"PATH": os.environ["PATH"], "SESSION_BACKEND": "memory", "SESSION_ADMIN_TOKEN": "short-secret"}
    ended = subprocess.run(MODULE, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "SESSION_ADMIN_TOKEN" in ended.stderr
    assert "short-secret" not in ended.stderr


def test_the_health_command_fails_where_nobody_answers() -> None:
    environment = {"PATH": os.environ["PATH"], "SESSION_HTTP_PORT": str(servers.free_port())}
    asked = subprocess.run([*MODULE, "health"], env=environment, capture_output=True, timeout=30, check=False)
    assert asked.returncode == 1
