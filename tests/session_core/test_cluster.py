# ruff: noqa: S311 - chance picks the moment, no secret
"""On a Redis Cluster, by TLS, ACL users and an address map. The contract runs there too: `make` in conftest.py."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot
from redis.exceptions import NoPermissionError

from session_core import Session, SessionManager, acl
from session_core.cli import main
from session_core.deploy import load_functions
from session_core.doctor import examine
from session_core.errors import StoreDenied, StoreError, StoreNotReady, StoreUnavailable
from session_core.ids import Ref, bucket_of, ref_of
from session_core.protocol import index_keys, session_key, user_key
from session_core.redis_store import RedisStore
from tests.session_core import scenarios
from tests.session_core.conftest import Make
from tests.session_core.sentinel_group import PASSWORD
from tests.session_core.servers import Server
from tests.session_core.shards import NODES, PRIMARIES, Shards, shards

pytestmark = pytest.mark.engine
STORM = int(os.environ.get("KIT_TEST_STORM", "1000"))
"""Calls of the cancellation storm; 10^5 and more by hand."""


async def test_sessions_are_spread_over_all_nodes_and_every_overview_sees_them_all(
    cluster: Shards, on_cluster: Make
) -> None:
    sessions = on_cluster()
    made = await scenarios.log_in_many(sessions, 300)
    holding = [cluster.ask(node, "DBSIZE") for node in cluster.primaries()]
    assert min(holding) > 100
    names = {session.user_id for session in made}
    assert await sessions.count_active_sessions() == await sessions.count_active_users() == 300
    users = await sessions.list_active_users()
    assert (len(users), set(users)) == (300, names)
    paged = [user async for user in sessions.iter_active_users(page_size=7)]
    assert (len(paged), set(paged)) == (300, names)
    assert await sessions.count_user_sessions("user-7") == 1


async def test_an_overview_is_a_pipeline_for_each_node(cluster: Shards, on_cluster: Make) -> None:
    sessions = on_cluster()
    await sessions.count_active_sessions()
    calls, before = sessions.effort.calls, _reads(cluster)
    await sessions.count_active_sessions()
    assert sessions.effort.calls - calls == len(index_keys())  # one for each bucket, none waits for another
    for earlier, later in zip(before, _reads(cluster), strict=True):
        assert later - earlier < 20  # of 79 to 91 calls


def _reads(cluster: Shards) -> list[int]:
    """How often each primary has read from a connection."""
    return [int(cluster.ask(node, "INFO", "stats")["total_reads_processed"]) for node in PRIMARIES]


async def test_the_events_of_all_nodes_are_read(on_cluster: Make) -> None:
    sessions = on_cluster()
    reader = sessions.events()
    first = asyncio.ensure_future(anext(reader))
    await asyncio.sleep(0.3)
    await scenarios.log_in_many(sessions, 100)
    seen = {(await first).user_id}
    async with asyncio.timeout(5):
        while len(seen) < 100:
            seen.add((await anext(reader)).user_id)
    await reader.aclose()


async def test_a_cutoff_is_by_the_clock_of_the_users_node(cluster: Shards, on_cluster: Make) -> None:
    sessions = on_cluster()
    store = sessions._store
    assert isinstance(store, RedisStore)
    for number in range(6):
        user = f"user-{number}"
        node = cluster.owner(user_key(user))
        before = cluster.ask(node, "INFO", "commandstats").get("cmdstat_time", {}).get("calls", 0)
        await store.now(user)
        assert cluster.ask(node, "INFO", "commandstats")["cmdstat_time"]["calls"] == before + 1


async def test_races_end_as_on_one_server(on_cluster: Make) -> None:
    clients = [on_cluster(session_max_concurrent=3) for _ in range(3)]
    await scenarios.logins_leave_exactly_the_limit(clients, 3, 40)
    await clients[0].revoke_user_sessions("alice")
    await scenarios.revocations_win([on_cluster() for _ in range(3)], 200)


async def test_a_storm_of_cancellations_gives_nobody_the_reply_of_another(on_cluster: Make) -> None:
    await scenarios.cancelled_calls_take_no_reply_of_others(on_cluster(), STORM)


async def test_scripts_are_sent_to_each_node(cluster: Shards) -> None:
    rule = acl.on_cluster(acl.EVAL_APP_RULE)
    cluster.ask_primaries("ACL", "SETUSER", "scripts", "reset", "on", f">{PASSWORD}", *rule.split())
    cluster.ask_primaries("SCRIPT", "FLUSH")
    settings = cluster.settings(redis_username="scripts", session_scripts="eval", session_wait_replicas=0)
    async with SessionManager(settings) as sessions:
        made = await scenarios.log_in_many(sessions, 60)
        assert await sessions.count_active_sessions() == 60
        assert all(await asyncio.gather(*(sessions.revoke_session(one.session_id) for one in made)))
        assert await sessions.count_active_sessions() == 0


async def test_seeds_that_are_no_cluster_are_named(cluster: Shards, shared_redis: Server) -> None:
    alone = f"redis-cluster://127.0.0.1:{shared_redis.port}"
    async with SessionManager(
        cluster.settings(redis_url=alone, redis_ca_file=None, redis_username="", redis_password="")
    ) as one:
        with pytest.raises(StoreError, match=r"127\.0\.0\.1:\d+ is a server of its own"):
            await one.check()
    away = cluster.settings(redis_url="rediss-cluster://shard-1:1,shard-2:2", session_deadline_seconds=1)
    async with SessionManager(away) as sessions:
        with pytest.raises(StoreUnavailable, match="no node of the cluster answers"):
            await sessions.check()
    async with SessionManager(cluster.settings(redis_password="wrong")) as sessions:
        with pytest.raises(StoreDenied, match="REDIS_PASSWORD"):
            await sessions.check()


async def test_one_seed_of_several_suffices(cluster: Shards) -> None:
    settings = cluster.settings(redis_url="rediss-cluster://nowhere.invalid:1,shard-1:1,shard-5:7005")
    async with SessionManager(settings) as sessions:
        await sessions.check()


async def test_a_node_of_a_cluster_that_is_taken_for_a_server_of_its_own_is_recognised(cluster: Shards) -> None:
    settings = cluster.settings(redis_url="rediss://shard-1:7001", session_read_from="primary")
    async with SessionManager(settings) as sessions:
        with pytest.raises(StoreError, match="redis-cluster://"):
            await scenarios.log_in_many(sessions, 20)


async def test_without_the_rule_for_clusters_the_refusal_says_so(cluster: Shards) -> None:
    cluster.ask_primaries("ACL", "SETUSER", "plain", "reset", "on", f">{PASSWORD}", *acl.APP_RULE.split())
    async with SessionManager(cluster.settings(redis_username="plain")) as sessions:
        with pytest.raises(StoreDenied, match="session-core acl"):
            await sessions.check()


async def test_the_rule_for_clusters_adds_only_what_a_client_of_one_needs(
    cluster: Shards, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, rule in (((), acl.APP_RULE), (("--deploy",), acl.DEPLOY_RULE), (("--eval",), acl.EVAL_APP_RULE)):
        await asyncio.to_thread(main, ["acl", "--cluster", *options])
        assert capsys.readouterr().out == f"{rule} +asking +cluster|slots +readonly\n"
    with cluster.admin("shard-1") as node:
        node.auth(PASSWORD, "sessions")
        for command in (
            ("CLUSTER", "NODES"),
            ("CLUSTER", "FAILOVER"),
            ("CLUSTER", "RESET"),
            ("MIGRATE", "h", 1, "", 0, 1),
        ):
            with pytest.raises(NoPermissionError):
                node.execute_command(*command)


async def test_a_node_without_the_functions_is_named_at_the_start_and_later(cluster: Shards, on_cluster: Make) -> None:
    sessions = on_cluster()
    await scenarios.log_in_many(sessions, 20)
    cluster.ask("shard-2", "FUNCTION", "FLUSH")
    with pytest.raises(StoreNotReady, match=r"missing on shard-2:7002: .*functions load"):
        await scenarios.log_in_many(sessions, 60)
    with pytest.raises(StoreNotReady, match="shard-2:7002"):
        await on_cluster().check()
    findings = [finding async for finding in examine(cluster.settings())]
    assert any("shard-2:7002" in finding.text for finding in findings if finding.state == "wrong")
    assert "shard-2:7002: loaded" in await load_functions(cluster.settings())
    assert all(finding.state != "wrong" for finding in [finding async for finding in examine(cluster.settings())])


async def test_no_operation_has_crossed_slots(cluster: Shards) -> None:
    assert cluster.errors("CROSSSLOT") == 0  # of all tests that this cluster has served: the whole contract


@pytest.fixture(scope="module")
def restless(bridge: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shards]:
    """A cluster whose slots move and whose nodes die."""
    directory: Path = tmp_path_factory.mktemp("restless")
    directory.chmod(0o755)
    with shards(bridge, directory) as made:
        yield made


@pytest.fixture
async def calm(restless: Shards) -> Shards:
    await asyncio.to_thread(restless.wait)
    await load_functions(restless.settings())
    restless.empty()
    for node in NODES:
        restless.ask(node, "CONFIG", "RESETSTAT")
    return restless


@pytest.fixture
async def sessions(calm: Shards) -> AsyncIterator[SessionManager]:
    async with SessionManager(calm.settings(session_max_concurrent=3)) as made:
        await made.check()
        yield made


class Load:
    """Users who log in, look and log out, and what they were told."""

    def __init__(self, sessions: SessionManager, users: list[str]) -> None:
        self._sessions = sessions
        self._ends = asyncio.Event()
        self.durable: dict[str, Session] = {}
        self.revoked: dict[str, Session] = {}
        self._tasks = [asyncio.create_task(self._use(user)) for user in users]

    async def end(self) -> None:
        self._ends.set()
        await asyncio.gather(*self._tasks)

    async def _use(self, user: str) -> None:
        mine: list[Session] = []
        while not self._ends.is_set():
            session = await self._sessions.create_session(user)
            for handle in session.evicted:
                self.durable.pop(handle, None)
            mine = [one for one in [*mine, session] if one.handle not in session.evicted]
            if session.durable:
                self.durable[session.handle] = session
            chosen = random.choice(mine)
            found = await self._sessions.get_session(chosen.session_id)
            if found is None and not chosen.durable:
                mine.remove(chosen)  # it may go with its primary
                continue
            assert found is not None
            assert found.user_id == user
            assert found.is_active
            if random.random() < 0.3:
                gone = mine.pop()
                self.durable.pop(gone.handle, None)
                if (await self._sessions.revoke_session(gone.session_id, "bye")).durable:
                    self.revoked[gone.handle] = gone
            await asyncio.sleep(0.005)

    async def judge(self, users: list[str]) -> None:
        """Nothing durable is lost or back, and all that is kept about a user agrees."""
        sessions = self._sessions
        lost = [one for one in self.durable.values() if await sessions.get_session(one.session_id) is None]
        assert lost == []
        back = [await sessions.get_session(one.session_id) for one in self.revoked.values()]
        assert [one for one in back if one is not None and one.is_active] == []
        listed = 0
        for user in users:
            found = await sessions.get_user_sessions(user)
            assert len(found) == await sessions.count_user_sessions(user) <= 3
            listed += len(found)
        assert await sessions.count_active_sessions() == listed


def _users_of(bucket: int, number: int) -> list[str]:
    found = (name for name in map("user-{}".format, range(100_000)) if bucket_of(name) == bucket)
    return [next(found) for _ in range(number)]


async def test_a_slot_that_moves_under_load_costs_no_call_and_leaves_nothing_half_done(
    calm: Shards, sessions: SessionManager
) -> None:
    bucket = 7
    users, slot = _users_of(bucket, 8), key_slot(f"{{{bucket}}}".encode())
    key = user_key(users[0])
    load = Load(sessions, users)
    await asyncio.sleep(0.5)
    bystander = SessionManager(calm.settings())
    await bystander.get_user_sessions(users[0])
    try:
        for target in ("shard-2", "shard-1", "shard-3"):
            source = calm.owner(key)
            if source == target:
                continue
            await asyncio.to_thread(calm.open_slot, slot, source, target)
            for _ in range(1000):
                await asyncio.sleep(0.005)
                if not await asyncio.to_thread(calm.move_keys, slot, source, target, 20):
                    break
            await asyncio.to_thread(calm.close_slot, slot, target)
            await asyncio.sleep(0.5)
        assert await bystander.get_user_sessions(users[0])  # at the node that it knows, and then where the slot is now
    finally:
        await load.end()
        await bystander.aclose()
    assert len(load.revoked) > 10
    await load.judge(users)
    assert min(calm.errors("ASK"), calm.errors("MOVED"), calm.errors("TRYAGAIN")) > 0
    assert calm.errors("CROSSSLOT") == 0


async def test_reads_go_on_while_a_slot_stays_half_moved_and_writes_wait(
    calm: Shards, sessions: SessionManager
) -> None:
    [user] = _users_of(9, 1)
    made = [await sessions.create_session(user) for _ in range(3)]
    slot, source = key_slot(b"{9}"), calm.owner(user_key(user))
    target = next(node for node in calm.primaries() if node != source)
    calm.open_slot(slot, source, target)
    keys = calm.ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 100)
    calm.move_keys(slot, source, target, len(keys) // 2)
    for session in made:
        found = await sessions.get_session(session.session_id)
        assert found is not None
        assert found.is_active
    ref = Ref(9, ref_of(made[0].session_id).digest)
    assert session_key(ref).encode() in keys
    ending = asyncio.create_task(sessions.revoke_session(made[0].session_id, "bye"))
    await asyncio.sleep(0.3)
    assert not ending.done()
    while calm.move_keys(slot, source, target, 100):
        pass
    calm.close_slot(slot, target)
    assert (await ending).revocation is not None
    assert [one.handle for one in await sessions.get_user_sessions(user)] == [one.handle for one in made[1:]]


@pytest.mark.parametrize("how", ["KILL", "STOP"])
async def test_a_primary_that_dies_or_hangs_costs_no_call_and_no_durable_session(
    calm: Shards, sessions: SessionManager, how: str
) -> None:
    users = [f"user-{n}" for n in range(24)]
    load = Load(sessions, users)
    await asyncio.sleep(0.5)
    victim = calm.owner(user_key(users[0]))
    others = [node for node in NODES if node != victim]
    await asyncio.to_thread(calm.signal, victim, how)
    try:
        await asyncio.to_thread(calm.until, lambda: calm.owner(user_key(users[0]), others[0]) != victim)
        told = len(load.durable)
        await asyncio.sleep(1)
    finally:
        if how == "KILL":
            await asyncio.to_thread(calm.start, victim)
        else:
            await asyncio.to_thread(calm.signal, victim, "CONT")
        await load.end()
    assert told > 24
    await load.judge(users)
    await asyncio.to_thread(calm.wait)
    assert (await sessions.create_session(users[0])).durable
