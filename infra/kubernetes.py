"""A cluster as the place of a deployment: the section `kubernetes` of a spec."""

from typing import Literal

from pydantic import Field

from infra.section import Section
from infra.values import (
    Certificates,
    ChartSource,
    ContextName,
    DnsLabel,
    DnsName,
    GatewayName,
    HeaderName,
    IssuerName,
    NodeLabels,
    Quantity,
    Taints,
)


class KubernetesTarget(Section):
    """A Kubernetes cluster, 1.29 or newer; all parts are in one namespace."""

    kind: Literal["kubernetes"] = "kubernetes"
    context: ContextName = ""
    """Context of the kubeconfig that leads to the cluster; empty for the current one"""
    namespace: DnsLabel = ""
    """Namespace of all parts; empty for redis-session-kit-<stack>"""
    create_namespace: bool = True
    """Whether the kit makes it, with the Pod Security level restricted; false where somebody else has made it"""
    cluster_domain: DnsName = "cluster.local"
    """Domain of the cluster's own DNS"""
    storage_class: DnsName = ""
    """StorageClass of the volumes; empty for the cluster's default"""
    redis_storage: Quantity = "2Gi"
    """Size of the volume of each Redis node; an existing volume keeps its size"""
    anti_affinity: Literal["required", "preferred"] = "required"
    """Whether Redis nodes, and Sentinels, must run on different machines, or only should"""
    chart: Literal["bitnami", "cagriekin", "cloudpirates"] = "cagriekin"
    """Helm chart of Redis and the Sentinels, with redisSource helm"""
    chart_source: ChartSource = ""
    """Where that chart is: a directory, a .tgz or an oci:// address; empty for its public repository"""
    password_generation: int = Field(default=1, ge=1)
    """Raised by one, it replaces the passwords of all users of Redis and the Sentinels, without a failed login"""
    certificate_issuer: IssuerName = ""
    """Issuer of cert-manager, as Issuer/NAME or ClusterIssuer/NAME; empty for the kit's own authority"""
    certificate_authority: Certificates = ""
    """PEM of the authority behind certificateIssuer, which everybody is to trust"""
    image_pull_secret: DnsName = ""
    """Secret with the credential of a private registry (kubernetes.io/dockerconfigjson); empty for none"""
    priority_class: DnsName = ""
    """PriorityClass of all pods; empty for the cluster's default"""
    node_selector: NodeLabels = ""
    """Labels of the machines on which the kit's pods may run, as KEY=VALUE,...; empty for all"""
    tolerations: Taints = ""
    """Taints that the kit's pods tolerate, as KEY=VALUE:EFFECT,... or KEY:EFFECT for every value; empty for none"""
    service_max_replicas: int = Field(default=0, ge=0, le=50)
    """Instances of the session service up to which load adds some (HorizontalPodAutoscaler); 0 for a fixed number"""
    ingress_class: DnsName = ""
    """IngressClass of an Ingress for servicePublicUrl; empty for none"""
    ingress_secret: DnsName = ""
    """Secret with the certificate that the Ingress shows (kubernetes.io/tls); empty for the ingress's own"""
    gateway: GatewayName = ""
    """Gateway that routes servicePublicUrl, as NAMESPACE/NAME, with Gateway API 1.4; empty for none"""
    prometheus_release: DnsLabel = ""
    """Label `release` by which a Prometheus Operator finds ServiceMonitor and PrometheusRule; empty for none"""
    prometheus_namespace: DnsLabel = ""
    """Namespace whose pods alone may ask the exporter, which asks for no credential; empty for every namespace"""
    client_ip_header: HeaderName = ""
    """Header in which your ingress names the client's address; empty for none in front"""
    delete_data: bool = False
    """Whether deleting the StatefulSets deletes the sessions as well"""
