"""`durable` says what replicas confirmed for this very write (S7)."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from session_core import Revoked, SessionManager
from session_core.deploy import load_functions
from tests.session_core import servers
from tests.session_core.conftest import add_users, redis_settings
from tests.session_core.servers import Server
from tests.session_core.wire import wire_to

pytestmark = pytest.mark.engine
STORM = 20


@pytest.fixture
async def pair(bridge: Any) -> AsyncIterator[tuple[Server, Server]]:
    """A primary and its replica."""
    with (
        servers.redis_server(bridge, "--repl-diskless-sync-delay", "0", alias="primary") as primary,
        servers.redis_server(bridge, "--replicaof", "primary", "6379", alias="replica") as replica,
    ):
        with replica.admin() as admin:
            for _ in range(200):
                if admin.info("replication")["master_link_status"] == "up":
                    break
                await asyncio.sleep(0.05)
        add_users(primary)
        message = await load_functions(redis_settings(primary, session_wait_replicas=1, session_wait_timeout_ms=5000))
        assert "confirmed by the replicas" in message
        yield primary, replica


async def test_writes_are_durable_with_a_replica_and_not_without(pair: tuple[Server, Server]) -> None:
    primary, replica = pair
    async with SessionManager(redis_settings(primary, session_wait_replicas=1)) as sessions:
        session = await sessions.create_session("alice")
        assert session.durable
        rotated = await sessions.rotate_session(session.session_id)
        assert rotated is not None
        assert rotated.durable
        updated = await sessions.update_metadata(rotated.session_id, {"a": 1})
        assert updated is not None
        assert updated.durable
        assert sessions.counts.not_durable == 0
        replica.docker("pause")
        try:
            assert (await sessions.create_session("alice")).durable is False
            outcome = await sessions.revoke_session(rotated.session_id)
            assert outcome
            assert not outcome.durable
            assert not (await sessions.revoke_user_sessions("alice")).durable
            assert sessions.counts.not_durable == 3
        finally:
            replica.docker("unpause")
        assert (await sessions.revoke_session(rotated.session_id)).durable
        assert (await sessions.revoke_user_sessions("alice")).durable


async def test_one_wait_confirms_a_whole_batch_and_without_a_replica_confirms_none(pair: tuple[Server, Server]) -> None:
    primary, replica = pair
    async with SessionManager(redis_settings(primary, session_wait_replicas=1)) as sessions:
        await sessions.create_session("alice")
        with primary.admin() as admin:
            admin.config_resetstat()
            confirmed = await asyncio.gather(*(sessions.create_session("alice") for _ in range(200)))
            assert all(session.durable for session in confirmed)
            assert admin.info("commandstats")["cmdstat_wait"]["calls"] <= 3  # the first one at once, then the others
        replica.docker("pause")
        try:

            async def revoke_later(number: int) -> Revoked:
                await asyncio.sleep(number / 1000)
                return await sessions.revoke_session(confirmed[number].handle)

            start = time.monotonic()
            revoked = await asyncio.gather(*(revoke_later(number) for number in range(200)))
            assert all(revoked)
            assert not any(outcome.durable for outcome in revoked)
            assert time.monotonic() - start < 2  # who comes during a wait shares the next one
        finally:
            replica.docker("unpause")
        again = await asyncio.gather(*(sessions.revoke_session(session.handle) for session in confirmed))
        assert all(outcome.durable for outcome in again)


@pytest.mark.parametrize("lost", [b"session_create_v1", b"session_revoke_v1", b"session_revoke_user_v1"])
async def test_a_repeat_after_a_lost_reply_does_not_claim_durability_that_is_not_there(
    pair: tuple[Server, Server], lost: bytes
) -> None:
    primary, replica = pair
    async with wire_to(primary.port) as wire:
        settings = redis_settings(primary, redis_url=f"redis://127.0.0.1:{wire.port}/0", session_wait_replicas=1)
        async with SessionManager(settings) as sessions:
            session = await sessions.create_session("alice")
            assert session.durable

            replica.docker("pause")
            try:
                wire.lose_once(lost)
                if lost == b"session_create_v1":
                    durable = (await sessions.create_session("alice")).durable
                elif lost == b"session_revoke_v1":
                    durable = (await sessions.revoke_session(session.session_id)).durable
                else:
                    durable = (await sessions.revoke_user_sessions("alice")).durable
                assert sessions.effort.repeats == 1
                assert durable is False
            finally:
                replica.docker("unpause")


async def test_a_storm_of_cancellations_of_logins_and_logouts_gives_nobody_the_reply_of_another(
    pair: tuple[Server, Server],
) -> None:
    async with SessionManager(redis_settings(pair[0], session_wait_replicas=1)) as sessions:

        async def log_in_and_out(number: int) -> None:
            made = await sessions.create_session(f"user-{number}", {"n": number})
            assert (made.user_id, made.metadata, made.durable) == (f"user-{number}", {"n": number}, True)
            ended = await sessions.revoke_session(made.session_id, f"reason-{number}")
            assert ended.revocation is not None
            assert (ended.handle, ended.revocation.reason, ended.durable) == (made.handle, f"reason-{number}", True)

        cancelled = 0
        for _ in range(STORM):
            tasks = [asyncio.create_task(log_in_and_out(number)) for number in range(200)]
            victims = random.sample(tasks, 100)
            while victims:
                await asyncio.sleep(random.choice((0, 0, 0.0005)))  # noqa: S311 - chance picks the moment
                for task in victims[:10]:
                    task.cancel()
                del victims[:10]
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert [one for one in outcomes if isinstance(one, Exception)] == []
            cancelled += sum(isinstance(one, asyncio.CancelledError) for one in outcomes)
        assert cancelled > STORM
