"""The suite can fail: a naive implementation on the same server fails each scenario, and most of the contract."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from session_core import SessionManager
from tests.session_core import scenarios
from tests.session_core.conftest import redis_settings
from tests.session_core.naive import NaiveStore
from tests.session_core.servers import Server

pytestmark = pytest.mark.engine
Clients = Sequence[SessionManager]


@asynccontextmanager
async def naive_clients(server: Server, **settings: Any) -> AsyncIterator[Clients]:
    client: Redis = Redis.from_url(server.url)
    made = []
    for _ in range(4):
        manager = SessionManager(redis_settings(server, **settings))
        manager._store = NaiveStore(manager.settings, client)
        manager._journal._store = manager._store
        made.append(manager)
    try:
        yield made
    finally:
        await client.aclose()


async def test_naive_logins_exceed_the_limit(redis: Server) -> None:
    async with naive_clients(redis, session_max_concurrent=3) as clients:
        with pytest.raises(AssertionError, match="the limit is 3"):
            await scenarios.logins_leave_exactly_the_limit(clients, 3, 50)


async def test_naive_sessions_come_back_after_their_revocation(redis: Server) -> None:
    async with naive_clients(redis, session_refresh_threshold=86_400) as clients:
        with pytest.raises(AssertionError, match="is alive"):
            await _repeat(scenarios.a_revoked_session_stays_dead, clients)


async def test_naive_updates_are_lost(redis: Server) -> None:
    async with naive_clients(redis) as clients:
        with pytest.raises(AssertionError, match="was lost"):
            await scenarios.updates_are_not_lost(clients)


async def test_naive_revoke_all_misses_logins(redis: Server) -> None:
    async with naive_clients(redis) as clients:
        with pytest.raises(AssertionError):
            await _repeat(scenarios.revoke_all_leaves_only_later_logins, clients)


def test_the_contract_suite_fails_against_it() -> None:
    here = Path(__file__).parent
    files = [str(here / f"test_{part}.py") for part in ("limit", "revocation", "change")]
    command = [sys.executable, "-m", "pytest", "-p", "tests.session_core.naive", "-k", "redis", "-q", *files]
    run = subprocess.run(command, cwd=here.parents[1], capture_output=True, text=True, check=False, timeout=120)
    summary = run.stdout.splitlines()[-1]
    found = re.search(r"(\d+) failed, (\d+) passed", summary)
    assert found is not None, run.stdout
    print(summary)
    assert int(found[1]) >= 15


async def _repeat(scenario: Callable[[Clients], Awaitable[None]], clients: Clients) -> None:
    for _ in range(50):
        await scenario(clients)
