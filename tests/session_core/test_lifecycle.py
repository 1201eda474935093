"""The contract, part one: create, get, refresh, expire. On both back ends."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from session_core.ids import ref_of
from session_core.session import Metadata
from tests.session_core.conftest import Make


async def test_a_session_reads_back_as_it_was_created(make: Make) -> None:
    sessions = make()
    metadata: Metadata = {"ip": "192.168.1.1", "nested": {"list": [1, 2.5, None, True]}, "text": "Zürich ☃"}
    created = await sessions.create_session("user:alice", metadata)
    found = await sessions.get_session(created.session_id)
    assert found is not None
    assert found.is_active
    assert found.user_id == "user:alice"
    assert found.metadata == metadata
    assert found.session_id == created.session_id
    assert found.handle == created.handle == ref_of(created.session_id).handle
    assert found.revocation is None


async def test_times_are_aware_and_follow_the_settings(make: Make) -> None:
    sessions = make(session_ttl_seconds=7200, session_max_lifetime_seconds=10_000)
    session = await sessions.create_session("alice")
    assert abs(session.created_at - datetime.now(UTC)) < timedelta(seconds=5)
    assert session.expires_at - session.created_at == timedelta(seconds=7200)
    assert session.max_expires_at - session.created_at == timedelta(seconds=10_000)
    assert session.last_seen_at == session.created_at


async def test_a_ttl_of_ones_own_overrides_the_setting(make: Make) -> None:
    session = await make().create_session("alice", ttl_seconds=120)
    assert session.expires_at - session.created_at == timedelta(seconds=120)


async def test_an_unknown_id_leads_to_nothing(make: Make) -> None:
    sessions = make()
    known = await sessions.create_session("alice")
    flipped = "A" if known.session_id[-2] != "A" else "B"
    unknown = known.session_id[:-2] + flipped + known.session_id[-1]
    assert await sessions.get_session(unknown) is None
    assert await sessions.refresh_session(unknown) is None
    assert not await sessions.revoke_session(unknown)


async def test_an_expired_session_is_gone_everywhere(make: Make) -> None:
    sessions = make(session_refresh_threshold=1, session_sliding_window=False)
    session = await sessions.create_session("alice", ttl_seconds=1)
    await asyncio.sleep(1.1)
    assert await sessions.get_session(session.session_id) is None
    assert await sessions.refresh_session(session.session_id) is None
    assert await sessions.get_user_sessions("alice") == []
    assert await sessions.count_user_sessions("alice") == 0
    assert await sessions.count_active_sessions() == 0
    assert await sessions.list_active_users() == []
    assert not await sessions.revoke_session(session.session_id)


async def test_reading_slides_a_session_that_is_near_its_end(make: Make) -> None:
    sessions = make(session_ttl_seconds=100, session_refresh_threshold=99)
    session = await sessions.create_session("alice")
    await asyncio.sleep(1.1)
    slid = await sessions.get_session(session.session_id)
    assert slid is not None
    assert slid.expires_at - session.expires_at > timedelta(seconds=1)
    assert slid.last_seen_at > session.last_seen_at
    assert sessions.counts.refreshed == 1


async def test_reading_does_not_slide_a_session_with_time_left(make: Make) -> None:
    sessions = make(session_ttl_seconds=100, session_refresh_threshold=50)
    session = await sessions.create_session("alice")
    await asyncio.sleep(0.05)
    again = await sessions.get_session(session.session_id)
    assert again is not None
    assert again.expires_at == session.expires_at
    assert sessions.counts.refreshed == 0


async def test_with_a_threshold_above_the_ttl_reads_slide_once_in_a_twentieth_of_it(make: Make) -> None:
    sessions = make(session_ttl_seconds=10, session_refresh_threshold=3600)
    session = await sessions.create_session("alice")
    for _ in range(3):
        await sessions.get_session(session.session_id)
    assert sessions.counts.refreshed == 0
    await asyncio.sleep(0.55)
    for _ in range(3):
        await sessions.get_session(session.session_id)
    assert sessions.counts.refreshed == 1


async def test_refresh_extends_at_once(make: Make) -> None:
    sessions = make(session_ttl_seconds=100)
    session = await sessions.create_session("alice", {"access_token": "t", "ip": "1"})
    await asyncio.sleep(0.05)
    refreshed = await sessions.refresh_session(session.session_id)
    assert refreshed is not None
    assert refreshed.expires_at - session.expires_at >= timedelta(milliseconds=50)
    assert refreshed.metadata == {"access_token": "t", "ip": "1"}


async def test_nothing_extends_a_session_beyond_its_absolute_lifetime(make: Make) -> None:
    sessions = make(session_ttl_seconds=2, session_max_lifetime_seconds=2, session_refresh_threshold=3600)
    session = await sessions.create_session("alice")
    await asyncio.sleep(0.3)
    for attempt in (sessions.get_session, sessions.refresh_session):
        found = await attempt(session.session_id)
        assert found is not None
        assert found.expires_at == session.max_expires_at
        assert found.last_seen_at == session.last_seen_at
    await asyncio.sleep(1.8)
    assert await sessions.get_session(session.session_id) is None


async def test_without_the_sliding_window_nothing_extends_a_session(make: Make) -> None:
    sessions = make(session_ttl_seconds=100, session_sliding_window=False, session_refresh_threshold=100)
    session = await sessions.create_session("alice")
    assert session.max_expires_at == session.expires_at
    await asyncio.sleep(0.05)
    for attempt in (sessions.get_session, sessions.refresh_session):
        found = await attempt(session.session_id)
        assert found is not None
        assert found.expires_at == session.expires_at


async def test_listing_counts_as_no_activity(make: Make) -> None:
    sessions = make(session_ttl_seconds=100, session_refresh_threshold=100)
    session = await sessions.create_session("alice")
    await asyncio.sleep(0.05)
    [listed] = await sessions.get_user_sessions("alice")
    inspected = await sessions.inspect_session(session.handle)
    assert inspected is not None
    assert listed.expires_at == inspected.expires_at == session.expires_at


async def test_a_session_id_appears_in_no_representation(make: Make) -> None:
    session = await make().create_session("alice", {"access_token": "very-secret"})
    assert session.session_id not in repr(session)
    assert "very-secret" not in repr(session)
    assert session.handle in repr(session)


@pytest.mark.parametrize("user_id", ["a:b", "a}b{c}", "*", "user name", "Ünïcode", "x" * 256, "{7}"])
async def test_any_printable_user_id_works(make: Make, user_id: str) -> None:
    sessions = make(session_max_concurrent=1)
    await sessions.create_session(user_id)
    session = await sessions.create_session(user_id)
    assert [one.handle for one in await sessions.get_user_sessions(user_id)] == [session.handle]
    assert await sessions.list_active_users() == [user_id]
    assert len((await sessions.revoke_user_sessions(user_id)).handles) == 1
    assert await sessions.list_active_users() == []
