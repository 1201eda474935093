"""Names of a deployment's parts in a cluster: each is reached by the full name that the cluster's DNS gives it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from infra.kubernetes import KubernetesTarget
from infra.render.topology import Node
from infra.spec import DeploymentSpec, target_of

REDIS, SENTINEL, SESSION, EXPORTER = "redis", "sentinel", "session", "exporter"
REDIS_PORT, SENTINEL_PORT = 6379, 26379
WAITING_ROOM_PORT = REDIS_PORT + 10_000
"""As the entrypoint has it (`room_of`)."""
HTTPS_PORT = 443
CHART_PODS: Mapping[str, tuple[str, int]] = {
    "bitnami": ("redis-node", REDIS_PORT),
    "cagriekin": (REDIS, REDIS_PORT),
    "cloudpirates": (REDIS, 6380),
}
"""Name of a chart's StatefulSet and the port of Redis in it, under the release's `fullnameOverride` redis."""
HEADLESS = "redis-headless"
"""The Service that names a chart's pods, of each of these charts."""


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

    @property
    def chart(self) -> str:
        """The Helm chart that makes Redis and the Sentinels; empty where the kit does."""
        return self.target.chart if self.spec.redis.source == "helm" else ""

    @cached_property
    def redis(self) -> tuple[Node, ...]:
        """The Redis nodes: the pods of the StatefulSet `redis`, or of the chart's."""
        if self.chart:
            pod, port = CHART_PODS[self.chart]
            return self._pods(pod, HEADLESS, self.spec.redis.nodes, port)
        return self._pods(REDIS, REDIS, self.spec.redis.nodes, REDIS_PORT)

    @cached_property
    def sentinels(self) -> tuple[Node, ...]:
        """The Sentinels: the pods of the StatefulSet `sentinel`; in a chart's pods, beside each Redis node."""
        if self.chart:
            return tuple(Node(node.name, SENTINEL_PORT) for node in self.redis)
        return self._pods(SENTINEL, SENTINEL, self.spec.sentinel.nodes, SENTINEL_PORT)

    @property
    def redis_port(self) -> int:
        """Of every Redis node."""
        return self.redis[0].port

    @property
    def certified(self) -> dict[str, list[str]]:
        """Kinds of pods that have a certificate, with the names that they are reached by."""
        session = f"{SESSION}.{self.namespace}.svc"
        stores = {REDIS: [f"*.{self.domain(REDIS)}"], SENTINEL: [f"*.{self.domain(SENTINEL)}"]}
        if self.chart:
            services = (HEADLESS, REDIS, "redis-sentinel")
            own = [name for service in services for name in (service, self.domain(service))]
            stores = {REDIS: [f"*.{self.domain(HEADLESS)}", *own, "localhost"]}
        return stores | {
            SESSION: [SESSION, f"{SESSION}.{self.namespace}", session, self.domain(SESSION)],
            EXPORTER: [EXPORTER, self.domain(EXPORTER)],
        }

    @property
    def own_certificates(self) -> dict[str, list[str]]:
        """Those of `certified` whose certificate the kit makes: all, or none where an issuer of the cluster does."""
        return {} if self.target.certificate_issuer else self.certified

    def pair_of(self, part: str) -> str:
        """The Secret with the certificate of a part and its key: the kit's one for that part, or cert-manager's."""
        return f"{part}-certificate" if self.target.certificate_issuer else part

    def domain(self, service: str) -> str:
        """The full name of a Service; that of a StatefulSet's pod stands in front of it."""
        return f"{service}.{self.namespace}.svc.{self.target.cluster_domain}"

    def labels(self, part: str) -> dict[str, str]:
        """Labels that select the pods of `part`."""
        return {"app.kubernetes.io/name": part, "app.kubernetes.io/instance": self.name}

    def _pods(self, kind: str, service: str, count: int, port: int) -> tuple[Node, ...]:
        return tuple(Node(f"{kind}-{i}.{self.domain(service)}", port) for i in range(count))
