"""Redis and Sentinel of a Helm chart of others: the values that the spec decides, and how its one user is called.

The rest of the values is in helm-values/<chart>: `base.yaml`, and `production.yaml` where pods have to be on different
machines. The names of values are those of the charts' values.yaml of these versions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from infra.render.kubernetes.names import REDIS, Cluster
from infra.render.kubernetes.nodes import pod_mebibytes
from infra.render.kubernetes.objects import Object
from infra.render.passwords import ADMIN_TOKEN
from infra.render.redis_conf import data_conf, replicas_conf

ONLY_USER = "default"
CHART_PASSWORD = "redis-password"  # noqa: S105 - a name


@dataclass(frozen=True)
class Chart:
    """A chart, and the values of it that the spec decides."""

    reference: str
    """As helm takes it: a name in `repository`, an address or a path."""
    version: str
    decided: Callable[[Cluster], Object]
    repository: str = ""
    """Of charts; empty where the reference says it all."""


def chart_of(cluster: Cluster) -> Chart:
    """The chart of a deployment, from where its settings say that it is."""
    chart, source = CHARTS[cluster.chart], cluster.target.chart_source
    return replace(chart, reference=source, repository="") if source else chart


def of_one_user(passwords: Mapping[str, str]) -> dict[str, str]:
    """Passwords by user, where all users are one."""
    return {**dict.fromkeys(passwords, passwords["sessions"]), ADMIN_TOKEN: passwords[ADMIN_TOKEN]}


def sentinel_user(cluster: Cluster) -> dict[str, str]:
    """The variable of the session library for the user of the Sentinels, where it is another one than the kit's."""
    return {"REDIS_SENTINEL_USERNAME": ONLY_USER} if cluster.chart else {}


def _bitnami(cluster: Cluster) -> Object:
    spec = cluster.spec
    return _common(cluster) | {
        "architecture": "replication",
        "auth": {"enabled": True, "sentinel": True, **_password()},
        "tls": {"enabled": True, "authClients": False, "existingSecret": REDIS, **_files("certKeyFilename")},
        "commonConfiguration": _conf([*data_conf(spec.redis), *replicas_conf(spec.redis)]),
        "replica": {
            "replicaCount": spec.redis.nodes,
            "persistence": _volume(cluster),
            "resources": _resources(cluster),
            "priorityClassName": cluster.target.priority_class,
        },
        "sentinel": {"enabled": True, "masterSet": spec.sentinel.master_name, **_timing(cluster)},
    }


def _cagriekin(cluster: Cluster) -> Object:
    spec = cluster.spec
    config: Object = dict(line.split(" ", 1) for line in data_conf(spec.redis))
    # Its schema takes these as numbers alone.
    config |= {key: int(value) for key, value in (line.split(" ") for line in replicas_conf(spec.redis))}
    points = config.pop("save").split() if spec.redis.save else []
    snapshots = [
        {"seconds": int(seconds), "changes": int(changes)}
        for seconds, changes in zip(points[::2], points[1::2], strict=True)
    ]
    config.pop("save", None)
    config.pop("appendonly")  # always, in this chart
    return _common(cluster) | {
        "architecture": "replication",
        "redis": {
            "image": _image(cluster),
            "replicaCount": spec.redis.nodes - 1,
            "persistence": {"enabled": True, **_volume(cluster)},
            "resources": _resources(cluster),
            "priorityClassName": cluster.target.priority_class,
            "auth": {"enabled": True, "existingSecret": {"name": REDIS, "key": CHART_PASSWORD}},
            "config": config | {"rdbSnapshots": snapshots},
        },
        "sentinel": {"image": _image(cluster), "masterName": spec.sentinel.master_name, **_timing(cluster)},
        "tls": {"enabled": True, "existingSecret": REDIS, "clientCertAuth": False},
    }


def _cloudpirates(cluster: Cluster) -> Object:
    spec = cluster.spec
    image = {"registry": "", **_image(cluster)} if "/" in spec.redis.image else _image(cluster)
    return _common(cluster) | {
        "architecture": "replication",
        "image": image,
        "replicaCount": spec.redis.nodes,
        "auth": {"enabled": True, "sentinel": True, **_password()},
        "tls": {
            "enabled": True,
            "authClients": False,
            "port": cluster.redis_port,
            "existingSecret": REDIS,
            **_files("certKeyFilename"),
        },
        # Its own `min-slaves-to-write 0` stands before these lines.
        "extraConfig": _conf([*data_conf(spec.redis), *replicas_conf(spec.redis)]),
        "persistence": {"enabled": True, **_volume(cluster)},
        "resources": _resources(cluster),
        "priorityClassName": cluster.target.priority_class,
        "sentinel": {"enabled": True, "image": image, "masterName": spec.sentinel.master_name, **_timing(cluster)},
    }


CHARTS: Mapping[str, Chart] = {
    "bitnami": Chart("oci://registry-1.docker.io/bitnamicharts/redis", "23.1.1", _bitnami),
    "cagriekin": Chart("redis", "1.5.2", _cagriekin, "https://cagriekin.github.io/charts"),
    "cloudpirates": Chart("oci://registry-1.docker.io/cloudpirates/redis", "0.34.18", _cloudpirates),
}


def _common(cluster: Cluster) -> Object:
    return {"fullnameOverride": REDIS, "clusterDomain": cluster.target.cluster_domain}


def _password() -> Object:
    return {"existingSecret": REDIS, "existingSecretPasswordKey": CHART_PASSWORD}


def _files(key: str) -> Object:
    return {"certFilename": "tls.crt", key: "tls.key", "certCAFilename": "ca.crt"}


def _volume(cluster: Cluster) -> Object:
    return {"size": cluster.target.redis_storage, "storageClass": cluster.target.storage_class}


def _resources(cluster: Cluster) -> Object:
    """As for the kit's own nodes."""
    memory = f"{pod_mebibytes(cluster.spec.redis)}Mi"
    return {"requests": {"memory": memory}, "limits": {"memory": memory}}


def _image(cluster: Cluster) -> Object:
    repository, _, tag = cluster.spec.redis.image.rpartition(":")
    return {"repository": repository, "tag": tag}


def _timing(cluster: Cluster) -> Object:
    sentinel = cluster.spec.sentinel
    return {
        "quorum": sentinel.quorum,
        "downAfterMilliseconds": sentinel.down_after_ms,
        "failoverTimeout": sentinel.failover_timeout_ms,
    }


def _conf(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
