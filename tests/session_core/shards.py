"""A Redis Cluster: three primaries and three replicas in one container, with TLS, ACL users and announced names."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import docker
import redis
from redis.crc import key_slot
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from session_core import Settings, acl, library
from session_core.ids import BUCKETS
from tests.session_core.sentinel_group import PASSWORD, admin_of, certificates
from tests.session_core.servers import IMAGE, LABEL, OWNER, free_port, program, remove

PRIMARIES: Final = ("shard-1", "shard-2", "shard-3")
REPLICAS: Final = ("shard-4", "shard-5", "shard-6")
NODES: Final = {name: 7000 + number for number, name in enumerate((*PRIMARIES, *REPLICAS), 1)}
"""Announced name and port inside; the roles are those at the start."""
RANGES: Final = ((0, 5460), (5461, 10922), (10923, 16383))
START_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Shards:
    """Where each node is on this machine, their container, and the authority that all certificates come from."""

    ports: dict[str, int]
    container: DockerContainer
    ca_file: Path
    admins: dict[str, redis.Redis] = field(default_factory=dict)

    def settings(self, **changes: Any) -> Settings:
        """As an application outside of the network has them: names as announced, ports by the address map."""
        return Settings(
            **{
                "redis_url": "rediss-cluster://shard-1:7001,shard-2:7002,shard-3:7003",
                "redis_username": "sessions",
                "redis_password": PASSWORD,
                "redis_deploy_username": "deploy",
                "redis_deploy_password": PASSWORD,
                "redis_ca_file": self.ca_file,
                "redis_address_map": ",".join(
                    f"{name}:{NODES[name]}=127.0.0.1:{port}" for name, port in self.ports.items()
                ),
                "session_deadline_seconds": 20,
                **changes,
            }
        )

    def admin(self, node: str) -> redis.Redis:
        """A client of one node that may do everything."""
        return admin_of(self.ports[node], self.ca_file, socket_timeout=1)

    def ask(self, node: str, *command: Any) -> Any:
        """Send one command to one node."""
        if node not in self.admins:
            self.admins[node] = self.admin(node)
        return self.admins[node].execute_command(*command)  # type: ignore[no-untyped-call]

    def ask_primaries(self, *command: str | int) -> list[Any]:
        """Send one command to every primary."""
        return [self.ask(node, *command) for node in self.primaries()]

    def roles(self) -> dict[str, bytes]:
        """The role of every node that answers."""
        found = {}
        for node in NODES:
            with suppress(redis.ConnectionError, redis.TimeoutError):
                found[node] = self.ask(node, "ROLE")[0]
        return found

    def primaries(self) -> list[str]:
        """The nodes that say that they are primaries."""
        return [node for node, role in self.roles().items() if role == b"master"]

    def owner(self, key: str, seen_by: str = PRIMARIES[0]) -> str:
        """The node that serves a key."""
        slot = key_slot(key.encode())
        names = {port: name for name, port in NODES.items()}
        for first, last, primary, *_ in self.ask(seen_by, "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return names[primary[1]]
        raise AssertionError(key)

    def in_step(self) -> bool:
        """Whether all slots are served, every primary has a replica that follows it, and every node knows all that."""
        try:
            states = [self.ask(node, "INFO", "replication") for node in NODES]
            seen = [self.ask(node, "CLUSTER", "SLOTS") for node in NODES]
        except redis.RedisError:
            return False
        online = sum(state["role"] == "master" and state.get("slave0", {}).get("state") == "online" for state in states)
        complete = all(
            sum(last - first + 1 for first, last, *nodes in view if len(nodes) == 2) == 16384 for view in seen
        )
        return online == len(PRIMARIES) and complete

    def wait(self, seconds: float = START_SECONDS) -> None:
        """Wait until all replicas are in step."""
        self.until(self.in_step, seconds)

    def until(self, condition: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Wait for something that happens by itself."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.roles()
            time.sleep(0.1)

    def signal(self, node: str, name: str) -> None:
        """Send a signal to a node's process."""
        self._run(f"kill -{name} $(cat /tmp/{node}/pid)")

    def start(self, node: str) -> None:
        """Start a node that was killed."""
        self._run(f"cd /tmp/{node} && exec {program(IMAGE)} /conf/{node}.conf")

    def open_slot(self, slot: int, source: str, target: str) -> None:
        """Begin to move a slot: from now on both nodes answer for it."""
        self.ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", self._id(source))
        self.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", self._id(target))

    def move_keys(self, slot: int, source: str, target: str, number: int) -> int:
        """Move some keys of the slot; return how many."""
        keys = self.ask(source, "CLUSTER", "GETKEYSINSLOT", slot, number)
        if keys:
            place = ("127.0.0.1", NODES[target], "", 0, 5000, "AUTH2", "admin", PASSWORD)
            self.ask(source, "MIGRATE", *place, "KEYS", *keys)
        return len(keys)

    def close_slot(self, slot: int, target: str) -> None:
        """Tell all primaries that the slot has moved."""
        for node in (target, *(node for node in self.primaries() if node != target)):
            self.ask(node, "CLUSTER", "SETSLOT", slot, "NODE", self._id(target))

    def empty(self) -> None:
        """Leave nothing but the functions and the layout of the data, as after a deployment."""
        self.ask_primaries("FLUSHALL")
        self.ask(self.owner("session_meta"), "HSET", "session_meta", "buckets", BUCKETS, "schema", library.SCHEMA)

    def errors(self, code: str) -> int:
        """How often the nodes answered with this error."""
        states = [self.ask(node, "INFO", "errorstats") for node in NODES]
        return sum(state.get(f"errorstat_{code}", {}).get("count", 0) for state in states)

    def _id(self, node: str) -> str:
        return str(self.ask(node, "CLUSTER", "MYID").decode())

    def _run(self, command: str) -> None:
        code, output = self.container.get_wrapped_container().exec_run(["sh", "-c", command])
        assert code == 0, output


@contextmanager
def shards(bridge: Network, directory: Path) -> Iterator[Shards]:
    """Bring the cluster up; it is ready when all replicas are in step."""
    ca_file = certificates(directory, NODES)
    (directory / "users.acl").write_text(f"""user default off
user admin on >{PASSWORD} ~* &* +@all
user sessions on >{PASSWORD} {acl.on_cluster(acl.APP_RULE)}
user deploy on >{PASSWORD} {acl.on_cluster(acl.DEPLOY_RULE)}
""")
    for name, port in NODES.items():
        (directory / f"{name}.conf").write_text(f"""port 0
tls-port {port}
tls-cluster yes
tls-replication yes
tls-auth-clients no
tls-cert-file /conf/{name}.crt
tls-key-file /conf/{name}.key
tls-ca-cert-file /conf/ca.crt
aclfile /conf/users.acl
masteruser admin
masterauth {PASSWORD}
save ''
daemonize yes
pidfile /tmp/{name}/pid
dir /tmp/{name}
logfile /tmp/{name}/log
repl-diskless-sync-delay 0
repl-ping-replica-period 1
cluster-enabled yes
cluster-node-timeout 1000
cluster-replica-validity-factor 0
cluster-announce-hostname {name}
cluster-preferred-endpoint-type hostname
""")
    start = "; ".join(f"mkdir /tmp/{name}; {program(IMAGE)} /conf/{name}.conf" for name in NODES)
    container = DockerContainer(
        IMAGE, command=f"'{start}; exec sleep infinity'", labels={LABEL: OWNER}, entrypoint=["sh", "-c"],
        user=str(os.getuid()), init=True,
    )  # fmt: skip
    container.with_volume_mapping(str(directory), "/conf", "ro").with_network(bridge)
    ports = {name: free_port() for name in NODES}
    for name, port in ports.items():
        container.with_bind_ports(NODES[name], port)
    container.start()
    try:
        made = Shards(ports, container, ca_file)
        _join(made)
        yield made
    finally:
        with suppress(docker.errors.NotFound):
            remove(container)


def _join(made: Shards) -> None:
    deadline = time.monotonic() + START_SECONDS
    while len(made.roles()) < len(NODES):
        assert time.monotonic() < deadline, made.container.get_logs()
        time.sleep(0.05)
    for number, (node, port) in enumerate(NODES.items(), 1):
        made.ask(node, "CLUSTER", "SET-CONFIG-EPOCH", number)
        made.ask(PRIMARIES[0], "CLUSTER", "MEET", "127.0.0.1", port)
    for node, slots in zip(PRIMARIES, RANGES, strict=True):
        made.ask(node, "CLUSTER", "ADDSLOTSRANGE", *slots)
    for replica, primary in zip(REPLICAS, PRIMARIES, strict=True):
        while True:
            try:
                made.ask(replica, "CLUSTER", "REPLICATE", made._id(primary))
                break
            except redis.ResponseError:  # they have not heard of each other yet
                assert time.monotonic() < deadline
                time.sleep(0.05)
    made.wait()
