"""What is wanted of one deployment: validated, frozen, plain data. No Pulumi, no I/O, no secret.

`infra.stackfile` reads it from the configuration of a stack; every target renders from it.
A value that contradicts another one is refused here, whoever builds the model.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, model_validator

from infra.kubernetes import KubernetesTarget
from infra.section import ContradictionError, Problem, Section
from infra.service import (
    AuthSpec,
    JwtSpec,
    KeycloakSpec,
    ServiceSpec,
    TelemetrySpec,
    login_contradictions,
    login_warnings,
)
from infra.values import (
    HIGHEST_PORT,
    MEBIBYTE,
    Bytes,
    Image,
    MasterName,
    MaxmemoryPolicy,
    Odd,
    Port,
    SavePoints,
)


class RedisSpec(Section):
    """The Redis nodes: one primary, the others its replicas."""

    source: Literal["native", "helm"] = "native"
    """Who makes Redis and the Sentinels: this kit, or on Kubernetes a Helm chart of others (kubernetes.chart)"""
    image: Image = "redis:8"
    """Image of the Redis nodes and Sentinels: Redis 7.2 or newer, or Valkey 8; another engine needs a fresh stack"""
    nodes: int = Field(default=3, ge=3, le=9)
    """Number of Redis nodes: one primary, the others replicas"""
    maxmemory: Bytes = 256 * MEBIBYTE
    """Memory for data on each node, as in redis.conf (256mb)"""
    maxmemory_policy: MaxmemoryPolicy = "noeviction"
    """What a full node does: noeviction refuses new sessions, every other policy logs users out without a word"""
    appendfsync: Literal["always", "everysec", "no"] = "everysec"
    """When the append-only file reaches the disk"""
    save: SavePoints = "900 1 300 10 60 10000"
    """RDB snapshots: pairs of seconds and changes, empty for none"""
    min_replicas_to_write: int = Field(default=1, ge=0)
    """Replicas that must be connected for the primary to accept writes"""
    min_replicas_max_lag: int = Field(default=10, ge=2, le=60)
    """Seconds since its last report after which a replica no longer counts (replicas report once a second)"""


class SentinelSpec(Section):
    """The Sentinels that watch the primary and replace it."""

    nodes: Odd = Field(default=3, ge=3, le=9)
    """Number of Sentinels, odd"""
    quorum: int = 2
    """Sentinels that must agree that the primary is down: at least a majority"""
    master_name: MasterName = "mymaster"
    """Name under which clients ask for the primary"""
    down_after_ms: int = Field(default=3000, ge=500, le=60_000)
    """Milliseconds without an answer after which a Sentinel holds a node for down"""
    failover_timeout_ms: int = Field(default=10_000, ge=1000, le=180_000)
    """Milliseconds a failover may take; a failed one is tried again after twice this time"""


class SessionSpec(Section):
    """Settings of the session service: field `x` is its variable `SESSION_X`."""

    ttl_seconds: int = Field(default=86_400, ge=1)
    """Seconds a session lives"""
    sliding_window: bool = True
    """Whether activity extends a session"""
    refresh_threshold: int = Field(default=3600, ge=1)
    """Seconds left below which activity extends a session"""
    max_concurrent: int = Field(default=5, ge=0)
    """Sessions of one user at a time, 0 for no limit"""
    limit_policy: Literal["oldest", "idle", "reject"] = "oldest"
    """What gives way when a user is at the limit: the oldest session, the one idle longest, or the new one"""
    max_lifetime_seconds: int = Field(default=604_800, ge=1)
    """Seconds after which a session ends however active it is"""
    wait_replicas: int = Field(default=1, ge=0)
    """Replicas that must confirm a write before it is reported as durable, 0 for none"""
    wait_timeout_ms: int = Field(default=100, ge=1, le=10_000)
    """Milliseconds to wait for that confirmation"""
    deadline_seconds: int = Field(default=10, ge=1, le=60)
    """Seconds in which an operation succeeds or fails, its repetitions included"""
    rotation_grace_seconds: int = Field(default=10, ge=0, le=300)
    """Seconds a rotated session id still opens its session"""


class GatewaySpec(Section):
    """The nginx in front of the session service."""

    image: Image = "nginx:stable"
    """Image of the gateway"""


class ExporterSpec(Section):
    """The Prometheus exporters."""

    image: Image = "oliver006/redis_exporter:v1.69.0"
    """Image of the Prometheus exporters"""


class ComposeTarget(Section):
    """Docker compose on this host; ports are published on 127.0.0.1, the same inside and outside."""

    kind: Literal["compose"] = "compose"
    redis_port: Port = 6379
    """Port of redis-1; the next nodes take the next ports"""
    sentinel_port: Port = 26379
    """Port of sentinel-1; the next Sentinels take the next ports"""
    https_port: Port = 8443
    """Port of the session service"""
    publish: bool = True
    """Whether ports are published on 127.0.0.1; false makes the network internal"""
    delete_data: bool = False
    """Whether `pulumi destroy` deletes the sessions as well"""


Target = Annotated[ComposeTarget | KubernetesTarget, Field(discriminator="kind")]
"""Where to deploy, told apart by `kind`."""
TARGET_SECTIONS: Mapping[str, type[ComposeTarget | KubernetesTarget]] = {
    "compose": ComposeTarget,
    "kubernetes": KubernetesTarget,
}
T = TypeVar("T", ComposeTarget, KubernetesTarget)


class DeploymentSpec(Section):
    """All that is wanted of one deployment."""

    redis: RedisSpec = RedisSpec()
    sentinel: SentinelSpec = SentinelSpec()
    session: SessionSpec = SessionSpec()
    service: ServiceSpec = ServiceSpec()
    auth: AuthSpec = AuthSpec()
    keycloak: KeycloakSpec = KeycloakSpec()
    jwt: JwtSpec = JwtSpec()
    telemetry: TelemetrySpec = TelemetrySpec()
    gateway: GatewaySpec = GatewaySpec()
    exporter: ExporterSpec = ExporterSpec()
    target: Target = ComposeTarget()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if problems := tuple(_contradictions(self)):
            raise ContradictionError(*problems)
        return self


def target_of(spec: DeploymentSpec, kind: type[T]) -> T:
    """The section of the target, which must be of `kind`: what is made for one target cannot be made for another."""
    if not isinstance(spec.target, kind):
        raise TypeError(f"the target is {spec.target.kind}, not {kind.model_fields['kind'].default}")
    return spec.target


def published_ports(spec: DeploymentSpec) -> Mapping[str, int]:
    """Port of each host of a compose deployment (`redis-1`, `sentinel-1`, `gateway`), inside and outside."""
    target = target_of(spec, ComposeTarget)
    ports = {f"redis-{n + 1}": target.redis_port + n for n in range(spec.redis.nodes)}
    ports |= {f"sentinel-{n + 1}": target.sentinel_port + n for n in range(spec.sentinel.nodes)}
    return ports | {"gateway": target.https_port}


def _contradictions(spec: DeploymentSpec) -> Iterator[Problem]:
    redis, sentinel, session = spec.redis, spec.sentinel, spec.session
    majority = sentinel.nodes // 2 + 1
    if not majority <= sentinel.quorum <= sentinel.nodes:
        yield Problem(
            ("sentinel", "quorum"),
            sentinel.quorum,
            f"from {majority} (the majority) to {sentinel.nodes} (the number of Sentinels)",
            majority,
            (("sentinel", "nodes"),),
        )
    if redis.min_replicas_to_write > redis.nodes - 2:
        yield Problem(
            ("redis", "min_replicas_to_write"),
            redis.min_replicas_to_write,
            f"at most {redis.nodes - 2}: so many replicas are left of {redis.nodes} nodes after a failover",
            redis.nodes - 2,
            (("redis", "nodes"),),
        )
    if session.wait_replicas > redis.nodes - 1:
        yield Problem(
            ("session", "wait_replicas"),
            session.wait_replicas,
            f"at most {redis.nodes - 1}, the number of replicas",
            1,
            (("redis", "nodes"),),
        )
    if session.ttl_seconds > session.max_lifetime_seconds:
        yield Problem(
            ("session", "ttl_seconds"),
            session.ttl_seconds,
            f"at most {session.max_lifetime_seconds}, the longest a session may live (sessionMaxLifetimeSeconds)",
            session.max_lifetime_seconds,
            (("session", "max_lifetime_seconds"),),
        )
    if session.wait_timeout_ms >= 1000 * session.deadline_seconds:
        yield Problem(
            ("session", "wait_timeout_ms"),
            session.wait_timeout_ms,
            f"less than the {session.deadline_seconds} s that a whole operation has (sessionDeadlineSeconds)",
            100,
            (("session", "deadline_seconds"),),
        )
    yield from login_contradictions(spec.service, spec.auth, spec.keycloak, spec.jwt)
    if redis.source == "helm":
        yield from _chart_contradictions(spec)
    if isinstance(spec.target, ComposeTarget):
        yield from _port_clash(spec)
    else:
        yield from _route_contradictions(spec.service, spec.target)
        yield from _certificate_contradictions(spec.target)


def _chart_contradictions(spec: DeploymentSpec) -> Iterator[Problem]:
    """Find what charts cannot do: other targets, another number of Sentinels than of nodes, images by digest."""
    source = ("redis", "source")
    if not isinstance(spec.target, KubernetesTarget):
        yield Problem(source, spec.redis.source, "native: Helm charts are for the target kubernetes", "native")
    elif spec.target.password_generation > 1:
        bound = "1: a chart's Redis takes one password at a time"
        yield Problem(("target", "password_generation"), spec.target.password_generation, bound, 1, (source,))
    elif spec.target.certificate_issuer:
        bound = "unset: a chart's Redis has certificates of the kit's own authority"
        yield Problem(("target", "certificate_issuer"), spec.target.certificate_issuer, bound, "", (source,))
    if "@" in spec.redis.image:
        yield Problem(
            ("redis", "image"), spec.redis.image, "with a tag alone: charts take it apart", "redis:8", (source,)
        )
    if spec.sentinel.nodes != spec.redis.nodes:
        bound = f"redisNodes ({spec.redis.nodes}): a chart puts a Sentinel into the pod of each node"
        yield Problem(("sentinel", "nodes"), spec.sentinel.nodes, bound, spec.redis.nodes, (source, ("redis", "nodes")))


def _route_contradictions(service: ServiceSpec, target: KubernetesTarget) -> Iterator[Problem]:
    """Find ways for browsers that lead nowhere or twice to one place, and a number of instances above its bound."""
    url, ingress = ("service", "public_url"), ("target", "ingress_class")
    if target.ingress_class and target.gateway:
        bound = "unset, or kubernetes.ingressClass be unset: one of them passes requests on"
        yield Problem(("target", "gateway"), target.gateway, bound, "", (ingress,))
    if (target.ingress_class or target.gateway) and not service.public_url:
        bound = "set, since kubernetes.ingressClass or kubernetes.gateway is: what browsers ask for"
        yield Problem(url, "", bound, "https://sessions.example.org", (ingress, ("target", "gateway")))
    if target.ingress_secret and not target.ingress_class:
        bound = "unset, or kubernetes.ingressClass be set too"
        yield Problem(("target", "ingress_secret"), target.ingress_secret, bound, "", (ingress,))
    if 0 < target.service_max_replicas <= service.replicas:
        yield Problem(
            ("target", "service_max_replicas"),
            target.service_max_replicas,
            f"more than serviceReplicas ({service.replicas}), which is the smallest number then, or 0",
            service.replicas + 1,
            (("service", "replicas"),),
        )


def _certificate_contradictions(target: KubernetesTarget) -> Iterator[Problem]:
    """Find certificates that nobody would trust: an issuer without its authority, or the other way round."""
    issuer, authority = ("target", "certificate_issuer"), ("target", "certificate_authority")
    if target.certificate_issuer and not target.certificate_authority:
        bound = "set, since kubernetes.certificateIssuer is: the PEM of its authority, which no part can guess"
        yield Problem(authority, "", bound, "-----BEGIN CERTIFICATE-----...", (issuer,))
    if target.certificate_authority and not target.certificate_issuer:
        bound = "set, since kubernetes.certificateAuthority is: ClusterIssuer/NAME or Issuer/NAME"
        yield Problem(issuer, "", bound, "ClusterIssuer/sessions", (authority,))


def _port_clash(spec: DeploymentSpec) -> Iterator[Problem]:
    fields = {"redis": "redis_port", "sentinel": "sentinel_port", "gateway": "https_port"}
    taken: dict[int, str] = {}
    for host, port in published_ports(spec).items():
        other = taken.setdefault(port, host)
        if other == host and port <= HIGHEST_PORT:
            continue
        field = fields[host.partition("-")[0]]
        bound = f"such that no port is used twice ({host} and {other} would both have {port})"
        yield Problem(
            ("target", field),
            getattr(spec.target, field),
            bound if other != host else f"low enough that {host} gets at most {HIGHEST_PORT}",
            type(spec.target).model_fields[field].default,
            (*(("target", name) for name in fields.values()), ("redis", "nodes"), ("sentinel", "nodes")),
        )
        return


def warnings(spec: DeploymentSpec) -> tuple[str, ...]:
    """Return what is allowed but takes something away from the sessions, each with its effect."""
    policy, found = spec.redis.maxmemory_policy, []
    if policy != "noeviction":
        victims = (
            "sessions, limits and counts of any user"
            if policy.startswith("allkeys")
            else "sessions of any user, however active"
        )
        found.append(
            f"redisMaxmemoryPolicy {policy}: a full Redis throws away {victims}: these users are logged out without "
            "a word, and what was revoked or confirmed as durable may be gone. "
            "With noeviction a full Redis refuses new logins, visibly, and keeps everyone else in."
        )
    if spec.redis.appendfsync == "no":
        found.append("redisAppendfsync no: a power failure of all nodes may take the last 30 seconds or more.")
    if not spec.redis.min_replicas_to_write:
        found.append(
            "redisMinReplicasToWrite 0: a primary cut off from its replicas goes on taking sessions, "
            "and the failover throws them away."
        )
    if not spec.session.wait_replicas:
        found.append("sessionWaitReplicas 0: no write is confirmed, so every session may be lost in a failover.")
    if spec.redis.source == "helm":
        found.append(
            "redisSource helm: the chart's Redis has one user, who may do everything; "
            "what is known of how it hands over before its pods stop is in docs/kubernetes.md."
        )
    if spec.service.replicas == 1:
        found.append("serviceReplicas 1: each update of the service is an outage.")
    if spec.keycloak.server_url and isinstance(spec.target, ComposeTarget) and not spec.target.publish:
        found.append(
            "compose.publish false: the network is internal, so the service reaches only a Keycloak that is in it."
        )
    target = spec.target
    if (
        isinstance(target, KubernetesTarget)
        and (target.ingress_class or target.gateway)
        and not target.client_ip_header
    ):
        found.append(
            "kubernetes.clientIpHeader is not set: all logins count as those of the ingress, and share its limit."
        )
    found += login_warnings(spec.auth, spec.jwt)
    return tuple(found)
