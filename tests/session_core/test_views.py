"""The contract, part five: counting, listing users, following events. On both back ends."""

import asyncio
from contextlib import aclosing

from session_core import Event, SessionManager
from tests.session_core.conftest import Make


async def test_counts_and_users_agree_with_what_lives(make: Make) -> None:
    sessions = make()
    users = [f"user-{number}" for number in range(40)]
    for user in users:
        await sessions.create_session(user)
    extra = await sessions.create_session("user-0")
    assert await sessions.count_active_sessions() == 41
    assert await sessions.count_active_users() == 40
    assert await sessions.count_user_sessions("user-0") == 2
    assert sorted(await sessions.list_active_users()) == sorted(users)
    await sessions.revoke_session(extra.session_id)
    await sessions.revoke_user_sessions("user-1")
    assert await sessions.count_active_sessions() == 39
    assert sorted(await sessions.list_active_users()) == sorted(set(users) - {"user-1"})


async def test_paging_through_users_meets_everybody_once(make: Make) -> None:
    sessions = make()
    users = {f"user-{number}" for number in range(60)}
    for user in users:
        await sessions.create_session(user)
    met = [user async for user in sessions.iter_active_users(page_size=7)]
    assert sorted(met) == sorted(users)


async def test_a_users_sessions_are_listed_oldest_first(make: Make) -> None:
    sessions = make()
    first = await sessions.create_session("alice")
    made = [first.handle, *[(await sessions.create_session("alice", {"n": n})).handle for n in range(20)]]
    rotated = await sessions.rotate_session(first.session_id)
    assert rotated is not None
    made[0] = rotated.handle
    assert [one.handle for one in await sessions.get_user_sessions("alice")] == made


async def test_the_index_outlives_a_later_session_of_shorter_life(make: Make) -> None:
    sessions = make(session_sliding_window=False)
    long = await sessions.create_session("alice", ttl_seconds=3600)
    await sessions.create_session("alice", ttl_seconds=1)
    await asyncio.sleep(1.1)
    assert [one.handle for one in await sessions.get_user_sessions("alice")] == [long.handle]
    assert await sessions.list_active_users() == ["alice"]
    assert (await sessions.revoke_user_sessions("alice")).handles == (long.handle,)


async def test_the_index_is_extended_with_the_session(make: Make) -> None:
    sessions = make(session_ttl_seconds=1, session_refresh_threshold=3600)
    session = await sessions.create_session("alice")
    for _ in range(4):
        await asyncio.sleep(0.5)
        found = await sessions.get_session(session.session_id)
        assert found is not None
        assert found.is_active
    assert await sessions.count_user_sessions("alice") == 1
    assert await sessions.list_active_users() == ["alice"]


async def test_events_tell_what_happened_in_order(make: Make) -> None:
    sessions = make(session_max_concurrent=1)
    ready = asyncio.create_task(_follow(sessions, 6))
    await asyncio.sleep(0.2)
    first = await sessions.create_session("alice")
    second = await sessions.create_session("alice")
    third = await sessions.rotate_session(second.session_id)
    assert third is not None
    await sessions.revoke_user_sessions("alice", "end", actor="admin")
    events = await ready
    told = [(event.kind, event.user_id, event.handle, event.reason, event.actor) for event in events]
    assert told == [
        ("created", "alice", first.handle, None, None),
        ("evicted", "alice", first.handle, "session limit", second.handle),
        ("created", "alice", second.handle, None, None),
        ("rotated", "alice", third.handle, None, second.handle),
        ("revoked", "alice", third.handle, "end", "admin"),
        ("revoked_all", "alice", "", "end", "admin"),
    ]


async def test_events_can_be_followed_from_a_moment_in_the_past(make: Make) -> None:
    sessions = make()
    session = await sessions.create_session("alice")
    async with asyncio.timeout(5), aclosing(sessions.events(after=session.created_at)) as events:
        async for event in events:
            assert event.handle == session.handle
            assert event.at == session.created_at
            break


async def _follow(sessions: SessionManager, number: int) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(10), aclosing(sessions.events()) as events:
        async for event in events:
            found.append(event)
            if len(found) == number:
                break
    return found
