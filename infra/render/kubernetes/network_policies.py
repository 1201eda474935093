"""Who may talk to whom. All else is refused, in both directions, by a network that enforces policies."""

from urllib.parse import urlsplit

from infra.render.kubernetes.names import (
    EXPORTER,
    REDIS,
    REDIS_PORT,
    SENTINEL,
    SENTINEL_PORT,
    SESSION,
    WAITING_ROOM_PORT,
    Cluster,
)
from infra.render.kubernetes.objects import Object, named
from infra.render.topology import EXPORTER_PORT, SERVICE_PORT

CLIENT = {"redis-session-kit/client": "true"}
"""Label of the pods of applications that use the session library themselves, in whatever namespace."""
DNS = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}

PORTS = {"https": 443, "http": 80}


def network_policies(cluster: Cluster) -> list[Object]:
    """One policy for each kind of pods. What anybody may reach has TLS, and but for metrics asks for a credential.

    A chart's pods have both Redis and Sentinel, and whatever policy that chart makes.
    """
    redis, exporter = _pods(cluster, REDIS), _pods(cluster, EXPORTER)
    sentinel = redis if cluster.chart else _pods(cluster, SENTINEL)
    clients = [_pods(cluster, SESSION), {"namespaceSelector": {}, "podSelector": {"matchLabels": CLIENT}}]
    to_stores = [_to([redis], cluster.redis_port), _to([sentinel], SENTINEL_PORT), DNS]
    readers = [
        _policy(cluster, SESSION, [{"ports": _ports(SERVICE_PORT)}], [*to_stores, *_to_others(cluster)]),
        _policy(
            cluster, EXPORTER, [_from([_namespaces(cluster.target.prometheus_namespace)], EXPORTER_PORT)], to_stores
        ),
    ]
    if cluster.chart:
        return readers
    return [
        _policy(
            cluster,
            REDIS,
            [_from([redis, sentinel, exporter, *clients], REDIS_PORT), _from([redis], WAITING_ROOM_PORT)],
            [_to([redis], REDIS_PORT, WAITING_ROOM_PORT), _to([sentinel], SENTINEL_PORT), DNS],
        ),
        _policy(cluster, SENTINEL, [_from([redis, sentinel, exporter, *clients], SENTINEL_PORT)], to_stores),
        *readers,
    ]


def _to_others(cluster: Cluster) -> list[Object]:
    """Ports of Keycloak and of who receives traces, wherever they are: a policy knows no names."""
    urls = [urlsplit(url) for url in (cluster.spec.keycloak.server_url, cluster.spec.telemetry.endpoint)]
    return [{"ports": _ports(url.port or PORTS[url.scheme])} for url in urls if url.hostname]


def _policy(cluster: Cluster, part: str, ingress: list[Object], egress: list[Object]) -> Object:
    spec = {
        "podSelector": {"matchLabels": cluster.labels(part)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": ingress,
        "egress": egress,
    }
    return named(cluster, "networking.k8s.io/v1", "NetworkPolicy", part, spec=spec)


def _pods(cluster: Cluster, part: str) -> Object:
    return {"podSelector": {"matchLabels": cluster.labels(part)}}


def _namespaces(name: str) -> Object:
    """All pods of the namespace of this name, or of every one."""
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}} if name else {}}


def _from(peers: list[Object], *ports: int) -> Object:
    return {"from": peers, "ports": _ports(*ports)}


def _to(peers: list[Object], *ports: int) -> Object:
    return {"to": peers, "ports": _ports(*ports)}


def _ports(*ports: int) -> list[Object]:
    return [{"protocol": "TCP", "port": port} for port in ports]
