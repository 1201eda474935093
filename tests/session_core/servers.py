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
VALKEY: Final = "valkey/valkey:8"
LABEL: Final = "redis-session-kit.test"
PROCESSES: Final = Path("/proc/self/ns/pid").readlink()
"""Which processes we can see: of another namespace's we cannot say whether they live."""
OWNER: Final = f"session_core-{PROCESSES}-{os.getpid()}"
START_SECONDS: Final = 20.0
TLS_PORT: Final = 6380


@dataclass(frozen=True)
class Server:
    """A Redis server: where it is from here, and its container."""

    port: int
    container: DockerContainer
    certificates: Path | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def settings(self) -> dict[str, object]:
        """How to reach it; with certificates by TLS, under the name that they are for."""
        if self.certificates is None:
            return {"redis_url": self.url}
        return {
            "redis_url": f"rediss://redis-1:{TLS_PORT}/0",
            "redis_ca_file": self.certificates / "ca.crt",
            "redis_address_map": f"redis-1:{TLS_PORT}=127.0.0.1:{self.container.get_exposed_port(TLS_PORT)}",
        }

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


def program(image: str, role: str = "server") -> str:
    """Return the name of the server or the sentinel in an image."""
    return f"{'valkey' if 'valkey' in image else 'redis'}-{role}"


@contextmanager
def redis_server(
    bridge: Network,
    *arguments: str,
    alias: str = "redis",
    port: int | None = None,
    image: str = IMAGE,
    certificates: Path | None = None,
    sockets: Path | None = None,
) -> Iterator[Server]:
    """A server without persistence and password; further arguments as for redis-server.

    Args:
        port: fixed on this host.
        certificates: a directory that `sentinel_group.certificates` has filled: listen for TLS too.
        sockets: a directory: listen on its `redis.sock` too.
    """
    options = ["--port", "6379", "--protected-mode", "no", "--save", "", *arguments]
    if certificates is not None:
        names = {"cert-file": "redis-1.crt", "key-file": "redis-1.key", "ca-cert-file": "ca.crt"}
        options += ["--tls-port", str(TLS_PORT), "--tls-auth-clients", "no"]
        options += [word for name, file in names.items() for word in (f"--tls-{name}", f"/conf/{file}")]
    if sockets is not None:
        options += ["--unixsocket", "/sockets/redis.sock"]
    user = {} if certificates is None and sockets is None else {"user": str(os.getuid())}
    container = DockerContainer(image, labels={LABEL: OWNER}, entrypoint=[program(image)], command=options, **user)  # type: ignore[arg-type]
    container.with_network(bridge).with_network_aliases(alias).with_bind_ports(6379, port or free_port())
    if certificates is not None:
        container.with_volume_mapping(str(certificates), "/conf", "ro").with_bind_ports(TLS_PORT, free_port())
    if sockets is not None:
        container.with_volume_mapping(str(sockets), "/sockets", "rw")
    container.start()
    try:
        server = Server(int(container.get_exposed_port(6379)), container, certificates)
        wait_for(server)
        yield server
    finally:
        remove(container)


def remove(container: DockerContainer) -> None:
    """Stop and remove a container, unless a sweep has been faster."""
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
    """A port that nobody listens on, and that nobody was given: fixed, so that a restarted container is found again."""
    import socket

    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in _given:
            _given.add(port)
            return port


_given: set[int] = set()


def sweep() -> None:
    """Remove what this run, or one that was killed, has left."""
    client = docker.from_env()
    ours = {"label": LABEL}
    for container in client.containers.list(all=True, filters=ours, ignore_removed=True):  # others remove theirs
        if _abandoned(container.labels):
            with suppress(docker.errors.APIError):
                container.remove(force=True, v=True)
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
