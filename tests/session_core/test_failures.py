"""What callers see when the store is away, full, or not set up (S8): fail closed, in time, with a clear word."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from session_core import Session, SessionManager, library
from session_core.deploy import load_functions
from session_core.errors import StoreDenied, StoreError, StoreFull, StoreNotReady, StoreUnavailable
from tests.session_core import servers
from tests.session_core.conftest import Make, add_users, redis_settings
from tests.session_core.servers import Server

pytestmark = pytest.mark.engine


@pytest.fixture
async def mortal_redis(bridge: Any) -> Any:
    """A server of its own, to be killed."""
    with servers.redis_server(bridge, alias="mortal") as server:
        add_users(server)
        await load_functions(redis_settings(server))
        yield server


async def test_a_stopped_server_is_an_error_within_the_deadline_and_never_a_missing_session(
    mortal_redis: Server,
) -> None:
    async with SessionManager(redis_settings(mortal_redis, session_deadline_seconds=1)) as sessions:
        session = await sessions.create_session("alice")
        mortal_redis.docker("kill")
        for attempt in (
            lambda: sessions.get_session(session.session_id),
            lambda: sessions.create_session("alice"),
            lambda: sessions.revoke_session(session.session_id),
            sessions.count_active_sessions,
        ):
            start = time.monotonic()
            with pytest.raises(StoreUnavailable, match="within 1 s"):
                await attempt()
            assert time.monotonic() - start < 1.5


async def test_a_process_that_does_not_answer_is_given_up_within_the_deadline(mortal_redis: Server) -> None:
    async with SessionManager(redis_settings(mortal_redis, session_deadline_seconds=1)) as sessions:
        session = await sessions.create_session("alice")
        mortal_redis.docker("pause")
        try:
            start = time.monotonic()
            with pytest.raises(StoreUnavailable):
                await sessions.get_session(session.session_id)
            assert time.monotonic() - start < 1.5
        finally:
            mortal_redis.docker("unpause")
        assert await sessions.get_session(session.session_id) is not None


async def test_calls_wait_out_a_restart_and_the_same_manager_goes_on(mortal_redis: Server) -> None:
    async with SessionManager(redis_settings(mortal_redis, session_deadline_seconds=20)) as sessions:
        await sessions.create_session("alice")
        mortal_redis.docker("kill")
        waiting = asyncio.create_task(sessions.count_active_sessions())
        await asyncio.sleep(0.5)
        assert not waiting.done()
        await asyncio.to_thread(mortal_redis.docker, "start")
        add_users_soon = asyncio.to_thread(servers.wait_for, mortal_redis)
        await add_users_soon
        # A server without users and functions refuses at once instead of leading to endless repeats.
        with pytest.raises(StoreDenied):
            await waiting
        add_users(mortal_redis)
        with pytest.raises(StoreNotReady):
            await sessions.create_session("alice")
        await load_functions(redis_settings(mortal_redis))
        await sessions.create_session("alice")


async def test_a_manager_may_be_made_and_used_before_the_server_is_there(mortal_redis: Server) -> None:
    mortal_redis.docker("kill")
    async with SessionManager(redis_settings(mortal_redis, session_deadline_seconds=0.5)) as sessions:
        with pytest.raises(StoreUnavailable):
            await sessions.check()


async def test_a_wrong_password_is_refused_at_once(redis: Server) -> None:
    async with SessionManager(redis_settings(redis, redis_password="wrong")) as sessions:
        start = time.monotonic()
        with pytest.raises(StoreDenied, match="REDIS_PASSWORD") as refusal:
            await sessions.create_session("alice")
        assert time.monotonic() - start < 1
        assert "wrong" not in str(refusal.value).lower().replace("wrongpass", "")


async def test_a_missing_password_is_refused_at_once(redis: Server) -> None:
    with redis.admin() as admin:
        admin.execute_command("ACL", "SETUSER", "default", "-@all", "+auth", "+acl", "+config|set", "+ping")
    try:
        settings = redis_settings(redis, redis_username="", redis_password="")
        async with SessionManager(settings) as sessions:
            with pytest.raises(StoreDenied):
                await sessions.create_session("alice")
    finally:
        with redis.admin() as admin:
            admin.execute_command("ACL", "SETUSER", "default", "+@all")


async def test_a_missing_library_says_what_to_run(redis: Server, on_redis: Make) -> None:
    with redis.admin() as admin:
        admin.execute_command("FUNCTION", "FLUSH")
    with pytest.raises(StoreNotReady, match="session-core functions load"):
        await on_redis().create_session("alice")


async def test_an_older_library_says_what_to_run(redis: Server, on_redis: Make) -> None:
    older = library.source().replace(f"local REVISION = {library.REVISION}", "local REVISION = 0")
    with redis.admin() as admin:
        admin.execute_command("FUNCTION", "LOAD", "REPLACE", older)
    with pytest.raises(StoreNotReady, match="session-core functions load"):
        await on_redis().create_session("alice")


async def test_a_database_with_other_buckets_is_refused(redis: Server, on_redis: Make) -> None:
    with redis.admin() as admin:
        admin.hset("session_meta", "buckets", 64)
    with pytest.raises(StoreNotReady, match="64 buckets"):
        await on_redis().create_session("alice")
    with pytest.raises(StoreNotReady, match="64 buckets"):
        await load_functions(redis_settings(redis))


@pytest.fixture
def full(redis: Server) -> Iterator[Server]:
    yield redis
    with redis.admin() as admin:
        admin.config_set("maxmemory", "0")


async def test_a_full_server_refuses_logins_and_keeps_everyone_else_in(full: Server, on_redis: Make) -> None:
    sessions = on_redis(session_refresh_threshold=86_400, session_ttl_seconds=10)
    session, other, third = [await sessions.create_session("alice") for _ in range(3)]
    with full.admin() as admin:
        admin.config_set("maxmemory", "1")
    with pytest.raises(StoreFull):
        await sessions.create_session("alice")
    await asyncio.sleep(0.6)
    found = await sessions.get_session(session.session_id)
    assert found is not None
    assert found.is_active
    assert sessions.counts.refreshed == 1
    assert await sessions.revoke_session(other.session_id, "stolen")
    assert await sessions.rotate_session(third.session_id) is not None
    assert len((await sessions.revoke_user_sessions("alice")).handles) == 2
    assert await sessions.count_active_sessions() == 0


async def test_a_primary_without_replicas_refuses_writes_and_answers_reads(redis: Server, on_redis: Make) -> None:
    sessions = on_redis(session_refresh_threshold=86_400, session_ttl_seconds=10, session_deadline_seconds=1)
    session = await sessions.create_session("alice")
    with redis.admin() as admin:
        admin.config_set("min-replicas-to-write", "1")
    await asyncio.sleep(0.6)
    with pytest.raises(StoreUnavailable, match="NOREPLICAS"):
        await sessions.create_session("alice")
    start = time.monotonic()
    found = await sessions.get_session(session.session_id)
    assert found is not None
    assert found.expires_at == session.expires_at
    assert sessions.counts.slides_refused == 1
    assert time.monotonic() - start < 0.5
    assert len(await sessions.get_user_sessions("alice")) == 1
    assert await sessions.count_active_sessions() == 1
    assert await sessions.list_active_users() == ["alice"]


async def test_a_session_that_the_server_evicted_takes_up_no_place_under_the_limit(
    redis: Server, on_redis: Make
) -> None:
    sessions = on_redis(session_max_concurrent=2)
    first, second = [await sessions.create_session("alice") for _ in range(2)]
    with redis.admin() as admin:
        admin.delete(*admin.keys(f"session:*{first.handle.partition('-')[2]}"))
    third = await sessions.create_session("alice")
    assert third.evicted == ()
    alive = {one.handle for one in await sessions.get_user_sessions("alice")}
    assert alive == {second.handle, third.handle}


async def test_a_sealed_part_that_was_tampered_with_is_refused(redis: Server, on_redis: Make) -> None:
    from session_core.errors import SealBroken

    sessions = on_redis()
    mine, other = [await sessions.create_session(user, {"access_token": user}) for user in ("alice", "bob")]
    with redis.admin() as admin:
        [mine_key] = admin.keys(f"session:*{mine.handle.partition('-')[2]}")
        [other_key] = admin.keys(f"session:*{other.handle.partition('-')[2]}")
        for field in ("sealed", "wrap"):
            original = admin.hget(mine_key, field)
            admin.hset(mine_key, field, admin.hget(other_key, field) or b"")
            with pytest.raises(SealBroken):
                await sessions.get_session(mine.session_id)
            admin.hset(mine_key, field, original or b"")
    assert (await sessions.get_session(mine.session_id)) is not None


async def test_errors_are_all_of_one_tree(redis: Server) -> None:
    assert issubclass(StoreUnavailable, StoreError)
    async with SessionManager(redis_settings(redis, redis_url="redis://127.0.0.1:1/0")) as sessions:
        with pytest.raises(StoreUnavailable, match="Redis"):
            await sessions._store.check(seconds=0.3)


@pytest.mark.parametrize("backend", ["memory", "redis"])
def test_a_manager_may_be_used_in_one_event_loop_after_the_other(shared_redis: Server, backend: str) -> None:
    # As a script does that calls asyncio.run() twice.
    add_users(shared_redis)
    asyncio.run(load_functions(redis_settings(shared_redis)))
    sessions = SessionManager(redis_settings(shared_redis, session_backend=backend, redis_max_connections=2))

    async def log_in() -> list[Session]:
        return await asyncio.gather(*(sessions.create_session("alice") for _ in range(10)))

    first, second = asyncio.run(log_in()), asyncio.run(log_in())
    found = asyncio.run(sessions.get_session(first[0].session_id))
    assert found is not None
    assert len({session.handle for session in first + second}) == 20
