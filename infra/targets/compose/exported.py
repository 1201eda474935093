"""What a deployment of this target exports, in the form of `infra.outputs`; the same with and without Pulumi."""

from collections.abc import Mapping
from typing import Any

from infra.outputs import SCHEMA_VERSION
from infra.render.compose import project_name
from infra.render.project import ADMIN_TOKEN
from infra.render.session_settings import session_settings
from infra.render.topology import topology
from infra.spec import DeploymentSpec

FEATURES = (
    *("sentinel", "tls", "acl", "aof", "rdb", "wait", "waitaof", "min_replicas"),
    *("kill", "pause", "partition", "restart", "admin_config"),
)


def outputs(name: str, spec: DeploymentSpec, ca_pem: object, passwords: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `infra.outputs.StackOutputs`; `ca_pem` and `passwords` are text, or Pulumi's outputs of it."""
    parts = topology(spec)
    durability = {
        "append_only": spec.redis.appendfsync,
        "snapshots": spec.redis.save,
        "replicas": spec.redis.nodes - 1,
        "min_replicas_to_write": spec.redis.min_replicas_to_write,
        "wait_replicas": spec.session.wait_replicas,
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "target": "compose",
        "location": {"compose_project": project_name(name)},
        "url": f"https://localhost:{spec.target.https_port}",
        "ca_pem": ca_pem,
        "redis_nodes": [str(node) for node in parts.redis],
        "sentinels": [str(node) for node in parts.sentinels],
        "master_name": parts.master_name,
        "address_map": "*=127.0.0.1" if spec.target.publish else "",
        "features": list(FEATURES),
        "durability_requested": durability,
        "durability_delivered": durability,
        "session_settings": session_settings(spec),
        "users": {
            "sessions": "sessions",
            "sentinel": "sessions",
            "exporter": "exporter",
            "deploy": "deploy",
            "admin": "admin",
        },
        "sessions_password": passwords["sessions"],
        "sentinel_password": passwords["sessions"],
        "exporter_password": passwords["exporter"],
        "deploy_password": passwords["deploy"],
        "admin_password": passwords["admin"],
        "admin_token": passwords[ADMIN_TOKEN],
    }
