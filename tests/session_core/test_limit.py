"""The contract, part two: the limit of concurrent sessions. On both back ends."""

import asyncio

import pytest

from session_core.errors import SessionLimitReached
from tests.session_core.conftest import Make


async def test_the_oldest_session_goes_and_is_told_why(make: Make) -> None:
    sessions = make(session_max_concurrent=2)
    first = await sessions.create_session("alice")
    second = await sessions.create_session("alice")
    third = await sessions.create_session("alice")
    assert second.evicted == ()
    assert third.evicted == (first.handle,)
    told = await sessions.get_session(first.session_id)
    assert told is not None
    assert not told.is_active
    assert told.revocation is not None
    assert told.revocation.reason == "session limit"
    assert told.revocation.actor == third.handle
    assert {one.handle for one in await sessions.get_user_sessions("alice")} == {second.handle, third.handle}


async def test_a_limit_of_one_means_a_single_device(make: Make) -> None:
    sessions = make(session_max_concurrent=1)
    ids = [(await sessions.create_session("alice")).session_id for _ in range(4)]
    alive = [found.is_active for one in ids if (found := await sessions.get_session(one))]
    assert alive == [False, False, False, True]


@pytest.mark.parametrize("settings", [{}, {"session_max_concurrent": 0}])
async def test_no_limit_and_zero_mean_unlimited(make: Make, settings: dict[str, int]) -> None:
    sessions = make(**settings)
    for _ in range(20):
        assert (await sessions.create_session("alice")).evicted == ()
    assert await sessions.count_user_sessions("alice") == 20


async def test_expired_sessions_take_up_no_place(make: Make) -> None:
    sessions = make(session_max_concurrent=2)
    await sessions.create_session("alice", ttl_seconds=1)
    await sessions.create_session("alice", ttl_seconds=1)
    await asyncio.sleep(1.1)
    for _ in range(2):
        assert (await sessions.create_session("alice")).evicted == ()
    for _ in range(10):
        assert len((await sessions.create_session("alice")).evicted) == 1
    assert await sessions.count_user_sessions("alice") == 2


async def test_the_idle_policy_ends_the_session_that_was_not_seen_for_longest(make: Make) -> None:
    sessions = make(session_max_concurrent=2, session_limit_policy="idle")
    first = await sessions.create_session("alice")
    await asyncio.sleep(0.01)
    second = await sessions.create_session("alice")
    await asyncio.sleep(0.01)
    await sessions.refresh_session(first.session_id)
    third = await sessions.create_session("alice")
    assert third.evicted == (second.handle,)


async def test_the_reject_policy_refuses_the_newcomer_and_writes_nothing(make: Make) -> None:
    sessions = make(session_max_concurrent=1, session_limit_policy="reject")
    first = await sessions.create_session("alice")
    with pytest.raises(SessionLimitReached, match="SESSION_MAX_CONCURRENT"):
        await sessions.create_session("alice")
    assert [one.handle for one in await sessions.get_user_sessions("alice")] == [first.handle]
    await sessions.revoke_session(first.session_id)
    await sessions.create_session("alice")


async def test_the_limit_is_each_users_own(make: Make) -> None:
    sessions = make(session_max_concurrent=1)
    for user in ("alice", "bob", "carol"):
        assert (await sessions.create_session(user)).evicted == ()
    assert await sessions.count_active_sessions() == 3


@pytest.mark.engine
async def test_a_lowered_limit_ends_all_that_are_too_many(on_redis: Make) -> None:
    many, few = on_redis(), on_redis(session_max_concurrent=2)
    before = [await many.create_session("alice") for _ in range(6)]
    newest = await few.create_session("alice")
    assert len(newest.evicted) == 5
    assert set(newest.evicted) <= {session.handle for session in before}
    assert await few.count_user_sessions("alice") == 2
