"""What a deployment of this target exports, in the form of `infra.outputs`."""

from collections.abc import Mapping
from typing import Any

from infra.render.kubernetes import Cluster
from infra.render.kubernetes.names import SESSION
from infra.targets.exported import FEATURES, common

FAULTS = ("kill", "restart", "admin_config")


def outputs(cluster: Cluster, ca_pem: object, passwords: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `infra.outputs.StackOutputs`; addresses are those inside of the cluster."""
    return common(cluster.spec, ca_pem, passwords) | {
        "location": {"namespace": cluster.namespace},
        "url": f"https://{cluster.domain(SESSION)}",
        "redis_nodes": [str(node) for node in cluster.redis],
        "sentinels": [str(node) for node in cluster.sentinels],
        "address_map": "",
        "features": [*FEATURES, *FAULTS],
    }
