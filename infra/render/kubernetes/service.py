"""The session service: a Deployment that is never short of an instance while it is updated."""

from collections.abc import Mapping

from infra.render.kubernetes.charts import ONLY_USER, sentinel_user
from infra.render.kubernetes.names import HTTPS_PORT, SESSION, Cluster
from infra.render.kubernetes.objects import (
    TMP,
    TMP_MOUNT,
    Object,
    container,
    digest,
    disruption_budget,
    items,
    named,
    pod_template,
    projected,
)
from infra.render.session_settings import (
    connection,
    login_secrets,
    login_settings,
    session_settings,
    trace_settings,
)
from infra.render.topology import KEYCLOAK_CA, SECRETS, SERVICE_PORT, TLS

USER = 10_001
DEPLOY_SECRET = "functions"  # noqa: S105 - a name
PASSWORDS = ("REDIS_PASSWORD", "REDIS_SENTINEL_PASSWORD", "SESSION_ADMIN_TOKEN")
DEPLOY_PASSWORDS = ("REDIS_DEPLOY_USERNAME", "REDIS_DEPLOY_PASSWORD", "REDIS_SENTINEL_PASSWORD")
KEYCLOAK_CA_ITEM = KEYCLOAK_CA.removeprefix(f"{TLS}/")
BUSY_PERCENT = 200
"""Of the CPU that an instance asks for (100m), at which there is to be another one."""
SECONDS_TO_DRAIN = 5
"""From the moment a pod ends until the whole cluster has heard of it: meanwhile it goes on answering."""


def service_objects(cluster: Cluster, secrets: Mapping[str, str]) -> list[Object]:
    """The session service and what is needed to reach it."""
    passwords = (*PASSWORDS, *login_secrets(cluster.spec))
    authority = {KEYCLOAK_CA_ITEM: KEYCLOAK_CA_ITEM} if cluster.spec.keycloak.ca_pem else {}
    pods = {
        "terminationGracePeriodSeconds": 30,
        "initContainers": [_functions(cluster)],
        "containers": [_session(cluster)],
        "volumes": [
            projected("secrets", items("secret", SESSION, {name: name for name in passwords})),
            projected("deploy-secrets", items("secret", DEPLOY_SECRET, {name: name for name in DEPLOY_PASSWORDS})),
            projected(
                "tls",
                items("secret", SESSION, {"ca.crt": "ca.crt", **authority}),
                items("secret", cluster.pair_of(SESSION), {"tls.crt": "node.crt", "tls.key": "node.key"}),
            ),
            projected("authority", items("secret", SESSION, {"ca.crt": "ca.crt"})),
            TMP,
        ],
    }
    files = digest(secrets[SESSION], secrets[DEPLOY_SECRET])
    scaled = bool(cluster.target.service_max_replicas)
    spec = {
        # Where load decides, an update must not set the number back.
        **({} if scaled else {"replicas": cluster.spec.service.replicas}),
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "selector": {"matchLabels": cluster.labels(SESSION)},
        "template": pod_template(cluster, SESSION, files, USER, pods),
    }
    ports = [{"name": "https", "port": HTTPS_PORT, "targetPort": "https", "appProtocol": "https"}]
    return [
        named(cluster, "v1", "Service", SESSION, spec={"selector": cluster.labels(SESSION), "ports": ports}),
        disruption_budget(cluster, SESSION),
        named(cluster, "apps/v1", "Deployment", SESSION, spec=spec),
        *([_autoscaler(cluster)] if scaled else []),
    ]


def _autoscaler(cluster: Cluster) -> Object:
    """Removes instances slowly, as it does by itself: a wave of logins comes back (Kubernetes: 5 min by default)."""
    target = {"type": "Utilization", "averageUtilization": BUSY_PERCENT}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": SESSION},
        "minReplicas": cluster.spec.service.replicas,
        "maxReplicas": cluster.target.service_max_replicas,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
    return named(cluster, "autoscaling/v2", "HorizontalPodAutoscaler", SESSION, spec=spec)


def _functions(cluster: Cluster) -> Object:
    """Loads the function library before the first instance that needs it; does nothing where it is there."""
    return container(
        "functions",
        cluster.spec.service.image,
        128,
        "50m",
        command=["python3", "-m", "session_core", "functions", "load"],
        env=_environment(
            connection(cluster.spec, cluster.sentinels) | {"SESSION_DEADLINE_SECONDS": "60"} | sentinel_user(cluster)
        ),
        volumeMounts=[_mount("deploy-secrets", SECRETS), _mount("authority", TLS), TMP_MOUNT],
    )


def _session(cluster: Cluster) -> Object:
    header = cluster.target.client_ip_header
    settings = (
        {"SESSION_BACKEND": "redis", "REDIS_USERNAME": ONLY_USER if cluster.chart else "sessions"}
        | connection(cluster.spec, cluster.sentinels)
        | sentinel_user(cluster)
        | session_settings(cluster.spec)
        | login_settings(cluster.spec)
        | trace_settings(cluster.spec)
        | ({"SESSION_CLIENT_IP_HEADER": header} if header else {})
        | {"SESSION_TLS_CERT_FILE": f"{TLS}/node.crt", "SESSION_TLS_KEY_FILE": f"{TLS}/node.key"}
    )
    return container(
        SESSION,
        cluster.spec.service.image,
        256,
        "100m",
        env=_environment(settings),
        ports=[{"name": "https", "containerPort": SERVICE_PORT}],
        volumeMounts=[_mount("secrets", SECRETS), _mount("tls", TLS), TMP_MOUNT],
        readinessProbe=_probe("/readyz", failures=3),
        livenessProbe=_probe("/healthz", failures=6),
        lifecycle={"preStop": {"exec": {"command": ["sleep", str(SECONDS_TO_DRAIN)]}}},
    )


def _environment(values: Mapping[str, str]) -> list[Object]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _mount(volume: str, path: str) -> Object:
    return {"name": volume, "mountPath": path, "readOnly": True}


def _probe(path: str, failures: int) -> Object:
    get = {"path": path, "port": "https", "scheme": "HTTPS"}
    return {"httpGet": get, "periodSeconds": 5, "timeoutSeconds": 3, "failureThreshold": failures}
