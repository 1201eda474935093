"""What the deployments of every target that runs Redis itself export alike, in the form of `infra.outputs`."""

from collections.abc import Mapping
from typing import Any

from infra.outputs import SCHEMA_VERSION
from infra.render.passwords import ADMIN_TOKEN
from infra.render.session_settings import session_settings
from infra.spec import DeploymentSpec

FEATURES = ("sentinel", "tls", "acl", "aof", "rdb", "wait", "waitaof", "min_replicas")


def common(spec: DeploymentSpec, ca_pem: object, passwords: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `infra.outputs.StackOutputs`; `ca_pem` and `passwords` are text, or Pulumi's outputs of it."""
    durability = {
        "append_only": spec.redis.appendfsync,
        "snapshots": spec.redis.save,
        "replicas": spec.redis.nodes - 1,
        "min_replicas_to_write": spec.redis.min_replicas_to_write,
        "wait_replicas": spec.session.wait_replicas,
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "target": spec.target.kind,
        "ca_pem": ca_pem,
        "master_name": spec.sentinel.master_name,
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
