"""What the objects of a deployment have in common: metadata, least privilege, where pods may run."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from infra.render.kubernetes.names import REDIS, SENTINEL, Cluster

Object = dict[str, Any]
"""A Kubernetes object, or a part of one, as it stands in YAML."""
READ_ONLY = 0o440
TMP = {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}}
TMP_MOUNT = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108 - a file system of the container's own, in memory


def named(cluster: Cluster, api: str, kind: str, name: str, **fields: object) -> Object:
    """An object of the deployment's namespace."""
    labels = cluster.labels(name) | {"app.kubernetes.io/part-of": "redis-session-kit"}
    metadata = {"name": name, "namespace": cluster.namespace, "labels": labels}
    return {"apiVersion": api, "kind": kind, "metadata": metadata} | fields


def config_map(cluster: Cluster, name: str, data: Mapping[str, str]) -> Object:
    """Files that anybody may read."""
    return named(cluster, "v1", "ConfigMap", name, data=dict(data))


def disruption_budget(cluster: Cluster, part: str) -> Object:
    """One pod of `part` at a time may be evicted; one that does not work never keeps a machine from being drained."""
    spec = {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": cluster.labels(part)},
    }
    return named(cluster, "policy/v1", "PodDisruptionBudget", part, spec=spec)


def digest(*texts: object) -> str:
    """A hash of what a pod is made from: with another one, it is replaced."""
    return hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()[:32]


def pod_template(cluster: Cluster, part: str, files: str, user: int, spec: Object) -> Object:
    """The pods of `part`, which run as `user`; `files` is the digest of what they read."""
    priority_class, pull_secret = cluster.target.priority_class, cluster.target.image_pull_secret
    priority = {"priorityClassName": priority_class} if priority_class else {}
    registry = {"imagePullSecrets": [{"name": pull_secret}]} if pull_secret else {}
    return {
        "metadata": {"labels": cluster.labels(part), "annotations": {"redis-session-kit/files": files}},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": user,
                "runAsGroup": user,
                "fsGroup": user,
                # Without it, the owner of every file of a large volume is looked at whenever a pod starts.
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "affinity": _apart(cluster, part),
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "topology.kubernetes.io/zone",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": cluster.labels(part)},
                }
            ],
        }
        | priority
        | registry
        | _machines(cluster)
        | spec,
    }


def _machines(cluster: Cluster) -> Object:
    """Where pods must run and where they may, besides."""
    labels, taints = cluster.target.node_selector, cluster.target.tolerations
    selector = dict(each.split("=") for each in labels.split(",") if each)
    tolerations = [_toleration(each) for each in taints.split(",") if each]
    return ({"nodeSelector": selector} if selector else {}) | ({"tolerations": tolerations} if tolerations else {})


def _toleration(taint: str) -> Object:
    label, _, effect = taint.partition(":")
    key, equal, value = label.partition("=")
    wanted = {"operator": "Equal", "value": value} if equal else {"operator": "Exists"}
    return {"key": key} | wanted | {"effect": effect}


def container(name: str, image: str, memory_mib: int, cpu: str, **more: object) -> Object:
    """A container without privileges, with a read-only root file system and bounded memory."""
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # No limit of the CPU: a node that is throttled misses the Sentinels' deadline and is taken for dead.
        "resources": {"requests": {"cpu": cpu, "memory": f"{memory_mib}Mi"}, "limits": {"memory": f"{memory_mib}Mi"}},
    } | more


def items(source: str, name: str, paths: Mapping[str, str]) -> Object:
    """A source of a projected volume: keys of the `configMap` or `secret` called `name`, with the paths they get."""
    return {source: {"name": name, "items": [{"key": key, "path": path} for key, path in paths.items()]}}


def projected(volume: str, *sources: Object) -> Object:
    """A volume with files of several ConfigMaps and Secrets, for the pod's own user."""
    return {"name": volume, "projected": {"defaultMode": READ_ONLY, "sources": list(sources)}}


def _apart(cluster: Cluster, part: str) -> Object:
    """Only nodes have to be apart: an update of a Deployment has one pod more than there may be machines."""
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": cluster.labels(part)}}
    if cluster.target.anti_affinity == "required" and part in (REDIS, SENTINEL):
        return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    preferred = [{"weight": 100, "podAffinityTerm": term}]
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
