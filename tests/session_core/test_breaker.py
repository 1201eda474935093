"""The circuit breaker: long outages fail fast, failovers do not, and the way back is found."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as some

from session_core import SessionManager
from session_core.breaker import PROBE_SECONDS, RECENT_SECONDS, Breaker
from session_core.deploy import load_functions
from session_core.errors import StoreUnavailable
from session_core.settings import Settings
from tests.session_core import servers
from tests.session_core.conftest import add_users, redis_settings
from tests.session_core.servers import Server
from tests.session_core.test_failures import mortal_redis

__all__ = ["mortal_redis"]
PATIENCE = 30.0


def away(breaker: Breaker, *, start: float, end: float, every: float = 0.5) -> None:
    now = start
    while now <= end:
        breaker.failed(now)
        now += every


def test_it_opens_when_nothing_came_for_the_whole_patience_and_lets_one_call_a_second_through() -> None:
    breaker = Breaker(PATIENCE)
    away(breaker, start=0, end=29.9)
    assert all(breaker.admits(29.9) for _ in range(100))
    away(breaker, start=30, end=30)
    assert [breaker.admits(30) for _ in range(5)] == [True, False, False, False, False]
    assert [breaker.admits(30 + PROBE_SECONDS - 0.01), breaker.admits(30 + PROBE_SECONDS)] == [False, True]


def test_one_answer_closes_it() -> None:
    breaker = Breaker(PATIENCE)
    away(breaker, start=0, end=60)
    breaker.admits(60)
    assert not breaker.admits(60)
    breaker.answered()
    assert all(breaker.admits(60) for _ in range(100))
    away(breaker, start=60, end=89)
    assert all(breaker.admits(89) for _ in range(100))


def test_a_failure_of_long_ago_says_nothing() -> None:
    breaker = Breaker(PATIENCE)
    breaker.failed(0)
    assert all(breaker.admits(3600) for _ in range(100))
    breaker.failed(3600)
    assert all(breaker.admits(3600 + RECENT_SECONDS) for _ in range(100))


def test_without_patience_it_never_opens() -> None:
    breaker = Breaker(0)
    away(breaker, start=0, end=1000)
    assert all(breaker.admits(1000) for _ in range(100))


@given(
    start=some.floats(0, 1e6),
    outage=some.floats(0, 8),
    attempts=some.lists(some.floats(0, 1), max_size=50),
    calls=some.lists(some.floats(0, 1), max_size=50),
)
def test_a_failover_refuses_nobody(start: float, outage: float, attempts: list[float], calls: list[float]) -> None:
    """Whatever fails and asks within 8 seconds of an outage, and within the deadline of those who wait it out."""
    settings = Settings(session_backend="memory")
    breaker = Breaker(settings.fail_fast_seconds)
    for moment, fails in sorted([(at, True) for at in attempts] + [(at, False) for at in calls]):
        now = start + moment * (outage + settings.session_deadline_seconds)
        if fails:
            breaker.failed(now)
        else:
            assert breaker.admits(now)


def test_the_patience_is_never_shorter_than_the_deadline() -> None:
    def patience(**settings: float) -> float:
        return Settings(session_backend="memory", **settings).fail_fast_seconds

    assert patience() == 30
    assert patience(session_deadline_seconds=60) == 60
    assert patience(session_fail_fast_seconds=1) == 10
    assert patience(session_fail_fast_seconds=0) == 0


@pytest.mark.engine
async def test_after_a_long_outage_calls_fail_at_once_and_work_again_when_the_store_is_back(
    mortal_redis: Server,
) -> None:
    settings = redis_settings(mortal_redis, session_deadline_seconds=0.5, session_fail_fast_seconds=0.1)
    async with SessionManager(settings) as sessions:
        await sessions.create_session("alice")
        mortal_redis.docker("kill")
        tries = 1
        while not await refused_at_once(sessions):
            tries += 1
        assert 2 <= tries <= 5
        outcomes = await asyncio.gather(*(refused_at_once(sessions) for _ in range(20)))
        assert sum(outcomes) >= 19
        assert sessions.effort.refused == sum(outcomes) + 1

        await asyncio.to_thread(mortal_redis.docker, "start")
        await asyncio.to_thread(servers.wait_for, mortal_redis)
        add_users(mortal_redis)
        await load_functions(redis_settings(mortal_redis))
        start = time.monotonic()
        while True:
            try:
                await sessions.create_session("bob")
            except StoreUnavailable:
                await asyncio.sleep(0.01)
            else:
                break
        assert time.monotonic() - start < PROBE_SECONDS + 1


@pytest.mark.engine
async def test_a_store_that_refuses_writes_is_not_away(redis: Server) -> None:
    settings = redis_settings(redis, session_deadline_seconds=0.5, session_fail_fast_seconds=0.1)
    async with SessionManager(settings) as sessions:
        await sessions.create_session("alice")
        with redis.admin() as admin:
            admin.config_set("min-replicas-to-write", "1")
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="replicas"):
                await sessions.create_session("alice")
        assert await sessions.count_active_sessions() == 1
        assert sessions.effort.refused == 0


async def refused_at_once(sessions: SessionManager) -> bool:
    """Whether a call failed without being sent; else it has waited for its deadline."""
    with pytest.raises(StoreUnavailable) as refusal:
        await sessions.count_active_sessions()
    if "SESSION_FAIL_FAST_SECONDS" not in str(refusal.value):
        assert "within 0.5 s" in str(refusal.value)
        return False
    assert not refusal.value.outcome_unknown
    return True
