"""A planned stop of everything leaves the same data on every node, so that whichever is elected next has it all."""

import os
import re

import pytest

from infra.render.topology import topology
from infra.spec import DeploymentSpec
from infra.targets.compose.engine import Project
from infra.targets.compose.rollout import stop
from infra.targets.compose.wanted import Parts
from tests.stack.kit import Access, docker
from tests.stack.writer import Writer, lost

STOPS = int(os.environ.get("KIT_TEST_STOPS", "1"))
"""One in the default run; twenty and more by hand."""

pytestmark = [pytest.mark.stack, pytest.mark.engine]


def position(access: Access, node: str) -> str:
    """Where in the stream of writes a stopped node is, as its snapshot from the shutdown says."""
    volume = f"{access.stack.project}_{node}-data"
    words = ["--rm", "--network=none", "--user=999:999", f"--volume={volume}:/data:ro", "--entrypoint=redis-check-rdb"]
    return " ".join(re.findall(r"repl-(?:id|offset) = '(\w+)'", docker("run", *words, "redis:8", "/data/dump.rdb")))


@pytest.mark.parametrize("attempt", range(STOPS))
def test_no_node_lacks_a_write_after_a_planned_stop_under_a_writer(running: Access, attempt: int) -> None:
    running.wait_settled()
    parts = Parts(
        redis=tuple(running.outputs.redis_nodes),
        sentinels=tuple(running.outputs.sentinels),
        services=topology(DeploymentSpec()).services,
        others=("gateway", "exporter"),
        master_name="mymaster",
    )
    with Writer(running.settings) as writer:
        writer.wait_for(200)
        stop(Project(running.stack.project, running.stack.directory), parts, print)

        positions = {node: position(running, node) for node in running.names("redis")}
        running.stack.pulumi("up", "--yes", "--skip-preview", "--refresh")
        writer.wait_for(20)

    assert all(positions.values())
    assert len(set(positions.values())) == 1, positions
    assert lost(running.settings, writer.acknowledged) == []
