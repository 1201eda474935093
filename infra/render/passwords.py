"""Who has a password in a deployment, and what each part reads of them, whatever the target: texts by file name."""

import json
from collections.abc import Iterable, Mapping

from infra.render.session_settings import login_secrets
from infra.render.topology import Node
from infra.render.users_acl import REDIS_RULES
from infra.spec import DeploymentSpec

USERS = tuple(REDIS_RULES)
"""ACL users of a deployment, each with one password for the Redis nodes and the Sentinels."""
ADMIN_TOKEN = "admin-token"  # noqa: S105 - a name
"""The session service's own credential, beside the passwords of USERS."""


def service_secrets(spec: DeploymentSpec, passwords: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Variables of the session service; `given` are the secrets of the stack itself, by key."""
    return {
        "REDIS_PASSWORD": passwords["sessions"],
        "REDIS_SENTINEL_PASSWORD": passwords["sessions"],
        "SESSION_ADMIN_TOKEN": passwords[ADMIN_TOKEN],
        **{variable: given[key] for variable, key in login_secrets(spec).items()},
    }


def functions_secrets(passwords: Mapping[str, str]) -> dict[str, str]:
    """Variables of what loads the function library."""
    return {
        "REDIS_DEPLOY_USERNAME": "deploy",
        "REDIS_DEPLOY_PASSWORD": passwords["deploy"],
        "REDIS_SENTINEL_PASSWORD": passwords["sessions"],
    }


def exporter_secrets(nodes: Iterable[Node], passwords: Mapping[str, str], user: str = "exporter") -> dict[str, str]:
    """The file that the exporter finds its password in, by the address of a Redis node or Sentinel."""
    return {"passwords.json": json.dumps({f"rediss://{user}@{node}": passwords["exporter"] for node in nodes})}
