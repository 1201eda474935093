"""A primary, replicas and three Sentinels in containers: TLS without a plain port, ACL users, announced names."""

import ipaddress
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis.backoff import NoBackoff
from redis.retry import Retry
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from session_core import Settings, acl
from tests.session_core.servers import IMAGE, LABEL, OWNER, free_port, program, remove

PASSWORD: Final = "sentinel-group-password"
MASTER: Final = "mymaster"
NODES: Final = ("redis-1", "redis-2", "redis-3")
SENTINELS: Final = ("sentinel-1", "sentinel-2", "sentinel-3")
START_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Group:
    """Where each node is on this machine, its container, and the authority that all certificates come from."""

    ports: dict[str, int]
    containers: dict[str, DockerContainer]
    ca_file: Path

    def settings(self, **changes: Any) -> Settings:
        """As an application outside of the network has them: names as announced, ports by the address map."""
        return Settings(
            **{
                "redis_url": "rediss-sentinel://" + ",".join(f"{name}:26379" for name in SENTINELS) + f"/{MASTER}",
                "redis_username": "sessions",
                "redis_password": PASSWORD,
                "redis_sentinel_username": "sessions",
                "redis_sentinel_password": PASSWORD,
                "redis_deploy_username": "deploy",
                "redis_deploy_password": PASSWORD,
                "redis_ca_file": self.ca_file,
                "redis_address_map": ",".join(
                    f"{name}:{_inside(name)}=127.0.0.1:{port}" for name, port in self.ports.items()
                ),
                "session_deadline_seconds": 20,
                **changes,
            }
        )

    def admin(self, node: str) -> redis.Redis:
        """A client of one node that may do everything."""
        return admin_of(self.ports[node], self.ca_file)

    def primary(self) -> str:
        """The node that the Sentinels call the primary."""
        for name in SENTINELS:
            try:
                with self.admin(name) as sentinel:
                    found: Any = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
                    return str(found[0].decode())
            except (redis.ConnectionError, redis.TimeoutError):
                continue
        raise AssertionError

    def replicas_in_step(self) -> bool:
        """Whether all nodes but one follow that one, and the Sentinels know it."""
        try:
            primary = self.primary()
            with self.admin(primary) as node, self.admin("sentinel-3") as sentinel:
                state: Any = node.info("replication")
                quorum: Any = sentinel.execute_command("SENTINEL", "CKQUORUM", MASTER)
                known: Any = sentinel.execute_command("SENTINEL", "REPLICAS", MASTER)
        except (redis.RedisError, AssertionError):
            return False
        wanted = len(self.ports) - len(SENTINELS) - 1
        online = [state.get(f"slave{number}", {}).get("state") for number in range(wanted)]
        return online == ["online"] * wanted and b"OK 3" in quorum and len(known) == wanted

    def wait(self, seconds: float = START_SECONDS) -> None:
        """Wait until all replicas are in step."""
        deadline = time.monotonic() + seconds
        while not self.replicas_in_step():
            if time.monotonic() > deadline:
                logs = {name: container.get_logs()[0][-500:] for name, container in self.containers.items()}
                raise AssertionError(logs)
            time.sleep(0.2)

    def docker(self, node: str, action: str) -> None:
        """Pause, unpause, kill or start a node."""
        getattr(self.containers[node].get_wrapped_container(), action)()

    def cut(self, node: str, others: Iterable[str]) -> Callable[[], None]:
        """Let a node and others lose each other without a word, by DROP rules in its network; return what heals it."""
        nodes = {name: container.get_wrapped_container() for name, container in self.containers.items()}
        for one in nodes.values():
            one.reload()
        inside = ["nsenter", "--target", str(nodes[node].attrs["State"]["Pid"]), "--net", "iptables"]
        networks = [network for name in others for network in nodes[name].attrs["NetworkSettings"]["Networks"].values()]

        def drop(action: str) -> None:
            for network in networks:
                for rule in (["INPUT", "--source"], ["OUTPUT", "--destination"]):
                    command = [*inside, action, *rule, network["IPAddress"], "--jump", "DROP"]
                    subprocess.run(command, check=True, timeout=10)

        drop("--append")
        return lambda: drop("--delete")


@contextmanager
def sentinel_group(bridge: Network, directory: Path, size: int = 2, configuration: str = "") -> Iterator[Group]:
    """Bring the group up with so many Redis nodes; it is ready when all replicas are in step."""
    nodes = NODES[:size]
    ca_file = certificates(directory)
    users = f"""user default off
user admin on >{PASSWORD} ~* &* +@all
user sessions on >{PASSWORD} {acl.APP_RULE}
user deploy on >{PASSWORD} {acl.DEPLOY_RULE}
"""
    sentinel_users = f"""user default off
user admin on >{PASSWORD} ~* &* +@all
user sessions on >{PASSWORD} {acl.SENTINEL_RULE}
"""
    (directory / "users.acl").write_text(users)
    (directory / "sentinel-users.acl").write_text(sentinel_users)
    tls = """port 0
tls-cert-file /conf/{name}.crt
tls-key-file /conf/{name}.key
tls-ca-cert-file /conf/ca.crt
tls-auth-clients no
tls-replication yes
"""
    for name in nodes:
        text = tls.format(name=name) + (
            f"tls-port 6379\naclfile /conf/users.acl\nmasteruser admin\nmasterauth {PASSWORD}\nsave ''\n"
            f"replica-announce-ip {name}\nreplica-announce-port 6379\nrepl-diskless-sync-delay 0\n{configuration}"
        )
        (directory / f"{name}.conf").write_text(text + ("replicaof redis-1 6379\n" if name != NODES[0] else ""))
    for name in SENTINELS:
        (directory / f"{name}.conf").write_text(
            tls.format(name=name)
            + f"tls-port 26379\naclfile /conf/sentinel-users.acl\nsentinel resolve-hostnames yes\n"
            f"sentinel announce-hostnames yes\nsentinel announce-ip {name}\nsentinel announce-port 26379\n"
            f"sentinel sentinel-user admin\nsentinel sentinel-pass {PASSWORD}\n"
            f"sentinel monitor {MASTER} redis-1 6379 2\nsentinel auth-user {MASTER} admin\n"
            f"sentinel auth-pass {MASTER} {PASSWORD}\nsentinel down-after-milliseconds {MASTER} 1000\n"
            f"sentinel failover-timeout {MASTER} 3000\n"
        )
    ports: dict[str, int] = {}
    containers: dict[str, DockerContainer] = {}
    with ExitStack() as stack:
        for name in (*nodes, *SENTINELS):
            inside = _inside(name)
            role = "sentinel" if name in SENTINELS else "server"
            # Sentinel rewrites its configuration: it works on a copy.
            command = f"'cp /conf/{name}.conf /tmp/node.conf && exec {program(IMAGE, role)} /tmp/node.conf'"
            ports[name] = free_port()
            container = DockerContainer(
                IMAGE, command=command, labels={LABEL: OWNER}, entrypoint=["sh", "-c"], user=str(os.getuid())
            )
            container.with_volume_mapping(str(directory), "/conf", "ro").with_network(bridge)
            container.with_network_aliases(name).with_bind_ports(inside, ports[name])
            container.start()
            stack.callback(remove, container)
            containers[name] = container
        group = Group(ports, containers, ca_file)
        group.wait()
        yield group


def _inside(name: str) -> int:
    return 26379 if name in SENTINELS else 6379


def admin_of(port: int, ca_file: Path, **more: Any) -> redis.Redis:
    """A client that may do everything on the server behind a port of this host, and never repeats a command."""
    return redis.Redis(
        host="127.0.0.1",
        port=port,
        username="admin",
        password=PASSWORD,
        ssl=True,
        ssl_ca_certs=str(ca_file),
        ssl_check_hostname=False,
        retry=Retry(NoBackoff(), 0),
        **more,
    )


def certificates(directory: Path, names: Iterable[str] = (*NODES, *SENTINELS)) -> Path:
    """One authority, and a certificate for each node that is valid for its announced name only."""
    now = datetime.now(UTC)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])

    def builder(name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
        )

    ca = builder(ca_name, ca_key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    ca_file = directory / "ca.crt"
    ca_file.write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    for name in names:
        key = ec.generate_private_key(ec.SECP256R1())
        valid_for = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.9"))])
        made = builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key).add_extension(
            valid_for, critical=False
        )
        (directory / f"{name}.crt").write_bytes(
            made.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        (directory / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return ca_file
