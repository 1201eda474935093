"""Kubernetes objects as data: those that anybody may read, and the Secrets apart."""

from collections.abc import Mapping

from infra.render.kubernetes.certificates import certificate_objects
from infra.render.kubernetes.exporter import exporter_objects
from infra.render.kubernetes.monitoring import monitoring_objects
from infra.render.kubernetes.names import Cluster
from infra.render.kubernetes.network_policies import network_policies
from infra.render.kubernetes.nodes import redis_objects, sentinel_objects
from infra.render.kubernetes.objects import Object
from infra.render.kubernetes.routes import route_objects
from infra.render.kubernetes.secrets import secret_objects
from infra.render.kubernetes.service import service_objects

__all__ = ["Cluster", "Object", "plain_objects", "secret_objects"]


def plain_objects(cluster: Cluster, secrets: Mapping[str, str], ca: str) -> dict[str, list[Object]]:
    """Objects without secrets, by the name of their file, which sorts as they have to be applied.

    `secrets`: a hash of each Secret by its name, so that a change of one replaces the pods that read it.
    `ca`: PEM of the authority that every part trusts.
    """
    files = {
        "00-namespace": [_namespace(cluster)] if cluster.target.create_namespace else [],
        "10-network-policies": network_policies(cluster),
        "10-certificates": certificate_objects(cluster),
        "20-redis": [] if cluster.chart else redis_objects(cluster, secrets),
        "30-sentinel": [] if cluster.chart else sentinel_objects(cluster, secrets),
        "40-session": service_objects(cluster, secrets),
        "50-exporter": exporter_objects(cluster, secrets),
        "60-routes": route_objects(cluster, ca),
        "70-monitoring": monitoring_objects(cluster),
    }
    return {name: objects for name, objects in files.items() if objects}


def _namespace(cluster: Cluster) -> Object:
    levels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": cluster.namespace, "labels": {"app.kubernetes.io/part-of": "redis-session-kit"} | levels},
    }
