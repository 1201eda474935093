"""What the Prometheus Operator takes, where the stack asks for it: whom to scrape, and the alerts."""

from pathlib import Path

import yaml

from infra.render.kubernetes.names import EXPORTER, SESSION, Cluster
from infra.render.kubernetes.objects import Object, named
from infra.render.topology import Node

RULES = Path(__file__).parents[3] / "monitoring" / "rules" / "redis-session-kit.yaml"
API = "monitoring.coreos.com/v1"


def monitoring_objects(cluster: Cluster) -> list[Object]:
    """Jobs and labels are those that the alerts ask for (monitoring/prometheus.example.yaml)."""
    if not cluster.target.prometheus_release:
        return []
    nodes = [("session-redis", node) for node in cluster.redis]
    nodes += [("session-sentinel", node) for node in cluster.sentinels]
    return [
        _monitor(cluster, EXPORTER, [_through_exporter(cluster, job, node) for job, node in nodes]),
        _monitor(cluster, SESSION, [_endpoint(cluster, SESSION, "https", "session-service")]),
        _labelled(cluster, "PrometheusRule", "redis-session-kit", yaml.safe_load(RULES.read_text(encoding="utf-8"))),
    ]


def _monitor(cluster: Cluster, part: str, endpoints: list[Object]) -> Object:
    # Not by `instance`, where Argo CD writes the name of its application; the Service is in the same namespace.
    selector = {"matchLabels": {"app.kubernetes.io/name": part, "app.kubernetes.io/part-of": "redis-session-kit"}}
    spec = {"selector": selector, "endpoints": endpoints}
    return _labelled(cluster, "ServiceMonitor", part, spec)


def _labelled(cluster: Cluster, kind: str, name: str, spec: Object) -> Object:
    found = named(cluster, API, kind, name, spec=spec)
    found["metadata"]["labels"] |= {"release": cluster.target.prometheus_release}
    return found


def _through_exporter(cluster: Cluster, job: str, node: Node) -> Object:
    """One exporter asks every node: the node is a parameter."""
    more = {"path": "/scrape", "params": {"target": [f"rediss://{node}"]}}
    return _endpoint(cluster, EXPORTER, "metrics", job, ("instance", str(node))) | more


def _endpoint(cluster: Cluster, part: str, port: str, job: str, *labels: tuple[str, str]) -> Object:
    wanted = (("job", job), ("deployment", cluster.name), *labels)
    return {
        "port": port,
        "scheme": "https",
        "tlsConfig": {"ca": {"secret": {"name": part, "key": "ca.crt"}}, "serverName": cluster.domain(part)},
        "relabelings": [{"targetLabel": name, "replacement": value} for name, value in wanted],
    }
