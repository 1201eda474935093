"""Ways for browsers to the session service, where the stack asks for one: an Ingress, or a route of a Gateway."""

from urllib.parse import urlsplit

from infra.render.kubernetes.names import HTTPS_PORT, SESSION, Cluster
from infra.render.kubernetes.objects import Object, config_map, named

AUTHORITY = "session-authority"
"""ConfigMap with the authority of the service's certificate, for a Gateway to check it."""
OPERATORS_ONLY = "/metrics"
"""Of the service, and not passed on."""


def route_objects(cluster: Cluster, ca: str) -> list[Object]:
    """`ca`: the authority of the service's certificate, as PEM."""
    host = urlsplit(cluster.spec.service.public_url).hostname or ""
    if cluster.target.ingress_class:
        return [_ingress(cluster, host)]
    if cluster.target.gateway:
        return [_route(cluster, host), config_map(cluster, AUTHORITY, {"ca.crt": ca}), _backend_tls(cluster)]
    return []


def _ingress(cluster: Cluster, host: str) -> Object:
    """The port's `appProtocol` says that it speaks HTTPS; ingress-nginx looks at its own annotation only."""
    backend = {"service": {"name": SESSION, "port": {"name": "https"}}}
    tls: Object = {"hosts": [host]}
    if cluster.target.ingress_secret:
        tls["secretName"] = cluster.target.ingress_secret
    spec = {
        "ingressClassName": cluster.target.ingress_class,
        "tls": [tls],
        "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
    }
    ingress = named(cluster, "networking.k8s.io/v1", "Ingress", SESSION, spec=spec)
    ingress["metadata"]["annotations"] = {"nginx.ingress.kubernetes.io/backend-protocol": "HTTPS"}
    return ingress


def _route(cluster: Cluster, host: str) -> Object:
    """A rule that leads nowhere is answered with an error: the longer path wins."""
    namespace, _, name = cluster.target.gateway.partition("/")
    spec = {
        "parentRefs": [{"name": name, "namespace": namespace}],
        "hostnames": [host],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"name": SESSION, "port": HTTPS_PORT}],
            },
            {"matches": [{"path": {"type": "Exact", "value": OPERATORS_ONLY}}]},
        ],
    }
    return named(cluster, "gateway.networking.k8s.io/v1", "HTTPRoute", SESSION, spec=spec)


def _backend_tls(cluster: Cluster) -> Object:
    spec = {
        "targetRefs": [{"group": "", "kind": "Service", "name": SESSION}],
        "validation": {
            "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": AUTHORITY}],
            "hostname": cluster.domain(SESSION),
        },
    }
    return named(cluster, "gateway.networking.k8s.io/v1", "BackendTLSPolicy", SESSION, spec=spec)
