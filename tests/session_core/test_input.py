"""Bad input is refused with a typed error, and nothing is written (S12). On both back ends."""

from typing import Any

import pytest

from session_core import SessionManager
from session_core.errors import InvalidMetadata, InvalidReason, InvalidSessionId, InvalidTtl, InvalidUserId
from tests.session_core.conftest import Make


@pytest.mark.parametrize("user_id", ["", "x" * 257, "ü" * 129, "a\nb", "a\x00", "a\x7f", "\ud800", None, 7, b"alice"])
async def test_a_bad_user_id_is_refused(make: Make, user_id: Any) -> None:
    sessions = make()
    for attempt in (
        lambda: sessions.create_session(user_id),
        lambda: sessions.get_user_sessions(user_id),
        lambda: sessions.count_user_sessions(user_id),
        lambda: sessions.revoke_user_sessions(user_id),
    ):
        with pytest.raises(InvalidUserId):
            await attempt()
    await _assert_untouched(sessions)


@pytest.mark.parametrize(
    "metadata",
    [
        {"a": object()},
        {"a": float("nan")},
        {"a": float("inf")},
        {1: "a"},
        {"a": (1, 2)},
        {"a": {2: 3}},
        {"a": "\ud800"},
        {"a": b"x"},
        {"a": {1, 2}},
        ["a"],
        "text",
        {"a": "x" * 16_400},
    ],
)
async def test_bad_metadata_is_refused(make: Make, metadata: Any) -> None:
    sessions = make()
    with pytest.raises(InvalidMetadata):
        await sessions.create_session("alice", metadata)
    await _assert_untouched(sessions)


@pytest.mark.parametrize("changes", [None, "text", ["a"], 7])
async def test_an_update_of_something_else_than_entries_is_refused(make: Make, changes: Any) -> None:
    sessions = make()
    session = await sessions.create_session("alice", {"a": 1})
    with pytest.raises(InvalidMetadata):
        await sessions.update_metadata(session.session_id, changes)


@pytest.mark.parametrize("names", [None, 7, "access_token", [7]])
async def test_names_that_are_none_are_refused(make: Make, names: Any) -> None:
    sessions = make()
    with pytest.raises(InvalidMetadata, match="names of metadata"):
        await sessions.create_session("alice", secret_names=names)
    await _assert_untouched(sessions)
    session = await sessions.create_session("alice", {"a": 1})
    with pytest.raises(InvalidMetadata, match="names of metadata"):
        await sessions.update_metadata(session.session_id, {}, remove=names)


@pytest.mark.parametrize("grace", [-1, 301, 0.0015, "10", True])
async def test_a_bad_grace_is_refused_and_the_session_goes_on(make: Make, grace: Any) -> None:
    sessions = make()
    session = await sessions.create_session("alice")
    with pytest.raises(InvalidTtl, match="0 to 300"):
        await sessions.rotate_session(session.session_id, grace_seconds=grace)
    found = await sessions.get_session(session.session_id)
    assert found is not None
    assert found.is_active
    assert await sessions.count_user_sessions("alice") == 1


async def test_metadata_may_not_grow_beyond_the_limit_by_updates(make: Make) -> None:
    sessions = make(session_max_metadata_bytes=100)
    session = await sessions.create_session("alice", {"a": "x" * 60})
    with pytest.raises(InvalidMetadata, match="SESSION_MAX_METADATA_BYTES"):
        await sessions.update_metadata(session.session_id, {"b": "x" * 60})
    found = await sessions.get_session(session.session_id)
    assert found is not None
    assert found.metadata == {"a": "x" * 60}


async def test_deeply_nested_metadata_is_refused_and_not_a_crash(make: Make) -> None:
    nested: Any = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(InvalidMetadata):
        await make(session_max_metadata_bytes=1_048_576).create_session("alice", {"a": nested})


@pytest.mark.parametrize("ttl", [0, -1, 604_801, 1.5, True, "60"])
async def test_a_bad_ttl_is_refused(make: Make, ttl: Any) -> None:
    sessions = make()
    with pytest.raises(InvalidTtl, match="SESSION_MAX_LIFETIME_SECONDS"):
        await sessions.create_session("alice", ttl_seconds=ttl)
    await _assert_untouched(sessions)


@pytest.mark.parametrize(
    "session_id",
    [
        "",
        "x",
        "1." + "a" * 42,
        "256." + "a" * 43,
        "01." + "a" * 43,
        "1." + "a" * 42 + "!",
        "1." + "a" * 43 + "\n",
        None,
        5,
    ],
)
async def test_a_malformed_session_id_is_refused(make: Make, session_id: Any) -> None:
    sessions = make()
    for attempt in (
        sessions.get_session,
        sessions.refresh_session,
        sessions.revoke_session,
        sessions.rotate_session,
        sessions.inspect_session,
    ):
        with pytest.raises(InvalidSessionId):
            await attempt(session_id)


async def test_a_handle_is_refused_where_the_secret_is_needed(make: Make) -> None:
    sessions = make()
    session = await sessions.create_session("alice")
    for attempt in (sessions.get_session, sessions.refresh_session, sessions.rotate_session):
        with pytest.raises(InvalidSessionId, match="a handle"):
            await attempt(session.handle)


@pytest.mark.parametrize("note", ["x" * 257, 7, "\ud800"])
async def test_a_bad_reason_or_actor_is_refused(make: Make, note: Any) -> None:
    sessions = make()
    session = await sessions.create_session("alice")
    for arguments in ({"reason": note}, {"actor": note}):
        with pytest.raises(InvalidReason):
            await sessions.revoke_session(session.session_id, **arguments)
        with pytest.raises(InvalidReason):
            await sessions.revoke_user_sessions("alice", **arguments)
    assert await sessions.count_active_sessions() == 1


async def _assert_untouched(sessions: SessionManager) -> None:
    assert await sessions.count_active_sessions() == 0
    assert await sessions.list_active_users() == []
    assert sessions.counts.created == 0
