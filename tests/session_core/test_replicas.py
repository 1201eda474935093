"""SESSION_READ_FROM=replica: replicas answer reads, a bounded moment behind, and only while that is known of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from session_core import Session, SessionManager
from session_core.deploy import load_functions
from session_core.replicas import ANSWER_SECONDS, LAG_SECONDS, ROUND_SECONDS
from session_core.service.app import make_app
from session_core.service.settings import ServiceSettings
from tests.session_core.sentinel_group import NODES, PASSWORD, Group, sentinel_group
from tests.session_core.shards import REPLICAS, Shards

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def group(bridge: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    directory: Path = tmp_path_factory.mktemp("replicas")
    directory.chmod(0o755)
    with sentinel_group(bridge, directory, 3) as made:
        yield made


@pytest.fixture
async def sessions(group: Group) -> AsyncIterator[SessionManager]:
    await asyncio.to_thread(group.wait)
    await load_functions(group.settings())
    async with SessionManager(group.settings(session_read_from="replica")) as made:
        yield made


@pytest.fixture
async def writer(group: Group) -> AsyncIterator[SessionManager]:
    """Another process, that reads from the primary."""
    async with SessionManager(group.settings()) as made:
        yield made


def reads(group: Group, node: str, command: str = "hmget") -> int:
    with group.admin(node) as admin:
        return int(admin.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0))


async def spares(group: Group, primary: str, calls: Callable[[], Awaitable[None]], command: str) -> bool:
    """Tell whether the primary is asked nothing by these calls."""
    before = reads(group, primary, command)
    await calls()
    return reads(group, primary, command) == before


def replicas(group: Group) -> list[str]:
    primary = group.primary()
    return [node for node in NODES if node != primary]


async def until(condition: Callable[[], Awaitable[bool]], seconds: float) -> float:
    """Wait for it; return how many seconds that took."""
    start = time.monotonic()
    while not await condition():
        assert time.monotonic() - start < seconds
        await asyncio.sleep(0.02)
    return time.monotonic() - start


async def answered_by_replicas(group: Group, sessions: SessionManager, session: Session) -> None:
    """Read until both replicas have answered."""
    before = {node: reads(group, node) for node in replicas(group)}

    async def both() -> bool:
        await asyncio.gather(*(sessions.get_session(session.session_id) for _ in range(10)))
        return all(reads(group, node) > number for node, number in before.items())

    await until(both, 5)


async def test_replicas_answer_reads_and_the_primary_is_spared(group: Group, sessions: SessionManager) -> None:
    session = await sessions.create_session("alice", {"n": 1})
    await answered_by_replicas(group, sessions, session)
    primary = group.primary()

    async def gets() -> None:
        found = [await sessions.get_session(session.session_id) for _ in range(50)]
        assert [one.metadata for one in found if one] == [{"n": 1}] * 50

    async def lists() -> None:
        assert [one.handle for one in await sessions.get_user_sessions("alice")] == [session.handle]

    # Where a busy machine is late to look at the replicas, they are not known to be in step, and the primary answers.
    await until(lambda: spares(group, primary, gets, "hmget"), 30)
    await until(lambda: spares(group, primary, lists, "fcall_ro"), 30)
    assert await sessions.count_user_sessions("alice") == 1
    assert "alice" in await sessions.list_active_users()
    before = reads(group, primary, "fcall_ro")
    await sessions.get_user_sessions("alice", consistent=True)
    assert reads(group, primary, "fcall_ro") == before + 1


async def test_a_session_is_there_at_once_wherever_it_is_looked_for(
    group: Group, sessions: SessionManager, writer: SessionManager
) -> None:
    session = await sessions.create_session("alice")
    await answered_by_replicas(group, sessions, session)
    heal = [group.cut(node, [group.primary()]) for node in replicas(group)]  # they fall behind, and do not know it
    try:
        fresh = await writer.create_session("bob")
        assert await sessions.get_session(fresh.session_id) is not None
        assert (
            await sessions.rotate_session(fresh.session_id) is not None
        )  # what is written rests on the primary's word
    finally:
        for one in heal:
            one()


async def test_a_revocation_is_seen_within_the_bound_although_a_replica_has_lost_its_primary_silently(
    group: Group, sessions: SessionManager, writer: SessionManager
) -> None:
    session = await sessions.create_session("alice")
    await answered_by_replicas(group, sessions, session)
    deaf = replicas(group)[0]
    heal = await asyncio.to_thread(group.cut, deaf, [group.primary()])
    try:
        await writer.revoke_session(session.session_id, "stolen")
        revoked = time.monotonic()
        stale, last = 0, revoked
        while time.monotonic() - revoked < LAG_SECONDS + 2:
            found = await sessions.get_session(session.session_id)
            assert found is not None
            if found.is_active:
                stale, last = stale + 1, time.monotonic()
            await asyncio.sleep(0.005)
        assert stale > 0, "the replica was not asked: this shows nothing"
        assert last - revoked < LAG_SECONDS + 0.2
        with group.admin(deaf) as admin:
            assert admin.info("replication")["master_link_status"] == "up"  # by its own word nothing is wrong
    finally:
        await asyncio.to_thread(heal)
    await answered_by_replicas(group, sessions, session)


async def test_a_revocation_is_seen_at_once_by_who_asks_for_consistency(
    group: Group, sessions: SessionManager, writer: SessionManager
) -> None:
    session = await sessions.create_session("alice")
    await answered_by_replicas(group, sessions, session)
    heal = [group.cut(node, [group.primary()]) for node in replicas(group)]
    try:
        await writer.revoke_session(session.session_id)
        for _ in range(20):
            found = await sessions.get_session(session.session_id, consistent=True)
            assert found is not None
            assert not found.is_active
    finally:
        for one in heal:
            one()


async def test_replicas_that_hang_cost_a_moment_and_no_call(group: Group, sessions: SessionManager) -> None:
    session = await sessions.create_session("alice")
    await answered_by_replicas(group, sessions, session)
    paused = replicas(group)
    for node in paused:
        group.docker(node, "pause")
    try:
        start = time.monotonic()
        assert await sessions.get_session(session.session_id) is not None
        assert time.monotonic() - start < 2 * ANSWER_SECONDS + 0.5
        await asyncio.sleep(ROUND_SECONDS)
        assert await sessions.get_session(session.session_id) is not None
        start = time.monotonic()
        for _ in range(20):
            assert await sessions.get_session(session.session_id) is not None
        assert time.monotonic() - start < 0.5
    finally:
        for node in paused:
            group.docker(node, "unpause")
    await asyncio.to_thread(group.wait)
    await answered_by_replicas(group, sessions, session)


async def test_a_replica_whose_link_is_down_is_not_asked(group: Group, sessions: SessionManager) -> None:
    session = await sessions.create_session("alice")
    await answered_by_replicas(group, sessions, session)
    [broken, whole] = replicas(group)
    with group.admin(broken) as admin, group.admin(group.primary()) as primary:
        admin.config_set("replica-serve-stale-data", "no")
        admin.config_set("masterauth", "wrong")
        primary.execute_command("CLIENT", "KILL", "TYPE", "replica")
        try:
            await until(lambda: asyncio.to_thread(_link_is, group, broken, "down"), 5)
            for _ in range(50):  # MASTERDOWN: the primary answers instead
                assert await sessions.get_session(session.session_id) is not None
            await asyncio.sleep(ROUND_SECONDS + 0.5)
            await sessions.get_session(session.session_id)
            await asyncio.sleep(0.5)
            before = reads(group, broken), reads(group, whole)
            for _ in range(50):
                assert await sessions.get_session(session.session_id) is not None
            assert reads(group, broken) == before[0]
            assert reads(group, whole) > before[1]
        finally:
            admin.config_set("masterauth", PASSWORD)
            admin.config_set("replica-serve-stale-data", "yes")


def _link_is(group: Group, node: str, state: str) -> bool:
    with group.admin(node) as admin:
        return bool(admin.info("replication")["master_link_status"] == state)


async def test_the_service_asks_the_primary_about_cookies_unless_told_otherwise(group: Group) -> None:
    token = "x" * 32
    await asyncio.to_thread(group.wait)
    await load_functions(group.settings())
    for told in ("primary", "replica"):
        given = group.settings(session_read_from="replica").model_dump()
        settings = ServiceSettings(**(given | {"session_admin_token": token, "session_verify_from": told}))
        app = make_app(settings)
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="https://sessions.test") as client,
        ):
            made = await client.post(
                "/v1/sessions", json={"user_id": "alice"}, headers={"Authorization": f"Bearer {token}"}
            )
            assert made.status_code == 201
            before = sum(reads(group, node) for node in replicas(group))
            for _ in range(40):
                assert (await client.get("/v1/verify")).status_code == 200
                await asyncio.sleep(0.02)
            asked = sum(reads(group, node) for node in replicas(group)) > before
            assert asked == (told == "replica")


async def test_calls_go_on_when_the_primary_dies(group: Group, sessions: SessionManager) -> None:
    session = await sessions.create_session("alice")
    await answered_by_replicas(group, sessions, session)
    old = group.primary()
    group.docker(old, "kill")
    try:
        for _ in range(300):
            assert await sessions.get_session(session.session_id) is not None
            await asyncio.sleep(0.02)
        assert group.primary() != old
        await sessions.create_session("bob")
    finally:
        group.docker(old, "start")


async def test_the_replicas_of_a_cluster_answer_too(cluster: Shards) -> None:
    async with SessionManager(cluster.settings(session_read_from="replica")) as sessions:
        made = await asyncio.gather(*(sessions.create_session(f"user-{n}") for n in range(60)))

        def answered() -> int:
            states = [cluster.ask(node, "INFO", "commandstats") for node in REPLICAS]
            return min(int(state.get("cmdstat_hmget", {}).get("calls", 0)) for state in states)

        before = answered()

        async def all_three() -> bool:
            found = await asyncio.gather(*(sessions.get_session(one.session_id) for one in made))
            assert [one.user_id for one in found if one] == [one.user_id for one in made]
            return answered() > before

        await until(all_three, 5)
        assert await sessions.count_active_sessions() == 60
        assert await sessions.revoke_session(made[0].session_id)

        async def gone() -> bool:
            found = await sessions.get_session(made[0].session_id)
            return found is None or not found.is_active

        await until(gone, LAG_SECONDS)
