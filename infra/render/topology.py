"""Names and ports of a deployment's parts, and where their files are inside a container."""

from dataclasses import dataclass

from infra.spec import ComposeTarget, DeploymentSpec, target_of

KIT = "/run/kit"
"""Directory with a container's rendered files, read-only."""
TLS = f"{KIT}/tls"
SECRETS = "/run/secrets"
"""Directory with the service's secrets: one file for each environment variable."""
KEYCLOAK_CA = f"{TLS}/keycloak-ca.crt"
"""The authorities that the session service trusts for Keycloak, where the stack names some."""
SERVICE_PORT = 8443
EXPORTER_PORT = 9121


@dataclass(frozen=True)
class Node:
    """A Redis node or a Sentinel: the announced name and the port, the same inside and outside."""

    name: str
    port: int

    def __str__(self) -> str:
        """`name:port`."""
        return f"{self.name}:{self.port}"


@dataclass(frozen=True)
class Topology:
    """Every part of a deployment by name."""

    redis: tuple[Node, ...]
    sentinels: tuple[Node, ...]
    services: tuple[str, ...]
    master_name: str

    @property
    def certified(self) -> dict[str, list[str]]:
        """Parts that own a certificate, with the names they are reached by."""
        own = {node.name: [node.name] for node in (*self.redis, *self.sentinels)}
        return (
            own
            | {name: [name, "session"] for name in self.services}
            | {"gateway": ["gateway"], "exporter": ["exporter"]}
        )


def topology(spec: DeploymentSpec) -> Topology:
    """The parts that `spec` asks for; its target is compose."""
    target = target_of(spec, ComposeTarget)
    return Topology(
        redis=tuple(Node(f"redis-{i + 1}", target.redis_port + i) for i in range(spec.redis.nodes)),
        sentinels=tuple(Node(f"sentinel-{i + 1}", target.sentinel_port + i) for i in range(spec.sentinel.nodes)),
        services=tuple(f"session-{i + 1}" for i in range(spec.service.replicas)),
        master_name=spec.sentinel.master_name,
    )
