"""Calls that share a connection (S10): each gets its own reply or its own error, whatever becomes of its neighbours."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator

import pytest

from session_core import SessionManager, lane
from session_core.errors import StoreError, StoreFull
from session_core.ids import ref_of
from session_core.protocol import session_key
from session_core.redis_store import RedisStore
from session_core.route import Direct
from tests.session_core import scenarios
from tests.session_core.conftest import Make, redis_settings
from tests.session_core.servers import Server
from tests.session_core.wire import Wire, wire_to

pytestmark = pytest.mark.engine
STORM = int(os.environ.get("KIT_TEST_STORM", "4000"))
"""Calls of the cancellation storm; 10^5 and more by hand."""


@pytest.fixture
async def wire(redis: Server) -> AsyncIterator[Wire]:
    async with wire_to(redis.port) as made:
        yield made


@pytest.fixture
async def sessions(redis: Server, wire: Wire) -> AsyncIterator[SessionManager]:
    """A manager whose bytes pass the wire."""
    async with SessionManager(redis_settings(redis, redis_url=f"redis://127.0.0.1:{wire.port}/0")) as made:
        await made.check()
        yield made


async def test_a_storm_of_cancellations_gives_nobody_the_reply_of_another(on_redis: Make) -> None:
    await scenarios.cancelled_calls_take_no_reply_of_others(on_redis(), STORM)


async def test_calls_of_one_turn_share_a_write_and_get_their_own_replies(sessions: SessionManager, wire: Wire) -> None:
    made = await scenarios.log_in_many(sessions, 50)
    before = len(wire.requests)
    await asyncio.gather(*(scenarios.is_that_of(sessions, session, n) for n, session in enumerate(made)))
    assert len(wire.requests) - before <= 4  # the first one at once, then the others


async def test_a_lone_call_is_written_in_the_turn_that_makes_it(redis: Server, on_redis: Make) -> None:
    sessions = on_redis()
    session = await sessions.create_session("alice")
    with redis.admin() as admin:
        admin.config_resetstat()
        call = asyncio.create_task(sessions.get_session(session.session_id))
        await asyncio.sleep(0)  # the call runs until it waits; the event loop does not get its turn
        deadline = time.monotonic() + 2
        while "cmdstat_hmget" not in admin.info("commandstats"):
            assert time.monotonic() < deadline, "nothing was written before the next turn of the event loop"
        assert await call is not None


async def test_one_failing_read_fails_only_its_caller(redis: Server, on_redis: Make) -> None:
    sessions = on_redis()
    made = await scenarios.log_in_many(sessions, 20)
    with redis.admin() as admin:
        broken = session_key(ref_of(made[7].session_id))
        admin.delete(broken)
        admin.set(broken, "no hash")
    calls = (scenarios.is_that_of(sessions, session, n) for n, session in enumerate(made))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [n for n, outcome in enumerate(outcomes) if outcome is not None] == [7]
    assert isinstance(outcomes[7], StoreError)
    assert "WRONGTYPE" in str(outcomes[7])


async def test_one_failing_write_fails_only_its_caller(redis: Server, on_redis: Make) -> None:
    sessions = on_redis(session_wait_replicas=1, session_wait_timeout_ms=1)
    made = await scenarios.log_in_many(sessions, 20)
    with redis.admin() as admin:
        admin.config_set("maxmemory", "1")
    try:
        revoked = [sessions.revoke_session(session.session_id, "x") for session in made]
        refused, *others = await asyncio.gather(sessions.create_session("bob"), *revoked, return_exceptions=True)
    finally:
        with redis.admin() as admin:
            admin.config_set("maxmemory", "0")
    assert isinstance(refused, StoreFull)
    assert all(others)
    assert not any(isinstance(outcome, BaseException) for outcome in others)


@pytest.mark.parametrize("cut", [0, 1, 700, 5000])
async def test_a_line_that_breaks_amid_the_replies_costs_a_repeat_and_nothing_else(
    sessions: SessionManager, wire: Wire, cut: int
) -> None:
    made = await scenarios.log_in_many(sessions, 50)
    wire.cut = cut
    await asyncio.gather(*(scenarios.is_that_of(sessions, session, n) for n, session in enumerate(made)))
    assert sessions.effort.repeats > 0
    wire.cut = cut
    repeats = sessions.effort.repeats
    await asyncio.gather(*(sessions.create_session("alice") for _ in range(50)))
    assert sessions.effort.repeats > repeats
    assert await sessions.count_user_sessions("alice") == 50  # whether their reply was lost or not


async def test_no_more_calls_are_on_their_way_than_there_are_places(
    sessions: SessionManager, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await scenarios.log_in_many(sessions, 100)
    await sessions.aclose()
    monkeypatch.setattr(lane, "PLACES", 10)
    await scenarios.is_that_of(sessions, made[0], 0)
    wire.requests.clear()
    wire.replies.clear()
    calls = [asyncio.create_task(scenarios.is_that_of(sessions, session, n)) for n, session in enumerate(made)]
    await asyncio.sleep(0.2)
    for call in calls[:5]:  # under way: the server answers them all the same
        call.cancel()
    await asyncio.sleep(0.1)
    assert b"".join(wire.requests).count(b"HMGET") == 10
    assert sessions.effort.under_way == 95
    wire.replies.set()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes[:5]] == [asyncio.CancelledError] * 5
    assert outcomes[5:] == [None] * 95
    assert sessions.effort.under_way == 0


async def test_whoever_waits_for_a_place_gets_one_whoever_else_gives_up(
    sessions: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await scenarios.log_in_many(sessions, 50)
    await sessions.aclose()
    monkeypatch.setattr(lane, "PLACES", 8)
    for _ in range(20):
        calls = [asyncio.create_task(scenarios.is_that_of(sessions, made[n % 50], n % 50)) for n in range(400)]
        victims = random.sample(calls, 200)
        while victims:
            await asyncio.sleep(random.choice((0, 0.0005)))  # noqa: S311 - chance picks the moment
            victims.pop().cancel()
            victims = [one for one in victims if not one.done()]
        async with asyncio.timeout(5):
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [one for one in outcomes if isinstance(one, Exception)] == []
    async with asyncio.timeout(1):
        await asyncio.gather(*(scenarios.is_that_of(sessions, session, n) for n, session in enumerate(made[:8])))


async def test_a_line_that_breaks_is_told_to_all_who_wait_for_a_place(
    sessions: SessionManager, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await scenarios.log_in_many(sessions, 50)
    await sessions.aclose()
    monkeypatch.setattr(lane, "PLACES", 4)
    await scenarios.is_that_of(sessions, made[0], 0)
    wire.cut = 1
    async with asyncio.timeout(5):
        await asyncio.gather(*(scenarios.is_that_of(sessions, made[n % 50], n % 50) for n in range(500)))
    assert sessions.effort.repeats > 100


async def test_first_calls_check_the_store_once(sessions: SessionManager, redis: Server) -> None:
    made = await scenarios.log_in_many(sessions, 50)
    async with SessionManager(redis_settings(redis)) as fresh:
        await asyncio.gather(*(scenarios.is_that_of(fresh, made[n % 50], n % 50) for n in range(500)))
        assert fresh.effort.calls == 502


async def test_who_has_waited_for_a_place_is_not_sent_where_nobody_else_is_any_more(
    sessions: SessionManager, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await scenarios.log_in_many(sessions, 2)
    await asyncio.gather(*(sessions.create_session("big", {"text": "x" * 8000}) for _ in range(100)))
    await sessions.aclose()
    monkeypatch.setattr(lane, "PLACES", 2)
    await scenarios.is_that_of(sessions, made[0], 0)
    wire.replies.clear()
    first = asyncio.create_task(scenarios.is_that_of(sessions, made[0], 0))
    await asyncio.sleep(0)
    long = asyncio.create_task(sessions.get_user_sessions("big"))  # takes many reads to arrive
    waiting = asyncio.create_task(scenarios.is_that_of(sessions, made[1], 1))
    await asyncio.sleep(0.1)
    assert isinstance(sessions._store, RedisStore)
    assert isinstance(sessions._store.link._route, Direct)
    await sessions._store.link._route._pool.renew()  # as when the Sentinels name another primary
    wire.replies.set()
    await asyncio.gather(first, long, waiting)
    assert sessions.effort.repeats == 1


async def test_a_primary_that_holds_writes_up_goes_on_answering_reads(redis: Server, on_redis: Make) -> None:
    # As in a planned handover.
    sessions = on_redis()
    session = await sessions.create_session("alice")
    with redis.admin() as admin:
        admin.execute_command("CLIENT", "PAUSE", "1000", "WRITE")
    start = time.monotonic()
    extending = asyncio.create_task(sessions.refresh_session(session.session_id))
    creating = asyncio.create_task(sessions.create_session("bob"))
    await asyncio.sleep(0.1)
    assert await sessions.get_session(session.session_id) is not None
    assert time.monotonic() - start < 0.6
    assert not extending.done()
    assert not creating.done()
    assert await extending is not None
    await creating
    assert sessions.effort.repeats == 0


async def test_a_reader_of_events_that_waits_holds_nobody_up(on_redis: Make) -> None:
    sessions = on_redis()
    session = await sessions.create_session("alice")
    reader = sessions.events()
    waiting = asyncio.ensure_future(anext(reader))
    await asyncio.sleep(0.1)
    start = time.monotonic()
    for _ in range(10):
        assert await sessions.get_session(session.session_id) is not None
    assert time.monotonic() - start < 0.5
    assert not waiting.done()
    await sessions.create_session("bob")
    assert (await waiting).user_id == "bob"
    await reader.aclose()
