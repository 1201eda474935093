"""The contract, part four: rotation, metadata, sealing. On both back ends."""

import asyncio

import pytest

from session_core.errors import SessionConflict
from tests.session_core.conftest import Make

TOKENS = {"access_token": "aaa", "refresh_token": "rrr"}


async def test_rotation_gives_a_new_id_to_the_same_session(make: Make) -> None:
    sessions = make()
    session = await sessions.create_session("alice", {"ip": "1", **TOKENS})
    rotated = await sessions.rotate_session(session.session_id)
    assert rotated is not None
    assert rotated.session_id != session.session_id
    assert (rotated.created_at, rotated.expires_at) == (session.created_at, session.expires_at)
    found = await sessions.get_session(rotated.session_id)
    assert found is not None
    assert found.metadata == {"ip": "1", **TOKENS}
    assert await sessions.count_user_sessions("alice") == 1
    assert [one.handle for one in await sessions.get_user_sessions("alice")] == [rotated.handle]


async def test_the_old_id_works_during_the_grace_and_no_longer(make: Make) -> None:
    sessions = make(session_rotation_grace_seconds=1)
    session = await sessions.create_session("alice", {"ip": "1", **TOKENS})
    rotated = await sessions.rotate_session(session.session_id)
    assert rotated is not None
    for found in (await sessions.get_session(session.session_id), await sessions.refresh_session(session.session_id)):
        assert found is not None
        assert found.handle == rotated.handle
        assert found.metadata == {"ip": "1", **TOKENS}
    await asyncio.sleep(1.1)
    assert await sessions.get_session(session.session_id) is None
    assert await sessions.get_session(rotated.session_id) is not None


async def test_without_grace_the_old_id_is_dead_at_once(make: Make) -> None:
    sessions = make()
    session = await sessions.create_session("alice")
    await sessions.rotate_session(session.session_id, grace_seconds=0)
    found = await sessions.get_session(session.session_id)
    assert found is not None
    assert found.revocation is not None
    assert found.revocation.reason == "rotated"
    assert await sessions.count_user_sessions("alice") == 1


@pytest.mark.parametrize("by", ["new", "old", "all"])
async def test_revoking_a_rotated_session_ends_both_names(make: Make, by: str) -> None:
    sessions = make()
    session = await sessions.create_session("alice")
    rotated = await sessions.rotate_session(session.session_id)
    assert rotated is not None
    if by == "all":
        await sessions.revoke_user_sessions("alice", "stolen")
    else:
        await sessions.revoke_session({"new": rotated, "old": session}[by].session_id, "stolen")
    for name in (session.session_id, rotated.session_id):
        found = await sessions.get_session(name)
        assert found is not None
        assert found.revocation is not None
        assert found.revocation.reason == "stolen"
    assert await sessions.count_active_sessions() == 0


async def test_revoking_an_id_that_was_rotated_away_without_grace_ends_what_became_of_it(make: Make) -> None:
    sessions = make()
    session = await sessions.create_session("alice")
    rotated = await sessions.rotate_session(session.session_id, grace_seconds=0)
    assert rotated is not None
    again = await sessions.rotate_session(rotated.session_id)
    assert again is not None
    outcome = await sessions.revoke_session(session.session_id, "stolen")
    assert outcome.revocation is not None
    assert outcome.revocation.reason == "rotated"
    for name in (rotated, again):
        found = await sessions.get_session(name.session_id)
        assert found is not None
        assert found.revocation is not None
        assert found.revocation.reason == "stolen"
    assert await sessions.count_user_sessions("alice") == 0


async def test_an_id_is_rotated_once(make: Make) -> None:
    sessions = make()
    session = await sessions.create_session("alice")
    rotated = await sessions.rotate_session(session.session_id)
    assert rotated is not None
    with pytest.raises(SessionConflict):
        await sessions.rotate_session(session.session_id)
    assert await sessions.rotate_session(rotated.session_id) is not None
    still = await sessions.get_session(session.session_id)
    assert still is not None
    assert still.is_active


async def test_revoke_all_spares_a_session_by_its_old_name(make: Make) -> None:
    sessions = make()
    session = await sessions.create_session("alice")
    rotated = await sessions.rotate_session(session.session_id)
    assert rotated is not None
    outcome = await sessions.revoke_user_sessions("alice", except_session_id=session.session_id)
    assert outcome.handles == ()
    assert await sessions.count_user_sessions("alice") == 1


async def test_metadata_entries_are_set_and_removed(make: Make) -> None:
    sessions = make()
    session = await sessions.create_session("alice", {"keep": 1, "change": 1, "drop": 1})
    changed = await sessions.update_metadata(session.session_id, {"change": 2, "new": [1]}, remove=["drop"])
    found = await sessions.get_session(session.session_id)
    assert changed is not None
    assert found is not None
    assert changed.metadata == found.metadata == {"keep": 1, "change": 2, "new": [1]}


async def test_concurrent_updates_lose_nothing(make: Make) -> None:
    sessions = make()
    session = await sessions.create_session("alice", {"first": 0, "access_token": "t"})
    await asyncio.gather(*(sessions.update_metadata(session.session_id, {f"n{n}": n}) for n in range(15)))
    found = await sessions.get_session(session.session_id)
    assert found is not None
    assert found.metadata == {"first": 0, "access_token": "t", **{f"n{n}": n for n in range(15)}}


async def test_updating_what_is_gone_returns_nothing(make: Make) -> None:
    sessions = make(session_sliding_window=False)
    session = await sessions.create_session("alice", ttl_seconds=1)
    await asyncio.sleep(1.1)
    assert await sessions.update_metadata(session.session_id, {"a": 1}) is None
    assert await sessions.rotate_session(session.session_id) is None
    assert await sessions.count_active_sessions() == 0


async def test_sealed_entries_are_there_for_the_id_and_absent_from_listings(make: Make) -> None:
    sessions = make()
    metadata = {**TOKENS, "sid": "idp-session", "pin": "1234"}
    session = await sessions.create_session("alice", metadata, secret_names=["pin"])
    found = await sessions.get_session(session.session_id)
    [listed] = await sessions.get_user_sessions("alice")
    inspected = await sessions.inspect_session(session.handle)
    assert found is not None
    assert inspected is not None
    assert found.metadata == metadata
    assert listed.metadata == inspected.metadata == {"sid": "idp-session"}


async def test_secrets_survive_updates_and_can_be_added_and_removed(make: Make) -> None:
    sessions = make()
    session = await sessions.create_session("alice", {"a": 1})
    await sessions.update_metadata(session.session_id, {"access_token": "one"})
    await sessions.update_metadata(session.session_id, {"pin": "two"}, secret_names=["pin"])
    await sessions.update_metadata(session.session_id, {"pin": "three"})
    found = await sessions.get_session(session.session_id)
    [listed] = await sessions.get_user_sessions("alice")
    assert found is not None
    assert found.metadata == {"a": 1, "access_token": "one", "pin": "three"}
    assert listed.metadata == {"a": 1}
    await sessions.update_metadata(session.session_id, {}, remove=["access_token", "pin"])
    found = await sessions.get_session(session.session_id)
    assert found is not None
    assert found.metadata == {"a": 1}


async def test_a_first_secret_cannot_be_sealed_under_a_name_that_was_rotated_away(make: Make) -> None:
    sessions = make()
    session = await sessions.create_session("alice", {"a": 1})
    rotated = await sessions.rotate_session(session.session_id)
    assert rotated is not None
    with pytest.raises(SessionConflict, match="new id"):
        await sessions.update_metadata(session.session_id, {"access_token": "x"})
    await sessions.update_metadata(session.session_id, {"b": 2})
    found = await sessions.get_session(rotated.session_id)
    assert found is not None
    assert found.metadata == {"a": 1, "b": 2}
