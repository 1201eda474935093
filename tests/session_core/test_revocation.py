"""The contract, part three: ending sessions. On both back ends."""

import asyncio

from tests.session_core.conftest import Make


async def test_a_revoked_session_answers_with_its_reason(make: Make) -> None:
    sessions = make()
    session = await sessions.create_session("alice", {"ip": "1", "access_token": "t"})
    outcome = await sessions.revoke_session(session.session_id, reason="Password changed", actor="admin")
    assert outcome
    assert outcome.handle == session.handle
    for found in (await sessions.get_session(session.session_id), await sessions.refresh_session(session.session_id)):
        assert found is not None
        assert not found.is_active
        assert found.revocation is not None
        assert (found.revocation.reason, found.revocation.actor) == ("Password changed", "admin")
        assert found.metadata == {}
    assert await sessions.count_active_sessions() == 0
    assert await sessions.get_user_sessions("alice") == []


async def test_a_handle_revokes_but_opens_nothing(make: Make) -> None:
    sessions = make()
    session = await sessions.create_session("alice")
    [listed] = await sessions.get_user_sessions("alice")
    assert listed.session_id == listed.handle == session.handle
    assert await sessions.revoke_session(listed.session_id)
    found = await sessions.get_session(session.session_id)
    assert found is not None
    assert not found.is_active


async def test_the_first_reason_stays(make: Make) -> None:
    sessions = make()
    session = await sessions.create_session("alice")
    first = await sessions.revoke_session(session.session_id, "stolen")
    again = await sessions.revoke_session(session.session_id, "logout")
    assert again
    assert again.revocation == first.revocation


async def test_a_reason_may_be_missing(make: Make) -> None:
    sessions = make()
    session = await sessions.create_session("alice")
    outcome = await sessions.revoke_session(session.session_id)
    assert outcome.revocation is not None
    assert (outcome.revocation.reason, outcome.revocation.actor) == (None, None)


async def test_revoke_all_ends_every_session_of_that_user_only(make: Make) -> None:
    sessions = make()
    mine = [await sessions.create_session("alice") for _ in range(5)]
    other = await sessions.create_session("bob")
    outcome = await sessions.revoke_user_sessions("alice", "left the company")
    assert sorted(outcome.handles) == sorted(one.handle for one in mine)
    for session in mine:
        found = await sessions.get_session(session.session_id)
        assert found is not None
        assert found.revocation is not None
        assert found.revocation.reason == "left the company"
    assert (await sessions.list_active_users()) == ["bob"]
    assert (await sessions.get_session(other.session_id)) is not None


async def test_revoke_all_spares_the_one_that_is_named(make: Make) -> None:
    sessions = make()
    mine = [await sessions.create_session("alice") for _ in range(3)]
    outcome = await sessions.revoke_user_sessions("alice", except_session_id=mine[1].session_id)
    assert len(outcome.handles) == 2
    assert [one.handle for one in await sessions.get_user_sessions("alice")] == [mine[1].handle]
    outcome = await sessions.revoke_user_sessions("alice", except_session_id=mine[1].handle)
    assert outcome.handles == ()


async def test_revoke_all_with_the_session_of_another_user_spares_nothing(make: Make) -> None:
    sessions = make()
    await sessions.create_session("alice")
    other = await sessions.create_session("bob")
    outcome = await sessions.revoke_user_sessions("alice", except_session_id=other.session_id)
    assert len(outcome.handles) == 1
    assert await sessions.count_active_sessions() == 1


async def test_revoke_all_of_nobody_is_no_error(make: Make) -> None:
    assert (await make().revoke_user_sessions("nobody")).handles == ()


async def test_a_login_after_revoke_all_lives(make: Make) -> None:
    sessions = make()
    await sessions.create_session("alice")
    outcome = await sessions.revoke_user_sessions("alice")
    await asyncio.sleep(0.002)
    later = await sessions.create_session("alice")
    assert later.created_at > outcome.cutoff
    assert await sessions.count_user_sessions("alice") == 1


async def test_nothing_brings_a_revoked_session_back(make: Make) -> None:
    sessions = make(session_refresh_threshold=86_400)
    session = await sessions.create_session("alice", {"a": 1})
    await sessions.revoke_session(session.session_id, "stolen")
    for attempt in (
        sessions.get_session(session.session_id),
        sessions.refresh_session(session.session_id),
        sessions.rotate_session(session.session_id),
        sessions.update_metadata(session.session_id, {"a": 2}),
    ):
        found = await attempt
        assert found is not None
        assert not found.is_active
    assert await sessions.count_active_sessions() == 0
    assert await sessions.get_user_sessions("alice") == []
