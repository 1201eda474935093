"""Names of a deployment's parts in a cluster: each is reached by the full name that the cluster's DNS gives it."""

from dataclasses import dataclass
from functools import cached_property

from infra.render.topology import Node
from infra.spec import DeploymentSpec, KubernetesTarget, target_of

REDIS, SENTINEL, SESSION, EXPORTER = "redis", "sentinel", "session", "exporter"
REDIS_PORT, SENTINEL_PORT = 6379, 26379
WAITING_ROOM_PORT = REDIS_PORT + 10_000
"""As the entrypoint has it (`room_of`)."""
HTTPS_PORT = 443


@dataclass(frozen=True)
class Cluster:
    """A deployment in a namespace of a cluster."""

    spec: DeploymentSpec
    name: str
    """Of the deployment."""

    @property
    def target(self) -> KubernetesTarget:
        """The settings of this target."""
        return target_of(self.spec, KubernetesTarget)

    @property
    def namespace(self) -> str:
        """The namespace of all objects."""
        return self.target.namespace or f"redis-session-kit-{self.name}"

    @cached_property
    def redis(self) -> tuple[Node, ...]:
        """The Redis nodes: the pods of the StatefulSet `redis`."""
        return self._pods(REDIS, self.spec.redis.nodes, REDIS_PORT)

    @cached_property
    def sentinels(self) -> tuple[Node, ...]:
        """The Sentinels: the pods of the StatefulSet `sentinel`."""
        return self._pods(SENTINEL, self.spec.sentinel.nodes, SENTINEL_PORT)

    @property
    def certified(self) -> dict[str, list[str]]:
        """Kinds of pods that have a certificate, with the names that they are reached by."""
        session = f"{SESSION}.{self.namespace}.svc"
        return {
            REDIS: [f"*.{self.domain(REDIS)}"],
            SENTINEL: [f"*.{self.domain(SENTINEL)}"],
            SESSION: [SESSION, f"{SESSION}.{self.namespace}", session, self.domain(SESSION)],
            EXPORTER: [EXPORTER, self.domain(EXPORTER)],
        }

    def domain(self, service: str) -> str:
        """The full name of a Service; that of a StatefulSet's pod stands in front of it."""
        return f"{service}.{self.namespace}.svc.{self.target.cluster_domain}"

    def labels(self, part: str) -> dict[str, str]:
        """Labels that select the pods of `part`."""
        return {"app.kubernetes.io/name": part, "app.kubernetes.io/instance": self.name}

    def _pods(self, kind: str, count: int, port: int) -> tuple[Node, ...]:
        return tuple(Node(f"{kind}-{i}.{self.domain(kind)}", port) for i in range(count))
