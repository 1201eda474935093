"""A revocation that no replica has confirmed is repeated until one has: a failover does not undo it (S7, S6)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from session_core import SessionManager
from session_core.deploy import load_functions
from session_core.errors import StoreUnavailable
from session_core.ids import new_session_id, ref_of
from session_core.protocol import session_key
from tests.session_core.conftest import Make, redis_settings
from tests.session_core.sentinel_group import Group, sentinel_group
from tests.session_core.servers import Server
from tests.session_core.test_durability import pair
from tests.session_core.wire import wire_to

__all__ = ["pair"]
pytestmark = pytest.mark.engine
Pair = tuple[Server, Server]
FAILOVER_SECONDS = 120
"""Sentinels that a busy machine keeps waiting go into TILT: they look on for 30 s before they act again."""


async def until(true: Callable[[], bool], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - a container is waited for
            await asyncio.sleep(0.02)


@pytest.fixture
async def sessions(pair: Pair) -> AsyncIterator[SessionManager]:
    async with SessionManager(redis_settings(pair[0], session_wait_replicas=1)) as made:
        yield made


async def test_a_lost_reply_and_paused_replicas_are_not_durable_until_the_replicas_resume(pair: Pair) -> None:
    primary, replica = pair
    async with wire_to(primary.port) as wire:
        settings = redis_settings(primary, redis_url=f"redis://127.0.0.1:{wire.port}/0", session_wait_replicas=1)
        async with SessionManager(settings) as sessions:
            session = await sessions.create_session("alice")
            assert session.durable

            wire.lose_once(b"session_revoke_v1")
            replica.docker("pause")
            try:
                assert (await sessions.revoke_session(session.session_id, "stolen")).durable is False
                assert sessions.effort.repeats == 1
                assert sessions.unconfirmed_revocations == 1
                await asyncio.sleep(1)
                assert sessions.unconfirmed_revocations == 1
            finally:
                replica.docker("unpause")
            await until(lambda: sessions.unconfirmed_revocations == 0)
            assert sessions.counts.confirmed_late == 1
            with replica.admin() as admin:
                assert admin.hget(session_key(ref_of(session.session_id)), "reason") == b"stolen"


async def test_a_revocation_that_its_caller_gave_up_is_repeated_too(pair: Pair) -> None:
    primary, replica = pair
    settings = redis_settings(primary, session_wait_replicas=1, session_wait_timeout_ms=5000)
    async with SessionManager(settings) as sessions:
        one, other = [await sessions.create_session(user) for user in ("alice", "bob")]
        replica.docker("pause")
        try:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await asyncio.gather(
                        sessions.revoke_session(one.session_id, "stolen"),
                        sessions.revoke_user_sessions("bob", "stolen"),
                    )
            assert sessions.unconfirmed_revocations == 2
        finally:
            replica.docker("unpause")
        await until(lambda: sessions.unconfirmed_revocations == 0)
        with replica.admin() as admin:
            for session in (one, other):
                assert admin.hget(session_key(ref_of(session.session_id)), "reason") == b"stolen"


async def test_a_repeat_never_ends_a_later_login(pair: Pair, sessions: SessionManager) -> None:
    _, replica = pair
    before = await sessions.create_session("alice")
    replica.docker("pause")
    try:
        assert not (await sessions.revoke_user_sessions("alice", "left")).durable
        later = await sessions.create_session("alice")
        await asyncio.sleep(1)
    finally:
        replica.docker("unpause")
    await until(lambda: sessions.unconfirmed_revocations == 0)
    found = await sessions.get_session(later.session_id)
    assert found is not None
    assert found.is_active
    ended = await sessions.get_session(before.session_id)
    assert ended is not None
    assert not ended.is_active


async def test_a_repeat_spares_the_spared_session_under_whatever_name(pair: Pair, sessions: SessionManager) -> None:
    _, replica = pair
    mine, other = await sessions.create_session("alice"), await sessions.create_session("alice")
    replica.docker("pause")
    try:
        revoked = await sessions.revoke_user_sessions("alice", except_session_id=mine.session_id)
        assert revoked.handles == (other.handle,)
        renamed = await sessions.rotate_session(mine.session_id, grace_seconds=0)
        assert renamed is not None
        assert sessions.unconfirmed_revocations == 1
    finally:
        replica.docker("unpause")
    await until(lambda: sessions.unconfirmed_revocations == 0)
    found = await sessions.get_session(renamed.session_id)
    assert found is not None
    assert found.is_active


async def test_the_journal_is_bounded_and_tells_what_it_forgot(
    pair: Pair, sessions: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, replica = pair
    monkeypatch.setattr("session_core.journal.SIZE", 2)
    made = [await sessions.create_session("alice") for _ in range(4)]
    replica.docker("pause")
    try:
        for one in made:
            await sessions.revoke_session(one.session_id)
            await sessions.revoke_session(one.session_id)
        assert sessions.unconfirmed_revocations == 2
        assert sessions.counts.forgotten == 2
    finally:
        replica.docker("unpause")


async def test_the_journal_holds_no_secret(pair: Pair, sessions: SessionManager) -> None:
    _, replica = pair
    session = await sessions.create_session("alice")
    replica.docker("pause")
    try:
        await sessions.revoke_session(session.session_id)
        assert session.session_id.partition(".")[2] not in repr(sessions._journal._again)
        assert session.handle.partition("-")[2] in repr(sessions._journal._again)
    finally:
        replica.docker("unpause")


async def test_without_wanted_confirmations_nothing_is_remembered(on_redis: Make) -> None:
    sessions = on_redis()
    session = await sessions.create_session("alice")
    assert not (await sessions.revoke_session(session.session_id)).durable
    assert sessions.unconfirmed_revocations == 0


async def test_what_is_not_there_is_not_remembered(sessions: SessionManager) -> None:
    assert not await sessions.revoke_session(new_session_id("alice"))
    assert sessions.unconfirmed_revocations == 0


async def test_a_revocation_that_the_store_did_not_answer_is_made_up_for(pair: Pair) -> None:
    primary, _ = pair
    settings = redis_settings(primary, session_wait_replicas=1, session_deadline_seconds=0.5)
    async with SessionManager(settings) as sessions:
        one, bob = await sessions.create_session("alice"), await sessions.create_session("bob")
        primary.docker("pause")
        try:
            with pytest.raises(StoreUnavailable):
                await sessions.revoke_session(one.handle, "stolen")
            assert sessions.unconfirmed_revocations == 1
        finally:
            primary.docker("unpause")
        await until(lambda: sessions.unconfirmed_revocations == 0)
        found = await sessions.get_session(one.session_id)
        assert found is not None
        assert not found.is_active
        assert await sessions.count_user_sessions("bob") == 1
        assert bob.durable


@pytest.fixture
def group(bridge: Any, tmp_path: Path) -> Any:
    directory = tmp_path / "group"
    directory.mkdir(mode=0o755)
    with sentinel_group(bridge, directory) as made:
        yield made


async def test_a_failover_does_not_undo_a_revocation(group: Group) -> None:
    await load_functions(group.settings())
    settings = group.settings(session_wait_timeout_ms=500, session_deadline_seconds=FAILOVER_SECONDS)
    async with SessionManager(settings) as sessions, SessionManager(settings) as witness:
        plain, graced, all_of_bob = [await sessions.create_session(user) for user in ("alice", "alice", "bob")]
        renamed = await sessions.rotate_session(graced.session_id, grace_seconds=4)
        assert renamed is not None
        assert renamed.durable
        old, new = "redis-1", "redis-2"
        group.docker(new, "pause")
        with group.admin(old) as admin:
            admin.execute_command("CLIENT", "KILL", "TYPE", "replica")  # what comes now never leaves this node
        for outcome in (
            await sessions.revoke_session(graced.session_id, "stolen"),
            await sessions.revoke_session(plain.session_id, "stolen"),
            await sessions.revoke_user_sessions("bob", "left"),
        ):
            assert outcome
            assert not outcome.durable
        group.docker(old, "kill")
        group.docker(new, "unpause")  # the failover outlasts the grace: only the new name leads to that session then

        async def ended() -> bool:
            names = (plain.session_id, renamed.session_id, all_of_bob.session_id)
            found = [await witness.get_session(name) for name in names]
            return not any(one.is_active for one in found if one)

        async with asyncio.timeout(FAILOVER_SECONDS):
            while not await ended():  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        # It is there, and not yet confirmed: the one replica is the old primary.
        assert sessions.unconfirmed_revocations > 0
        group.docker(old, "start")
        await until(lambda: sessions.unconfirmed_revocations == 0, FAILOVER_SECONDS)
        assert sessions.counts.forgotten == 0
