"""Two deployments on Kubernetes that the tests render: as it comes, and one with everything set otherwise."""

from collections.abc import Mapping
from functools import cache

from infra.kubernetes import KubernetesTarget
from infra.render.kubernetes import Cluster, Object, plain_objects, secret_objects
from infra.render.kubernetes.objects import digest
from infra.service import KeycloakSpec, ServiceSpec, TelemetrySpec
from infra.spec import DeploymentSpec, RedisSpec, SentinelSpec
from infra.values import MEBIBYTE
from tests.render.deployments import AUTHORITY, GIVEN, KEYCLOAK_CA, PASSWORDS

CLUSTERS = {
    "kubernetes-default": Cluster(DeploymentSpec(target=KubernetesTarget()), "dev"),
    "kubernetes-variant": Cluster(
        DeploymentSpec(
            redis=RedisSpec(nodes=5, maxmemory=64 * MEBIBYTE),
            sentinel=SentinelSpec(nodes=5, quorum=3, master_name="sessions"),
            service=ServiceSpec(replicas=3, public_url="https://sessions.example.org"),
            keycloak=KeycloakSpec(
                server_url="https://login.example.org:9443",
                realm="sessions",
                client_id="session-service",
                client_secret=True,
                ca_pem=KEYCLOAK_CA,
            ),
            telemetry=TelemetrySpec(endpoint="http://collector:4318"),
            target=KubernetesTarget(
                namespace="logins",
                cluster_domain="example.internal",
                storage_class="fast",
                redis_storage="10Gi",
                anti_affinity="preferred",
                certificate_issuer="ClusterIssuer/internal",
                certificate_authority=KEYCLOAK_CA,
                image_pull_secret="registry",
                priority_class="sessions",
                node_selector="pool=sessions,kubernetes.io/arch=amd64",
                tolerations="pool=sessions:NoSchedule,example.org/spot:NoExecute",
                service_max_replicas=6,
                gateway="edge/public",
                prometheus_release="prometheus",
                prometheus_namespace="monitoring",
                client_ip_header="X-Forwarded-For",
                delete_data=True,
            ),
        ),
        "eu",
    ),
}


@cache
def secrets(name: str) -> Mapping[str, Object]:
    """The Secrets of a deployment of CLUSTERS, by name; a text in place of each certificate and key."""
    pairs = {part: (f"certificate of {part}\n", f"key of {part}\n") for part in CLUSTERS[name].own_certificates}
    return secret_objects(CLUSTERS[name], PASSWORDS, AUTHORITY, pairs, GIVEN)


@cache
def plain(name: str) -> Mapping[str, list[Object]]:
    """The objects without secrets of a deployment of CLUSTERS, by file."""
    return plain_objects(
        CLUSTERS[name], {secret: digest(each["data"]) for secret, each in secrets(name).items()}, AUTHORITY
    )
