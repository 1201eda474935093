"""What cannot work is refused before anything is touched, with the key, the stack file and the remedy."""

import socket
from collections.abc import Callable
from contextlib import nullcontext

import pytest

from tests.stack.kit import Access, Stack, docker
from tests.stack.writer import Writer, lost

pytestmark = [pytest.mark.stack, pytest.mark.engine]


@pytest.fixture(name="refused")
def _refused(running: Access) -> Callable[..., str]:
    """Preview with a setting, then check that nothing of the deployment was touched."""

    def refused(key: str, value: str, env: dict[str, str] | None = None) -> str:
        label = f"label=com.docker.compose.project={running.stack.project}"
        before = docker("ps", "--quiet", "--no-trunc", "--filter", label)
        with running.stack.setting(key, value) if key else nullcontext():
            shown = running.stack.pulumi("up", "--yes", check=False, env=env)
        assert not shown.startswith("exit 0"), shown
        assert docker("ps", "--quiet", "--no-trunc", "--filter", label) == before
        return shown

    return refused


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("sentinelNodes", "4", ["odd"]),
        ("sentinelQuorum", "5", ["quorum"]),
        ("redisMaxmemory", "2gbb", ["2gbb", "256mb"]),
        ("redisMaxmemoryPolicy", "noevicton", ["noeviction"]),
        ("redisMaxmemori", "1gb", ["redisMaxmemory", "not a setting"]),
    ],
)
def test_a_wrong_setting_is_refused_with_its_remedy(
    refused: Callable[..., str], running: Access, key: str, value: str, words: list[str]
) -> None:
    shown = refused(key, value)

    for word in (key, f"stacks/Pulumi.{running.stack.name}.yaml", "pulumi config", *words):
        assert word.lower() in shown.lower()
    assert "Traceback" not in shown


def test_a_port_in_use_is_refused(refused: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        shown = refused("compose.httpsPort", str(port))

    assert f"port {port}" in shown
    assert "in use by another process" in shown
    assert "pulumi config set --path compose.httpsPort" in shown


def test_an_image_that_cannot_be_had_is_refused(refused: Callable[..., str]) -> None:
    shown = refused("redisImage", "redis-session-kit/no-such-image:1")

    assert "redis-session-kit/no-such-image:1" in shown
    assert "cannot be pulled" in shown


def test_another_engine_on_existing_data_is_refused(refused: Callable[..., str]) -> None:
    shown = refused("redisImage", "valkey/valkey:8")

    assert "valkey/valkey:8" in shown
    assert "is valkey, but the data of this stack is of redis" in shown


def test_the_deployment_of_another_checkout_is_not_taken_over(stack: Stack) -> None:
    project = f"com.docker.compose.project={stack.project}"
    place = "com.docker.compose.project.working_dir=/another/checkout/.state/x"
    labels = ["--label", project, "--label", place, "--label", "com.docker.compose.service=redis-1"]
    container = docker("create", *labels, "redis:8")
    try:
        shown = stack.pulumi("preview", check=False)
    finally:
        docker("rm", "--volumes", container)

    assert "already runs from /another/checkout/.state/x" in shown
    assert "make down" in shown


def test_docker_that_does_not_run_is_said(refused: Callable[..., str]) -> None:
    shown = refused("", "", env={"DOCKER_HOST": "unix:///no/such/docker.sock"})

    assert "Docker does not answer" in shown
    assert "Start it" in shown


def test_a_change_that_fails_half_way_goes_back_to_what_ran(running: Access) -> None:
    with Writer(running.settings) as writer:
        writer.wait_for(50)
        with running.stack.setting("serviceImage", "nginx:stable"):
            shown = running.stack.pulumi("up", "--yes", "--skip-preview", check=False)
        writer.wait_for(50)

    assert not shown.startswith("exit 0")
    assert "what ran before runs again" in shown
    assert "Traceback" not in shown
    assert writer.failures == []
    running.stack.up()
    running.stack.pulumi("up", "--yes", "--expect-no-changes")


@pytest.mark.long
def test_a_first_up_that_fails_leaves_nothing_and_the_next_one_works(stack: Stack) -> None:
    own = f"label=com.docker.compose.project={stack.project}"
    with stack.setting("serviceImage", "nginx:stable"):
        shown = stack.pulumi("up", "--yes", "--skip-preview", check=False)

    assert not shown.startswith("exit 0")
    assert "removing what was started" in shown
    assert docker("ps", "--all", "--quiet", "--filter", own) == ""
    assert not stack.directory.exists()

    # What is not published is reached from inside, also by the first session.
    stack.set("compose.publish", "false")
    shown = stack.make("up")

    assert "was created (durable: true) and read back through its cookie" in shown
    assert "inside only: publish is false" in shown
    assert "->" not in docker("ps", "--format", "{{.Ports}}", "--filter", own)


@pytest.mark.long
def test_nodes_with_other_names_stop_and_start_with_every_session(running: Access) -> None:
    with Writer(running.settings) as writer:
        writer.wait_for(50)

    try:
        with running.stack.setting("sentinelMasterName", "other"):
            shown = running.stack.up()
    finally:
        running.stack.up()

    assert "stopping everything" in shown
    running.wait_settled()
    assert lost(running.settings, writer.acknowledged) == []
