"""Redis nodes and Sentinels: one StatefulSet each, whose pods find out their role at run time, as in every target."""

from collections.abc import Mapping
from dataclasses import dataclass

from infra.render.entrypoints import script
from infra.render.kubernetes.names import (
    REDIS,
    REDIS_PORT,
    SENTINEL,
    SENTINEL_PORT,
    WAITING_ROOM_PORT,
    Cluster,
)
from infra.render.kubernetes.objects import (
    TMP,
    TMP_MOUNT,
    Object,
    config_map,
    container,
    digest,
    disruption_budget,
    items,
    named,
    pod_template,
    projected,
)
from infra.render.redis_conf import node_mebibytes, redis_conf
from infra.render.sentinel_conf import sentinel_conf
from infra.render.topology import KIT, Node
from infra.spec import RedisSpec

USER = 999
"""Of the official images of Redis and Valkey."""
FILES = "/run/files"
HANDOVER = (
    f'said=$(sh {KIT}/ctl.sh handover 2>&1); [ "$said" = done ] || '
    '{ echo "not handed over before the stop: $said" >/proc/1/fd/1; exit 1; }'
)
"""What a hook prints is seen nowhere: a failure is in the log of the node, and Kubernetes makes an event of it."""
START = f'cp -Rf {FILES}/all/. "{FILES}/$POD/." {KIT}/ && exec sh {KIT}/entrypoint.sh'
"""A changed ConfigMap or Secret shows in the volumes of running pods: a node keeps a copy of what it started with."""
SECONDS_TO_SETTLE = 15
"""Between two pods of a rolling update: Sentinel looks at a replica every 10 s, and a new one has to be electable."""
SECONDS_TO_STOP = 60
"""For the handover (`ctl.sh`: at most 28 s), then for replicas to catch up (`shutdown-timeout`: 10 s)."""


@dataclass(frozen=True)
class _Kind:
    """All nodes of one kind."""

    name: str
    nodes: tuple[Node, ...]
    confs: Mapping[str, str]
    """Configuration file of each pod."""
    container: Object
    storage: str

    @property
    def files(self) -> dict[str, str]:
        """What all nodes have in common, and each one's own configuration."""
        own = {f"{pod}.conf": conf for pod, conf in self.confs.items()}
        return {"entrypoint.sh": script(self.name), "ctl.sh": script("ctl")} | own


def pod_mebibytes(redis: RedisSpec) -> int:
    """Memory of a pod of Redis, in MiB: with what is in memory there instead of on a disk."""
    return node_mebibytes(redis) + 48


def redis_objects(cluster: Cluster, secrets: Mapping[str, str]) -> list[Object]:
    """The Redis nodes."""
    redis = cluster.spec.redis
    confs = {_pod(node): redis_conf(redis, node) for node in cluster.redis}
    node = container(
        REDIS,
        redis.image,
        pod_mebibytes(redis),
        "250m",
        ports=[_port("redis", REDIS_PORT), _port("waiting-room", WAITING_ROOM_PORT)],
        # Not ready before the first sync is complete: a rolling update waits for that. A node that waits for its role,
        # loads its data or copies it is alive, so nothing kills it; for the same reason there is no liveness probe.
        readinessProbe=_probe(f"sh {KIT}/ctl.sh ping && [ ! -e /data/kit-unsynced ]"),
        lifecycle={"preStop": {"exec": {"command": ["sh", "-c", HANDOVER]}}},
    )
    kind = _Kind(REDIS, cluster.redis, confs, node, cluster.target.redis_storage)
    return _stateful(cluster, kind, secrets[REDIS])


def sentinel_objects(cluster: Cluster, secrets: Mapping[str, str]) -> list[Object]:
    """The Sentinels. Each has a volume for what it has learned: a vote that is forgotten could be cast twice."""
    spec = cluster.spec
    confs = {_pod(node): sentinel_conf(spec.sentinel, node, cluster.name) for node in cluster.sentinels}
    node = container(
        SENTINEL,
        spec.redis.image,
        64 + 48,
        "100m",
        ports=[_port("sentinel", SENTINEL_PORT)],
        readinessProbe=_probe(f"sh {KIT}/ctl.sh ping"),
    )
    return _stateful(cluster, _Kind(SENTINEL, cluster.sentinels, confs, node, "128Mi"), secrets[SENTINEL])


def _pod(node: Node) -> str:
    """The pod of a node."""
    return node.name.partition(".")[0]


def _stateful(cluster: Cluster, kind: _Kind, secret: str) -> list[Object]:
    name, files = kind.name, kind.files
    mounts = [("files", FILES), ("kit", KIT), ("run", "/run/redis"), ("data", "/data")]
    node = kind.container | {
        "command": ["sh", "-c", START],
        "env": _environment(cluster, name),
        "volumeMounts": [*({"name": volume, "mountPath": path} for volume, path in mounts), TMP_MOUNT],
    }
    pods = {
        "terminationGracePeriodSeconds": SECONDS_TO_STOP,
        # A name that is not there must fail at once: Sentinel looks names up while it should be answering.
        "dnsConfig": {"options": [{"name": "timeout", "value": "1"}, {"name": "attempts", "value": "2"}]},
        "containers": [node],
        "volumes": [_projection(kind, cluster.pair_of(name)), _in_memory("kit"), _in_memory("run"), TMP],
    }
    spec = {
        "serviceName": name,
        "replicas": len(kind.nodes),
        # All at once: which node is to be primary is decided by a majority of them.
        "podManagementPolicy": "Parallel",
        "minReadySeconds": SECONDS_TO_SETTLE,
        "persistentVolumeClaimRetentionPolicy": {
            "whenDeleted": "Delete" if cluster.target.delete_data else "Retain",
            "whenScaled": "Retain",
        },
        "selector": {"matchLabels": cluster.labels(name)},
        "template": pod_template(cluster, name, digest(files, secret), USER, pods),
        "volumeClaimTemplates": [_claim(cluster, kind.storage)],
    }
    return [
        config_map(cluster, name, files),
        _headless(cluster, name, kind.nodes[0].port),
        disruption_budget(cluster, name),
        named(cluster, "apps/v1", "StatefulSet", name, spec=spec),
    ]


def _environment(cluster: Cluster, kind: str) -> list[Object]:
    values = {
        "NODE": f"$(POD).{cluster.domain(kind)}",
        "NODES": " ".join(map(str, cluster.redis)),
        "SENTINELS": " ".join(map(str, cluster.sentinels)),
        "MASTER_NAME": cluster.spec.sentinel.master_name,
    }
    own_name = {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    return [own_name, *({"name": name, "value": value} for name, value in values.items())]


def _projection(kind: _Kind, pair: str) -> Object:
    """Every file as the entrypoints expect it: those of all nodes in `all`, those of one in a folder of its name.

    `pair`: the Secret with certificate and key.
    """
    common = {name: f"all/{name}" for name in ("entrypoint.sh", "ctl.sh")}
    own = {f"{pod}.conf": f"{pod}/{kind.name}.conf" for pod in kind.confs}
    secret = {name: f"all/{name}" for name in ("auth.conf", "users.acl", "node.password")}
    secret["ca.crt"] = "all/tls/ca.crt"
    return projected(
        "files",
        items("configMap", kind.name, common | own),
        items("secret", kind.name, secret),
        items("secret", pair, {"tls.crt": "all/tls/node.crt", "tls.key": "all/tls/node.key"}),
    )


def _in_memory(volume: str) -> Object:
    return {"name": volume, "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}}


def _headless(cluster: Cluster, kind: str, port: int) -> Object:
    """Names for the pods, also for those that are not ready: they have to find each other to become so."""
    spec = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": cluster.labels(kind),
        "ports": [{"name": kind, "port": port}],
    }
    return named(cluster, "v1", "Service", kind, spec=spec)


def _claim(cluster: Cluster, storage: str) -> Object:
    spec: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}}
    if cluster.target.storage_class:
        spec["storageClassName"] = cluster.target.storage_class
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": spec}


def _port(name: str, port: int) -> Object:
    return {"name": name, "containerPort": port}


def _probe(command: str) -> Object:
    return {"exec": {"command": ["sh", "-c", command]}, "periodSeconds": 5, "timeoutSeconds": 4, "failureThreshold": 3}
