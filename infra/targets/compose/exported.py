"""What a deployment of this target exports, in the form of `infra.outputs`; the same with and without Pulumi."""

from collections.abc import Mapping
from typing import Any

from infra.render.compose import project_name
from infra.render.topology import topology
from infra.spec import ComposeTarget, DeploymentSpec, target_of
from infra.targets.exported import FEATURES, common

FAULTS = ("kill", "pause", "partition", "restart", "admin_config")


def outputs(name: str, spec: DeploymentSpec, ca_pem: object, passwords: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `infra.outputs.StackOutputs`; `ca_pem` and `passwords` are text, or Pulumi's outputs of it."""
    parts, target = topology(spec), target_of(spec, ComposeTarget)
    return common(spec, ca_pem, passwords) | {
        "location": {"compose_project": project_name(name)},
        "url": f"https://localhost:{target.https_port}",
        "redis_nodes": [str(node) for node in parts.redis],
        "sentinels": [str(node) for node in parts.sentinels],
        "address_map": "*=127.0.0.1" if target.publish else "",
        "features": [*FEATURES, *FAULTS],
    }
