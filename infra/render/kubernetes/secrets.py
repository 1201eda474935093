"""Secrets: one for each kind of pods, with what these read and no more."""

import base64
from collections.abc import Mapping

from infra.render.kubernetes.charts import CHART_PASSWORD, ONLY_USER, of_one_user
from infra.render.kubernetes.names import EXPORTER, REDIS, SENTINEL, SESSION, Cluster
from infra.render.kubernetes.objects import Object, named
from infra.render.kubernetes.service import DEPLOY_SECRET, KEYCLOAK_CA_ITEM
from infra.render.passwords import exporter_secrets, functions_secrets, service_secrets
from infra.render.redis_conf import redis_auth_conf
from infra.render.sentinel_conf import sentinel_auth_conf
from infra.render.users_acl import REDIS_RULES, SENTINEL_RULES, users_acl


def secret_objects(
    cluster: Cluster,
    passwords: Mapping[str, str],
    ca: str,
    certificates: Mapping[str, tuple[str, str]],
    given: Mapping[str, str],
    *others: Mapping[str, str],
) -> dict[str, Object]:
    """Secrets by name.

    `passwords` by infra.render.passwords.USERS and ADMIN_TOKEN, `ca` as PEM, `certificates` by the parts of
    `cluster.own_certificates`: PEM of certificate and private key, `given` the secrets of the stack itself, by the keys
    that `login_secrets` names, `others` passwords that Redis and the Sentinels take beside those.
    """
    nodes = (*cluster.redis, *cluster.sentinels)
    if cluster.chart:
        passwords = of_one_user(passwords)
        stores = {REDIS: {CHART_PASSWORD: passwords["sessions"]}}
        readers = {
            DEPLOY_SECRET: functions_secrets(passwords) | {"REDIS_DEPLOY_USERNAME": ONLY_USER},
            EXPORTER: exporter_secrets(nodes, passwords, ONLY_USER),
        }
    else:
        stores = _stores(cluster, passwords, *others)
        readers = {DEPLOY_SECRET: functions_secrets(passwords), EXPORTER: exporter_secrets(nodes, passwords)}
    texts = stores | {SESSION: service_secrets(cluster.spec, passwords, given)} | readers
    if cluster.spec.keycloak.ca_pem:
        texts[SESSION][KEYCLOAK_CA_ITEM] = cluster.spec.keycloak.ca_pem
    for part in cluster.certified:
        texts[part]["ca.crt"] = ca
    for part in cluster.own_certificates:
        certificate, key = certificates[part]
        texts[part] |= {"tls.crt": certificate, "tls.key": key}
    return {name: _secret(cluster, name, data) for name, data in texts.items()}


def _stores(cluster: Cluster, passwords: Mapping[str, str], *others: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {
        REDIS: {
            "auth.conf": redis_auth_conf(passwords["replication"]),
            "users.acl": users_acl(REDIS_RULES, passwords, *others),
            "node.password": passwords["node"],
        },
        SENTINEL: {
            "auth.conf": sentinel_auth_conf(cluster.spec.sentinel, passwords["sentinel"]),
            "users.acl": users_acl(SENTINEL_RULES, passwords, *others),
            "node.password": passwords["node"],
        },
    }


def _secret(cluster: Cluster, name: str, texts: Mapping[str, str]) -> Object:
    data = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    return named(cluster, "v1", "Secret", name, type="Opaque", data=data)
