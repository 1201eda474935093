"""What cannot work is refused before anything is touched, with the key, the stack file and the remedy."""

import socket
from collections.abc import Callable

import pytest

from tests.stack.kit import Access, docker

pytestmark = [pytest.mark.stack, pytest.mark.engine]


@pytest.fixture(name="refused")
def _refused(running: Access) -> Callable[..., str]:
    """Preview with a setting, then check that nothing of the deployment was touched."""

    def refused(key: str, value: str, env: dict[str, str] | None = None) -> str:
        label = f"label=com.docker.compose.project={running.stack.project}"
        before = docker("ps", "--quiet", "--no-trunc", "--filter", label)
        if key:
            running.stack.set(key, value)
        try:
            shown = running.stack.pulumi("up", "--yes", check=False, env=env)
        finally:
            if key == "compose.httpsPort":
                running.stack.set(key, str(running.stack.ports["httpsPort"]))
            elif key:
                running.stack.unset(key)
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


def test_docker_that_does_not_run_is_said(refused: Callable[..., str]) -> None:
    shown = refused("", "", env={"DOCKER_HOST": "unix:///no/such/docker.sock"})

    assert "Docker does not answer" in shown
    assert "Start it" in shown


def test_a_setting_that_redis_refuses_leaves_the_deployment_as_it_was(running: Access) -> None:
    """A bad setting that no check of ours sees: the files go back, no session is lost."""
    running.wait_settled()
    damaged = running.stack.directory / "redis-2"

    running.stack.set("sentinelMasterName", "other")
    shown = running.stack.up()
    running.stack.unset("sentinelMasterName")
    running.stack.up()

    assert "stopping everything" in shown
    assert damaged.exists()
    running.wait_settled()
