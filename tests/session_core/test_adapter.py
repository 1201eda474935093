"""The former system's class on top of `SessionManager`: its names, its types, without its defects."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from session_core.errors import InvalidInput
from session_core.migration.adapter import SessionData, SessionStore, create_session_store
from tests.session_core.conftest import Make


async def test_a_session_has_the_fields_of_the_former_system(make: Make) -> None:
    store = SessionStore(make())
    session_id = await store.create("user:alice", "alice", ["user", "a,admin"], {"ip": "1.2.3.4"}, 600)
    assert len(session_id) >= 32
    data = await store.get(session_id)
    assert data is not None
    assert (data.session_id, data.user_id, data.username) == (session_id, "user:alice", "alice")
    assert data.roles == ["user", "a,admin"]
    assert data.metadata == {"ip": "1.2.3.4"}
    assert datetime.fromisoformat(data.expires_at) - datetime.fromisoformat(data.created_at) == timedelta(seconds=600)
    assert datetime.fromisoformat(data.last_accessed) >= datetime.fromisoformat(data.created_at)
    assert SessionData.from_dict(data.to_dict()) == data


async def test_update_merges_and_refresh_extends(make: Make) -> None:
    store = SessionStore(make())
    session_id = await store.create("alice", "alice", [], {"a": 1}, 600)
    before = await store.get(session_id)
    await asyncio.sleep(0.01)
    assert await store.update(session_id, {"b": 2})
    assert await store.refresh(session_id)
    after = await store.get(session_id)
    assert before is not None
    assert after is not None
    assert after.metadata == {"a": 1, "b": 2}
    assert after.username == "alice"
    assert after.expires_at > before.expires_at


async def test_deleted_sessions_are_gone_for_good(make: Make) -> None:
    store = SessionStore(make())
    first, second, third = [await store.create("alice", "alice", []) for _ in range(3)]
    assert await store.delete(first)
    assert not await store.delete(first)
    assert await store.get(first) is None
    assert not await store.update(first, {"a": 1})
    assert not await store.refresh(first)
    [listed, _] = await store.list_user_sessions("alice")
    assert await store.get(listed.session_id) is None  # a handle opens nothing
    assert await store.delete(listed.session_id)  # and ends its session
    assert await store.get(second) is None
    assert await store.delete_user_sessions("alice") == 1
    assert await store.delete_user_sessions("alice") == 0
    assert await store.get(third) is None
    assert await store.list_user_sessions("alice") == []


async def test_a_text_that_is_no_id_leads_to_nothing(make: Make) -> None:
    store = SessionStore(make())
    for text in ("", "nonsense", "0." + "x" * 43):
        assert await store.get(text) is None
        assert not await store.delete(text)
        assert not await store.refresh(text)
        assert not await store.update(text, {"a": 1})


async def test_looking_for_inactive_sessions_makes_none_of_them_active(make: Make) -> None:
    store = SessionStore(make())
    idle = await store.create("alice", "alice", [])
    await asyncio.sleep(0.02)
    cutoff = datetime.now(UTC)
    await asyncio.sleep(0.02)
    fresh = await store.create("bob", "bob", [])
    for _ in range(2):
        assert [data.user_id for data in await store.get_inactive_sessions(cutoff)] == ["alice"]
    assert await store.delete_inactive_sessions(cutoff) == 1
    assert await store.get(idle) is None
    assert await store.get(fresh) is not None


async def test_what_the_former_system_took_wrongly_is_refused(make: Make) -> None:
    store = SessionStore(make())
    session_id = await store.create("alice", "alice", ["user"])
    for refused in (
        store.create("alice", "alice", [], ttl_seconds=0),
        store.create("alice", "alice", ["user"], {"roles": ["admin"]}),
        store.update(session_id, {"roles": ["admin"]}),
        store.refresh(session_id, 60),
    ):
        with pytest.raises(InvalidInput):
            await refused
    data = await store.get(session_id)
    assert data is not None
    assert data.roles == ["user"]


async def test_the_factory_takes_what_it_took() -> None:
    store = create_session_store("MEMORY", default_ttl_seconds=60, max_concurrent_sessions=1)
    first, second = await store.create("a", "a", []), await store.create("a", "a", [])
    assert await store.get(first) is None
    assert await store.get(second) is not None
    await store.aclose()
    for arguments in (("mongo",), ("redis",)):
        with pytest.raises(ValueError, match="backend"):
            create_session_store(*arguments)
    settings = create_session_store("redis", "redis://h", ssl=True, password="p", ttl_seconds=60).sessions.settings
    assert (settings.tls, settings.session_ttl_seconds, settings.session_max_concurrent) == (True, 60, 5)
