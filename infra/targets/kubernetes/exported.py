"""What a deployment of this target exports, in the form of `infra.outputs`."""

from collections.abc import Mapping
from typing import Any

from infra.render.kubernetes import Cluster
from infra.render.kubernetes.charts import ONLY_USER, of_one_user
from infra.render.kubernetes.names import SESSION
from infra.targets.exported import FEATURES, common

FAULTS = ("kill", "restart", "admin_config")


def outputs(cluster: Cluster, ca_pem: object, passwords: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `infra.outputs.StackOutputs`; addresses are those inside of the cluster."""
    if cluster.chart:
        passwords = of_one_user(passwords)
    shared = common(cluster.spec, ca_pem, passwords)
    users = {"users": dict.fromkeys(shared["users"], ONLY_USER)} if cluster.chart else {}
    features = [each for each in (*FEATURES, *FAULTS) if not (cluster.chart and each == "acl")]
    return (
        shared
        | users
        | {
            "location": {"context": cluster.target.context, "namespace": cluster.namespace},
            "url": f"https://{cluster.domain(SESSION)}",
            "redis_nodes": [str(node) for node in cluster.redis],
            "sentinels": [str(node) for node in cluster.sentinels],
            "address_map": "",
            "features": features,
        }
    )
