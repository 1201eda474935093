"""All files of a compose project, by path: those that anybody may read, and those with secrets in them."""

from collections.abc import Mapping

from infra.render.compose import compose_yaml
from infra.render.entrypoints import script
from infra.render.gateway_conf import gateway_conf
from infra.render.passwords import exporter_secrets, functions_secrets, service_secrets
from infra.render.redis_conf import redis_auth_conf, redis_conf
from infra.render.sentinel_conf import sentinel_auth_conf, sentinel_conf
from infra.render.topology import KEYCLOAK_CA, TLS, topology
from infra.render.users_acl import REDIS_RULES, SENTINEL_RULES, users_acl
from infra.spec import ComposeTarget, DeploymentSpec, target_of


def plain_files(spec: DeploymentSpec, deployment: str) -> dict[str, str]:
    """Files without secrets, by path in the project's directory."""
    parts = topology(spec)
    gateway = gateway_conf(target_of(spec, ComposeTarget).https_port, spec.session.deadline_seconds)
    files = {"compose.yaml": compose_yaml(spec, deployment), "gateway/nginx.conf": gateway}
    for node in parts.redis:
        files[f"{node.name}/redis.conf"] = redis_conf(spec.redis, node)
        files[f"{node.name}/entrypoint.sh"] = script("redis")
    for node in parts.sentinels:
        files[f"{node.name}/sentinel.conf"] = sentinel_conf(spec.sentinel, node, deployment)
        files[f"{node.name}/entrypoint.sh"] = script("sentinel")
    for node in (*parts.redis, *parts.sentinels):
        files[f"{node.name}/ctl.sh"] = script("ctl")
    if spec.keycloak.ca_pem:
        name = KEYCLOAK_CA.removeprefix(f"{TLS}/")
        files |= {f"{service}/tls/{name}": spec.keycloak.ca_pem for service in parts.services}
    return files


def secret_files(
    spec: DeploymentSpec,
    passwords: Mapping[str, str],
    ca: str,
    certificates: Mapping[str, tuple[str, str]],
    given: Mapping[str, str],
) -> dict[str, str]:
    """Files with secrets, by path.

    `passwords` by infra.render.passwords.USERS and ADMIN_TOKEN, `ca` as PEM, `certificates` by part: PEM of certificate
    and private key, `given` the secrets of the stack itself, by the keys that `login_secrets` names.
    """
    parts = topology(spec)
    files = {}
    for node in parts.redis:
        files[f"{node.name}/auth.conf"] = redis_auth_conf(passwords["replication"])
        files[f"{node.name}/users.acl"] = users_acl(REDIS_RULES, passwords)
    for node in parts.sentinels:
        files[f"{node.name}/auth.conf"] = sentinel_auth_conf(spec.sentinel, passwords["sentinel"])
        files[f"{node.name}/users.acl"] = users_acl(SENTINEL_RULES, passwords)
    for node in (*parts.redis, *parts.sentinels):
        files[f"{node.name}/node.password"] = passwords["node"]
    for name in parts.services:
        files |= _in(f"{name}/secrets", service_secrets(spec, passwords, given))
    files |= _in("functions/secrets", functions_secrets(passwords))
    files["functions/tls/ca.crt"] = ca
    files |= _in("exporter", exporter_secrets((*parts.redis, *parts.sentinels), passwords))
    for name in parts.certified:
        files[f"{name}/tls/ca.crt"] = ca
        files[f"{name}/tls/node.crt"] = certificates[name][0]
        files[f"{name}/tls/node.key"] = certificates[name][1]
    return files


def _in(folder: str, files: Mapping[str, str]) -> dict[str, str]:
    return {f"{folder}/{name}": text for name, text in files.items()}
