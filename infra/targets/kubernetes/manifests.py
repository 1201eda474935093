"""All manifests of a deployment as text: those for everybody, and the Secrets; the same with and without Pulumi."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from infra.render.kubernetes import Cluster, plain_objects, secret_objects
from infra.render.kubernetes.documents import manifest
from infra.render.kubernetes.objects import digest
from infra.values import DnsLabel


class NamespaceError(ValueError):
    """The name of a namespace that cannot be."""


@dataclass(frozen=True)
class Manifests:
    """YAML, to be applied in this order."""

    plain: Mapping[str, str]
    """By file name."""
    secrets: str


def manifests(
    cluster: Cluster,
    passwords: Mapping[str, str],
    ca: str,
    certificates: Mapping[str, tuple[str, str]],
    given: Mapping[str, str],
) -> Manifests:
    """Render everything; arguments as those of `secret_objects`."""
    secrets = secret_objects(cluster, passwords, ca, certificates, given)
    plain = plain_objects(cluster, {name: digest(each["data"]) for name, each in secrets.items()}, ca)
    return Manifests(
        {f"{name}.yaml": manifest(objects) for name, objects in plain.items()}, manifest(list(secrets.values()))
    )


def check_namespace(cluster: Cluster) -> None:
    """Whether Kubernetes would take the namespace, whose default is made from the name of the stack.

    Raises:
        NamespaceError: it would not.

    """
    try:
        TypeAdapter(DnsLabel).validate_python(cluster.namespace)
    except ValidationError:
        raise NamespaceError(
            f"{cluster.namespace} cannot be the name of a namespace: choose another one with kubernetes.namespace"
        ) from None
