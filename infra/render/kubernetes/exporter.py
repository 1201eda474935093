"""Redis and Sentinel metrics for a Prometheus in the cluster: `/scrape?target=rediss://<pod>.redis.<namespace>...`."""

from collections.abc import Mapping

from infra.render.kubernetes.charts import ONLY_USER
from infra.render.kubernetes.names import EXPORTER, Cluster
from infra.render.kubernetes.objects import Object, container, digest, items, named, pod_template, projected
from infra.render.session_settings import exporter_settings
from infra.render.topology import EXPORTER_PORT, KIT

USER = 59_000


def exporter_objects(cluster: Cluster, secrets: Mapping[str, str]) -> list[Object]:
    """One exporter for all Redis nodes and Sentinels."""
    files = {"passwords.json": "passwords.json", "ca.crt": "tls/ca.crt"}
    pair = items("secret", cluster.pair_of(EXPORTER), {"tls.crt": "tls/node.crt", "tls.key": "tls/node.key"})
    pods = {
        "containers": [_exporter(cluster)],
        "volumes": [projected("kit", items("secret", EXPORTER, files), pair)],
    }
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": cluster.labels(EXPORTER)},
        "template": pod_template(cluster, EXPORTER, digest(secrets[EXPORTER]), USER, pods),
    }
    ports = [{"name": "metrics", "port": EXPORTER_PORT, "targetPort": "metrics"}]
    return [
        named(cluster, "v1", "Service", EXPORTER, spec={"selector": cluster.labels(EXPORTER), "ports": ports}),
        named(cluster, "apps/v1", "Deployment", EXPORTER, spec=spec),
    ]


def _exporter(cluster: Cluster) -> Object:
    return container(
        EXPORTER,
        cluster.spec.exporter.image,
        64,
        "50m",
        env=[{"name": name, "value": value} for name, value in _settings(cluster).items()],
        ports=[{"name": "metrics", "containerPort": EXPORTER_PORT}],
        volumeMounts=[{"name": "kit", "mountPath": KIT, "readOnly": True}],
        readinessProbe={"httpGet": {"path": "/health", "port": "metrics", "scheme": "HTTPS"}, "periodSeconds": 10},
    )


def _settings(cluster: Cluster) -> Mapping[str, str]:
    return exporter_settings() | ({"REDIS_USER": ONLY_USER} if cluster.chart else {})
