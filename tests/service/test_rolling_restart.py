"""Processes are replaced one after the other, under requests: none of them fails, and no session is lost."""

import asyncio
import signal
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.service.replicas import Replicas, behind_the_gateway
from tests.session_core.servers import Server
from tests.session_core.service_process import ADMIN, ServiceProcess

pytestmark = pytest.mark.engine
CLIENTS = 6
ROUNDS = 2
READS = 4


class Users:
    """Clients with a connection each, which they keep: they log in, ask, log out, and again."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self.answers: Counter[tuple[str, str, object]] = Counter()
        self.over = asyncio.Event()

    async def live(self, number: int) -> None:
        one = httpx.Limits(max_connections=1)
        url, context = self._replicas.url, self._replicas.context
        async with httpx.AsyncClient(base_url=url, verify=context, limits=one, timeout=20) as client:
            while not self.over.is_set():
                await self._ask(client, "POST", "/v1/sessions", json={"user_id": f"user-{number}"}, headers=ADMIN)
                for _ in range(READS):
                    await self._ask(client, "GET", "/v1/verify")
                await self._ask(client, "DELETE", "/v1/sessions/current", headers={"Origin": url})

    async def _ask(self, client: httpx.AsyncClient, method: str, path: str, **more: object) -> None:
        try:
            answer = await client.request(method, path, **more)  # type: ignore[arg-type]
            self.answers[method, path, answer.status_code] += 1
        except httpx.TransportError as error:
            self.answers[method, path, repr(error)] += 1


async def restart(replicas: Replicas, process: ServiceProcess) -> None:
    assert await asyncio.to_thread(process.terminate, 10) in (0, -signal.SIGTERM)
    process.start()
    await replicas.answers(process)


async def test_no_request_fails_while_one_process_after_the_other_is_replaced(redis: Server, tmp_path: Path) -> None:
    async with behind_the_gateway(tmp_path, redis.port) as replicas:
        users = Users(replicas)
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(users.live(number))
            for process in [*replicas.processes] * ROUNDS:
                await restart(replicas, process)
                await asyncio.sleep(0.3)
            users.over.set()
        kinds = [("POST", "/v1/sessions", 201), ("GET", "/v1/verify", 200), ("DELETE", "/v1/sessions/current", 200)]
        print(users.answers)
        assert {kind: users.answers[kind] for kind in kinds} == users.answers
        assert all(users.answers[kind] > 100 for kind in kinds)
