"""Docker compose on this host: 3 Redis, 3 Sentinels, the session service behind a gateway, ports on 127.0.0.1."""

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import Resource

from infra.components.certificates import Certificates
from infra.components.credentials import Credentials, stack_secrets
from infra.render.passwords import ADMIN_TOKEN, USERS
from infra.render.project import plain_files, secret_files
from infra.render.session_settings import login_secrets
from infra.render.topology import topology
from infra.spec import ComposeTarget, DeploymentSpec, published_ports, target_of
from infra.targets.compose.exported import outputs
from infra.targets.compose.provider import ComposeProvider


class ComposeProject(Resource, module="compose", name="ComposeProject"):
    """The running project."""

    def __init__(self, name: str, props: Mapping[str, Any], opts: pulumi.ResourceOptions) -> None:
        """`props` as ComposeProvider takes them."""
        secret = pulumi.ResourceOptions(additional_secret_outputs=["secretFiles"])
        computed = {"imageIds": None, "containers": None}
        super().__init__(ComposeProvider(), name, {**props, **computed}, pulumi.ResourceOptions.merge(opts, secret))


class ComposeDeployment(pulumi.ComponentResource):
    """A deployment on this host."""

    outputs: Mapping[str, Any]
    """As infra.outputs describes them."""

    def __init__(self, name: str, spec: DeploymentSpec, opts: pulumi.ResourceOptions | None = None) -> None:
        """Deploy `spec` as the compose project of `name`."""
        super().__init__("redis-session-kit:compose:ComposeDeployment", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        parts = topology(spec)
        certificates = Certificates(f"{name}-tls", parts.certified, child)
        credentials = Credentials(f"{name}-users", [*USERS, ADMIN_TOKEN], child)
        rendered = pulumi.Output.all(
            passwords=dict(credentials.passwords),
            ca=certificates.ca_pem,
            certificates={node: [each.cert_pem, each.key_pem] for node, each in certificates.nodes.items()},
            given=stack_secrets(login_secrets(spec).values()),
        ).apply(lambda known: secret_files(spec, **known))
        self.project = ComposeProject(
            f"{name}-project",
            {
                "deployment": name,
                "files": plain_files(spec, name),
                "secretFiles": pulumi.Output.secret(rendered),
                "images": _images(spec),
                "ports": _ports(spec),
                "parts": {
                    "redis": [str(node) for node in parts.redis],
                    "sentinels": [str(node) for node in parts.sentinels],
                    "services": list(parts.services),
                    "others": ["gateway", "exporter"],
                    "master_name": parts.master_name,
                },
                "deleteData": target_of(spec, ComposeTarget).delete_data,
            },
            child,
        )
        self.outputs = outputs(name, spec, certificates.ca_pem, credentials.passwords)
        self.register_outputs(dict(self.outputs))


def _images(spec: DeploymentSpec) -> dict[str, str]:
    return {
        "redisImage": spec.redis.image,
        "serviceImage": spec.service.image,
        "gatewayImage": spec.gateway.image,
        "exporterImage": spec.exporter.image,
    }


def _ports(spec: DeploymentSpec) -> dict[str, int]:
    """Published ports by the key that sets them and the part they are of."""
    keys = {"redis": "compose.redisPort", "sentinel": "compose.sentinelPort", "gateway": "compose.httpsPort"}
    if not target_of(spec, ComposeTarget).publish:
        return {}
    return {f"{keys[part.partition('-')[0]]} {part}": port for part, port in published_ports(spec).items()}
