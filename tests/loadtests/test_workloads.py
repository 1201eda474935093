"""What happens to a target in the middle of a run: its memory fills, it leaks, its primary is killed."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from session_core.deploy import load_functions
from tests.loadtests.events import longest_gap
from tests.loadtests.running import Load
from tests.session_core.sentinel_group import Group, sentinel_group

pytestmark = pytest.mark.engine


def test_a_full_memory_refuses_logins_and_nobody_else(load: Load) -> None:
    admin: Any = load.server.admin()
    admin.config_set("maxmemory", admin.info("memory")["used_memory"] + 4_000_000)
    load.options = ["--workload", "memory_pressure", "--rate", "200"]
    try:
        assert load.run("errors: {full: 1}\nreaches: [full]\nachieved_ratio: 0.8\ndropped: 100") == 0, load.output
    finally:
        admin.config_set("maxmemory", 0)

    operations = load.found["operations"]
    assert operations["create"]["errors"]["full"] > 10
    assert operations["validate"]["errors"] == operations["revoke"]["errors"] == {}


def test_a_target_that_leaks_breaks_the_gate(load: Load) -> None:
    def leak(admin: redis.Redis) -> None:
        admin.set("junk", b"x" * 5_000_000)

    load.during = leak

    assert load.run("bytes_per_session: 10000\nachieved_ratio: 0.8\ndropped: 100") == 1, load.output

    assert load.broken() == {"bytes per session"}


@pytest.fixture(scope="module")
def group(bridge: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    directory = tmp_path_factory.mktemp("group")
    directory.chmod(0o755)
    with sentinel_group(bridge, directory, size=3, configuration="min-replicas-to-write 1\n") as made:
        yield made


async def test_a_killed_primary_loses_no_acknowledged_session_and_the_gap_is_told(
    group: Group, load: Load, tmp_path: Path
) -> None:
    settings = group.settings(session_deadline_seconds=10)
    await load_functions(settings)
    load.where = {}
    load.options = [
        "--workload",
        "failover_under_load",
        "--conformance",
        str(_config(group, tmp_path)),
        "--users",
        "40",
    ]

    begun = time.time()
    assert load.run("achieved_ratio: 0.5\ndropped: 200\nlongest_gap_seconds: 9\nfaults: 1", seconds=12) == 0, (
        load.output
    )

    found = load.found
    assert [(fault["what"], fault["node"]) for fault in found["faults"]] == [("kill", "redis-1")]
    assert found["lost"] == 0
    assert 1.0 <= found["longest_gap_seconds"] <= 9, "the Sentinels of this group wait for one second"
    assert group.primary() != "redis-1"
    by_the_servers = longest_gap(group.admin(group.primary()), begun, time.time())
    own_delay = found["generator_lag_ms"]["p99.9"] / 1000  # on a machine that others use, too
    assert found["longest_gap_seconds"] == pytest.approx(by_the_servers, abs=0.1 + own_delay)


def _config(group: Group, directory: Path) -> Path:
    """The group as a configuration of the suite: its variables, and a command for the fault."""
    settings = group.settings()
    variables = {
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "REDIS_USERNAME": settings.redis_username,
        "REDIS_PASSWORD": settings.redis_password.get_secret_value(),
        "REDIS_SENTINEL_USERNAME": settings.redis_sentinel_username,
        "REDIS_SENTINEL_PASSWORD": settings.redis_sentinel_password.get_secret_value(),
        "REDIS_CA_FILE": str(settings.redis_ca_file),
        "REDIS_ADDRESS_MAP": settings.redis_address_map,
        "SESSION_WAIT_REPLICAS": "1",
    }
    ids = {name: container.get_wrapped_container().id for name, container in group.containers.items()}
    cases = " ".join(f"{name}) id={number};;" for name, number in ids.items())
    which = f'case "$CONFORMANCE_NODE" in {cases} esac; docker'
    config = {
        "settings": variables,
        "faults": {"kill": {"inject": f'{which} kill "$id"', "heal": f'{which} start "$id"'}},
    }
    file = directory / "group.yaml"
    file.write_text(json.dumps(config))
    return file
