"""The load test's client in a Redis Cluster: each call goes to the owner of its slot, also after the slot has moved."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from redis.crc import key_slot

from loadtests.redis_level import RedisLevel
from session_core import protocol
from session_core.deploy import load_functions
from tests.session_core.shards import PRIMARIES, Shards, shards

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def cluster(bridge: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shards]:
    directory = tmp_path_factory.mktemp("cluster")
    directory.chmod(0o755)
    with shards(bridge, directory) as made:
        asyncio.run(load_functions(made.settings()))
        made.empty()
        yield made


def test_sessions_live_on_all_shards_and_are_found_where_their_slot_has_moved(cluster: Shards) -> None:
    level = RedisLevel(cluster.settings(session_max_concurrent=5), 10)
    made = [level.create(f"user-{number}", f"mark-{number}", 60) for number in range(40)]
    sessions = [each.session for each in made if each]
    assert len(sessions) == 40
    assert all(each.durable for each in sessions)
    assert {cluster.owner(protocol.session_key(each.key)) for each in sessions} == set(PRIMARIES)

    key = protocol.session_key(sessions[0].key)
    slot, source = key_slot(key.encode()), cluster.owner(key)
    target = next(node for node in PRIMARIES if node != source)
    cluster.open_slot(slot, source, target)
    while cluster.move_keys(slot, source, target, 100):
        pass
    cluster.close_slot(slot, target)

    assert all(level.read(each)[::2] == (True, True) for each in sessions)
    assert level.revoke(sessions[0])[0].alive
    assert not level.read(sessions[0]).alive
    level.close()
