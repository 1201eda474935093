"""One round trip for each operation (S3), by the wire and by the server; and what happens when a reply is lost."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from redis import Redis

from session_core import Session, SessionManager
from session_core.errors import StoreUnavailable
from tests.session_core.conftest import redis_settings
from tests.session_core.servers import Server
from tests.session_core.wire import Wire, wire_to

pytestmark = pytest.mark.engine
Operation = Callable[[SessionManager, Session], Awaitable[object]]


@pytest.fixture
async def wire(redis: Server) -> AsyncIterator[Wire]:
    async with wire_to(redis.port) as made:
        yield made


@pytest.fixture
async def sessions(redis: Server, wire: Wire) -> AsyncIterator[SessionManager]:
    settings = redis_settings(
        redis, redis_url=f"redis://127.0.0.1:{wire.port}/0", session_max_concurrent=3, session_deadline_seconds=3
    )
    async with SessionManager(settings) as made:
        await made.check()
        yield made


@pytest.mark.parametrize(
    ("trips", "operation"),
    [
        pytest.param(1, lambda m, _: m.create_session("alice", {"a": 1, "access_token": "t"}), id="create"),
        pytest.param(1, lambda m, s: m.get_session(s.session_id), id="get"),
        pytest.param(1, lambda m, s: m.refresh_session(s.session_id), id="refresh"),
        pytest.param(1, lambda m, s: m.revoke_session(s.session_id, "x"), id="revoke"),
        pytest.param(2, lambda m, s: m.revoke_user_sessions(s.user_id), id="revoke all"),
        pytest.param(1, lambda m, s: m.get_user_sessions(s.user_id), id="list"),
        pytest.param(1, lambda m, s: m.count_user_sessions(s.user_id), id="count of a user"),
        pytest.param(1, lambda m, _: m.count_active_sessions(), id="count"),
        pytest.param(1, lambda m, _: m.list_active_users(), id="users"),
        pytest.param(2, lambda m, s: m.rotate_session(s.session_id), id="rotate"),
        pytest.param(2, lambda m, s: m.update_metadata(s.session_id, {"b": 2}), id="update"),
    ],
)
async def test_round_trips_of_each_operation(
    sessions: SessionManager, wire: Wire, redis: Server, trips: int, operation: Operation
) -> None:
    for _ in range(3):  # at the limit, so that create has to evict
        session = await sessions.create_session("alice", {"a": 1, "access_token": "t"})
    with redis.admin() as admin:
        before, reads = len(wire.requests), _reads(admin)
        await operation(sessions, session)
        assert len(wire.requests) - before == trips
        assert _reads(admin) - reads == trips + 1  # its own question is one


async def test_a_read_that_is_due_to_slide_takes_two(redis: Server, wire: Wire) -> None:
    settings = redis_settings(
        redis, redis_url=f"redis://127.0.0.1:{wire.port}/0", session_ttl_seconds=100, session_refresh_threshold=99
    )
    async with SessionManager(settings) as sessions:
        session = await sessions.create_session("alice", ttl_seconds=98)
        before = len(wire.requests)
        await sessions.get_session(session.session_id)
        assert len(wire.requests) - before == 1  # its own TTL is below the threshold: once in a twentieth of it
        with redis.admin() as admin:
            key = _key(session)
            soon = int(datetime.now(UTC).timestamp() * 1000) + 10_000
            admin.hset(key, "expires", soon)
        before = len(wire.requests)
        await sessions.get_session(session.session_id)
        assert len(wire.requests) - before == 2


async def test_a_create_whose_reply_was_lost_is_one_session_and_tells_of_its_evictions(
    sessions: SessionManager, wire: Wire
) -> None:
    first = await sessions.create_session("alice")
    for _ in range(2):
        await sessions.create_session("alice")
    wire.lose_once(b"session_create_v1")
    session = await sessions.create_session("alice")
    assert session.evicted == (first.handle,)
    assert await sessions.count_user_sessions("alice") == 3
    assert sessions.effort.repeats == 1


async def test_a_revocation_whose_reply_was_lost_keeps_its_reason(sessions: SessionManager, wire: Wire) -> None:
    session = await sessions.create_session("alice")
    wire.lose_once(b"session_revoke_v1")
    outcome = await sessions.revoke_session(session.session_id, "stolen")
    assert outcome.revocation is not None
    assert outcome.revocation.reason == "stolen"


async def test_a_rotation_whose_reply_was_lost_still_returns_the_new_id(sessions: SessionManager, wire: Wire) -> None:
    session = await sessions.create_session("alice", {"access_token": "t"})
    wire.lose_once(b"session_rotate_v1")
    rotated = await sessions.rotate_session(session.session_id)
    assert rotated is not None
    found = await sessions.get_session(rotated.session_id)
    assert found is not None
    assert found.metadata == {"access_token": "t"}


async def test_an_update_whose_reply_was_lost_is_made_once(sessions: SessionManager, wire: Wire) -> None:
    session = await sessions.create_session("alice", {"n": 1})
    wire.lose_once(b"session_update_v1")
    updated = await sessions.update_metadata(session.session_id, {"n": 2})
    assert updated is not None
    assert updated.metadata == {"n": 2}


async def test_a_change_whose_reply_was_lost_is_not_made_again_over_that_of_another(
    sessions: SessionManager, wire: Wire, redis: Server
) -> None:
    session = await sessions.create_session("alice", {"n": 0})
    async with SessionManager(redis_settings(redis)) as elsewhere:

        async def others() -> None:
            for number in range(2, 6):
                await elsewhere.update_metadata(session.session_id, {"n": number})
            await elsewhere.rotate_session(session.session_id, grace_seconds=60)

        def hold(request: bytes) -> bool:
            if b"session_update_v1" in request:
                wire.lose, wire.cut = lambda _request: False, 0
                wire.replies.clear()
            return False

        wire.lose = hold
        changing = asyncio.create_task(sessions.update_metadata(session.session_id, {"n": 1}))
        async with asyncio.timeout(5):
            while (found := await elsewhere.get_session(session.session_id)) and found.metadata == {"n": 0}:  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # until it is carried out
        await others()
        wire.replies.set()
        updated = await changing
        assert updated is not None
        assert updated.metadata == {"n": 5}
        found = await elsewhere.get_session(session.session_id)
        assert found is not None
        assert found.metadata == {"n": 5}


async def test_a_revoke_all_whose_reply_was_lost_spares_the_login_that_came_meanwhile(
    sessions: SessionManager, wire: Wire, redis: Server
) -> None:
    await sessions.create_session("alice")
    async with SessionManager(redis_settings(redis)) as elsewhere:
        later: list[Session] = []

        def lose_and_log_in(request: bytes) -> bool:
            if b"session_revoke_user_v1" not in request:
                return False
            wire.lose = lambda _request: False
            later.append(_create_now(redis))
            return True

        wire.lose = lose_and_log_in
        await sessions.revoke_user_sessions("alice")
        assert [one.handle for one in await elsewhere.get_user_sessions("alice")] == [later[0].handle]


async def test_a_write_that_never_gets_a_reply_says_that_it_may_have_happened(
    sessions: SessionManager, wire: Wire
) -> None:
    session = await sessions.create_session("alice")
    wire.lose = lambda _request: True
    with pytest.raises(StoreUnavailable) as write:
        await sessions.create_session("alice")
    assert write.value.outcome_unknown
    with pytest.raises(StoreUnavailable) as read:
        await sessions.get_session(session.session_id)
    assert not read.value.outcome_unknown


def _create_now(server: Server) -> Session:
    """Log in from another thread's event loop, at once."""

    async def log_in() -> Session:
        async with SessionManager(redis_settings(server)) as manager:
            return await manager.create_session("alice")

    time.sleep(0.01)  # the server's clock counts milliseconds
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, log_in()).result()


def _reads(admin: Redis) -> int:
    """How many times the server has read from a connection, since its start (`INFO stats`)."""
    return int(admin.info("stats")["total_reads_processed"])


def _key(session: Session) -> str:
    from session_core.ids import ref_of_either
    from session_core.protocol import session_key

    return session_key(ref_of_either(session.handle))
