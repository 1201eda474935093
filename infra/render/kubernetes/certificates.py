"""Certificates of cert-manager in place of those of the kit's own authority (cert-manager.io/v1)."""

from infra.render.kubernetes.names import Cluster
from infra.render.kubernetes.objects import Object, named

DURATION, RENEWED_BEFORE = "8760h", "720h"
"""A year; renewed 30 days before its end, as those of the kit's own authority are."""


def certificate_objects(cluster: Cluster) -> list[Object]:
    """Where the stack names an issuer of cert-manager: for each part, a Secret with its certificate and key."""
    if not cluster.target.certificate_issuer:
        return []
    kind, _, issuer = cluster.target.certificate_issuer.partition("/")
    return [
        named(
            cluster,
            "cert-manager.io/v1",
            "Certificate",
            part,
            spec={
                "secretName": cluster.pair_of(part),
                "issuerRef": {"group": "cert-manager.io", "kind": kind, "name": issuer},
                "dnsNames": [*names, "localhost"],
                "ipAddresses": ["127.0.0.1"],
                "usages": ["digital signature", "server auth", "client auth"],
                "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
                "duration": DURATION,
                "renewBefore": RENEWED_BEFORE,
            },
        )
        for part, names in cluster.certified.items()
    ]
