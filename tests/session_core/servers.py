"""Real servers in containers, removed whatever happens."""

import os

os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"  # read when testcontainers is imported; `sweep` cleans up

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import docker
import redis
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

IMAGE: Final = os.environ.get("KIT_TEST_REDIS_IMAGE", "redis:8")
LABEL: Final = "redis-session-kit.test"
PROCESSES: Final = Path("/proc/self/ns/pid").readlink()
"""Which processes we can see: of another namespace's we cannot say whether they live."""
OWNER: Final = f"session_core-{PROCESSES}-{os.getpid()}"
START_SECONDS: Final = 20.0


@dataclass(frozen=True)
class Server:
    """A Redis server: where it is from here, and its container."""

    port: int
    container: DockerContainer

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def admin(self, **login: str) -> redis.Redis:
        """A client that may do everything, unless a login says otherwise."""
        return redis.Redis(host="127.0.0.1", port=self.port, **login)  # type: ignore[arg-type]

    def docker(self, action: str) -> None:
        """Pause, unpause, kill or start the container."""
        getattr(self.container.get_wrapped_container(), action)()


@contextmanager
def network() -> Iterator[Network]:
    """A bridge of our own."""
    made = Network(docker_network_kw={"labels": {LABEL: OWNER}})
    made.create()
    try:
        yield made
    finally:
        with suppress(docker.errors.APIError):
            made.remove()


@contextmanager
def redis_server(bridge: Network, *arguments: str, alias: str = "redis", port: int | None = None) -> Iterator[Server]:
    """A server without persistence and password; further arguments as for redis-server. `port`: fixed on this host."""
    command = ["redis-server", "--port", "6379", "--protected-mode", "no", "--save", "", *arguments]
    container = DockerContainer(IMAGE, labels={LABEL: OWNER}, entrypoint=command[:1], command=command[1:])  # type: ignore[arg-type]
    container.with_network(bridge).with_network_aliases(alias).with_bind_ports(6379, port or free_port())
    container.start()
    try:
        server = Server(int(container.get_exposed_port(6379)), container)
        wait_for(server)
        yield server
    finally:
        with suppress(docker.errors.NotFound):
            container.stop()


def wait_for(server: Server) -> None:
    """Wait until the server answers."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.admin().ping()
        except redis.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def free_port() -> int:
    """A port that nobody listens on: fixed, so that a restarted container is found again."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def sweep() -> None:
    """Remove what this run, or one that was killed, has left."""
    client = docker.from_env()
    ours = {"label": LABEL}
    for container in client.containers.list(all=True, filters=ours):
        if _abandoned(container.labels):
            with suppress(docker.errors.APIError):
                container.remove(force=True)
    for network in client.networks.list(filters=ours):
        if _abandoned(network.attrs["Labels"]):
            with suppress(docker.errors.APIError):
                network.remove()
    client.close()


def _abandoned(labels: Mapping[str, str]) -> bool:
    """Whether it belongs to this run, or to one whose process has gone."""
    owner = labels.get(LABEL, "")
    maker, _, process = owner.rpartition("-")
    alive = owner != OWNER and Path(f"/proc/{process}").exists()
    return maker == OWNER.rpartition("-")[0] and not alive
