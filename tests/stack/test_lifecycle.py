"""The life of a deployment: up, a killed primary, a changed setting, destroy and up again, another kill."""

import os
import signal
import subprocess
import time

import pytest

from tests.stack.faults import kill_primary
from tests.stack.kit import PULUMI, ROOT, Access, Stack, docker, eventually
from tests.stack.writer import Writer, lost

pytestmark = [pytest.mark.stack, pytest.mark.engine]

MEBIBYTE = 1024 * 1024


def test_acknowledged_sessions_survive_kills_a_change_and_a_new_deployment(stack: Stack) -> None:
    stack.up()
    access = Access.to(stack)

    # The primary is killed and its container comes back at once.
    with Writer(access.settings) as first:
        first.wait_for(250)
        kill_primary(access, stays_down=False)
        first.wait_for(250)
    assert len(first.acknowledged) >= 500
    assert lost(access.settings, first.acknowledged) == []

    # A setting changes under a running writer: node by node, nobody is logged out.
    access.wait_settled()
    stack.set("redisMaxmemory", "300mb")
    with Writer(access.settings) as second:
        second.wait_for(50)
        stack.up()
        second.wait_for(50)
    assert {access.node(name).config_get("maxmemory")["maxmemory"] for name in access.names("redis")} == {
        str(300 * MEBIBYTE)
    }
    assert second.failures == []
    assert lost(access.settings, first.acknowledged | second.acknowledged) == []

    # Destroyed and deployed again, with other passwords: the sessions are in the volumes.
    before = access.outputs.sessions_password
    stack.pulumi("destroy", "--yes", "--skip-preview")
    assert docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={stack.project}") == ""
    assert not stack.directory.exists()
    stack.up()
    access = Access.to(stack)
    assert access.outputs.sessions_password != before
    assert lost(access.settings, first.acknowledged | second.acknowledged) == []

    # The primary is killed again, and this time it stays down: two nodes go on, and `up` mends the third.
    with Writer(access.settings) as third:
        third.wait_for(50)
        old, _ = kill_primary(access, stays_down=True)
        third.wait_for(50)
        assert "exited" in stack.pulumi("refresh", "--yes", "--skip-preview", "--diff")
        stack.up()
        access.wait_settled()
    assert access.node(old).info("replication")["role"] == "slave"
    assert lost(access.settings, first.acknowledged | second.acknowledged | third.acknowledged) == []


def test_an_unchanged_deployment_has_no_diff(running: Access) -> None:
    began = time.monotonic()
    running.stack.pulumi("up", "--yes", "--expect-no-changes")
    print(f"unchanged up: {time.monotonic() - began:.1f} s")
    running.stack.pulumi("refresh", "--yes", "--expect-no-changes")


def test_a_preview_names_the_file_and_the_setting_that_change(running: Access) -> None:
    with running.stack.setting("redisAppendfsync", "always"):
        shown = running.stack.pulumi("preview", "--diff")

    assert "redis-1/redis.conf" in shown
    assert "appendfsync always" in shown
    assert "replace" not in shown


@pytest.mark.parametrize(("fault", "state"), [("stop", "exited"), ("pause", "paused"), ("cut off", "disconnected")])
def test_a_refresh_shows_a_container_that_does_not_run_and_up_mends_it(running: Access, fault: str, state: str) -> None:
    primary = running.wait_settled()
    replica = next(name for name in running.names("redis") if name != primary)
    words = ["network", "disconnect", f"{running.stack.project}_data"] if fault == "cut off" else [fault]
    docker(*words, running.stack.container(replica))

    shown = running.stack.pulumi("refresh", "--yes", "--skip-preview", "--diff")
    running.stack.up()

    assert replica in shown
    assert state in shown
    running.wait_settled()


def test_a_refresh_shows_an_altered_file_and_up_restores_it(running: Access) -> None:
    altered = running.stack.directory / "redis-2" / "redis.conf"
    text = altered.read_text()
    altered.chmod(0o600)
    altered.write_text(text.replace("appendonly yes", "appendonly no"))

    shown = running.stack.pulumi("refresh", "--yes", "--skip-preview", "--diff")
    running.stack.up()

    assert "altered" in shown
    assert altered.read_text() == text


@pytest.mark.long
def test_two_stacks_run_side_by_side_one_of_them_on_valkey(running: Access, stack: Stack) -> None:
    stack.set("redisImage", "valkey/valkey:8")
    stack.up()
    other = Access.to(stack)

    with Writer(other.settings) as there, Writer(running.settings) as here:
        there.wait_for(50)
        kill_primary(other, stays_down=False)
        there.wait_for(50)
        here.wait_for(50)
    other.wait_settled()
    running.wait_settled()

    assert "valkey_version" in other.node("redis-1").info("server")
    assert here.failures == []
    assert lost(other.settings, there.acknowledged) == []
    stack.set("compose.deleteData", "true")
    stack.up()
    stack.pulumi("destroy", "--yes", "--skip-preview")
    assert docker("volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={stack.project}") == ""
    running.wait_settled()


@pytest.mark.long
def test_an_interrupted_up_is_finished_by_the_next_one(running: Access) -> None:
    """Killed on the way to another setting, and Ctrl-C on the way back."""
    running.wait_settled()
    with running.stack.setting("redisMaxmemory", "320mb"):
        interrupted_up(running, signal.SIGKILL)
        running.stack.make("up")
    assert maxmemory(running) == {320 * MEBIBYTE}

    interrupted_up(running, signal.SIGINT)
    running.stack.make("up")
    assert maxmemory(running) == {256 * MEBIBYTE}


def interrupted_up(running: Access, end: signal.Signals) -> None:
    """Begin an `up`, and end it so in the middle of the replacement of the nodes."""
    replaced = running.stack.container("redis-2")
    made = docker("inspect", "--format", "{{.Created}}", replaced)
    began = subprocess.Popen(
        [*PULUMI, "up", "--yes", "--skip-preview", "--stack", running.stack.name],
        cwd=ROOT,
        env=running.stack.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    eventually(
        "a node that is being replaced",
        lambda: docker("inspect", "--format", "{{.Created}}", replaced, check=False) not in {made, ""},
        120,
    )
    if end == signal.SIGKILL:  # everything at once: nothing can end in order
        subprocess.run(["pkill", "-KILL", "--session", str(began.pid)], check=False)
    else:  # what a terminal does at Ctrl-C
        os.killpg(began.pid, end)
    began.communicate(timeout=200)
    assert began.returncode


def maxmemory(running: Access) -> set[int]:
    """The limits that the nodes have."""
    running.wait_settled()
    nodes = [running.node(name) for name in running.names("redis")]
    return {int(node.config_get("maxmemory")["maxmemory"]) for node in nodes}


def test_everything_stopped_and_started_at_once_has_one_primary_and_every_session(running: Access) -> None:
    with Writer(running.settings) as writer:
        writer.wait_for(100)
    nodes = [running.stack.container(name) for name in (*running.names("redis"), *running.names("sentinels"))]

    for end in ("stop", "kill"):
        docker(end, *nodes)
        docker("start", *nodes)
        running.wait_settled()

        roles = [running.node(name).info("replication")["role"] for name in running.names("redis")]
        assert sorted(roles) == ["master", "slave", "slave"]
        assert lost(running.settings, writer.acknowledged) == []
