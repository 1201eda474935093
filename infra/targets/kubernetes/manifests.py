"""All manifests of a deployment: those for everybody, and the Secrets; the same with and without Pulumi."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from infra.render.kubernetes import Cluster, Object, plain_objects, secret_objects
from infra.render.kubernetes.charts import CHARTS
from infra.render.kubernetes.objects import digest
from infra.values import DnsLabel

VALUES = Path(__file__).parents[3] / "helm-values"
LABEL = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,52}[A-Za-z0-9])?"
"""Of an object (Kubernetes: Labels and Selectors), and short enough for the authority's common name (RFC 5280: 64)."""


class NameRefusedError(ValueError):
    """A name that Kubernetes or a certificate would not take."""


@dataclass(frozen=True)
class Manifests:
    """All objects of a deployment."""

    plain: Mapping[str, list[Object]]
    """By the name of their file; those that are to be applied first come first."""
    secrets: list[Object]
    values: Object | None = None
    """Of the Helm chart that makes Redis and the Sentinels; None where the kit does."""

    @property
    def every(self) -> list[Object]:
        """All objects."""
        return [*(each for objects in self.plain.values() for each in objects), *self.secrets]


def manifests(
    cluster: Cluster,
    passwords: Mapping[str, str],
    ca: str,
    certificates: Mapping[str, tuple[str, str]],
    given: Mapping[str, str],
    *others: Mapping[str, str],
) -> Manifests:
    """Render everything; arguments as those of `secret_objects`."""
    secrets = secret_objects(cluster, passwords, ca, certificates, given, *others)
    plain = plain_objects(cluster, {name: digest(each["data"]) for name, each in secrets.items()}, ca)
    return Manifests(plain, list(secrets.values()), chart_values(cluster) if cluster.chart else None)


def chart_values(cluster: Cluster) -> Object:
    """The values for the chart: those of helm-values, and over them what the spec decides."""
    kinds = ["base", *(["production"] if cluster.target.anti_affinity == "required" else [])]
    files = [yaml.safe_load((VALUES / cluster.chart / f"{kind}.yaml").read_text(encoding="utf-8")) for kind in kinds]
    return reduce(_over, [*files, CHARTS[cluster.chart].decided(cluster)])


def _over(below: Object, above: Object) -> Object:
    """`above` put over `below`, as helm does: objects key by key, and null takes a key away."""
    merged = below | {
        key: _over(below.get(key) or {}, value) if isinstance(value, dict) else value for key, value in above.items()
    }
    return {key: value for key, value in merged.items() if value is not None}


def check_names(cluster: Cluster) -> None:
    """Whether Kubernetes would take the namespace, which is made from the name of the stack by default, and that name.

    Raises:
        NameRefusedError: it would not.

    """
    try:
        TypeAdapter(DnsLabel).validate_python(cluster.namespace)
    except ValidationError:
        raise NameRefusedError(
            f"{cluster.namespace} cannot be the name of a namespace: choose another one with kubernetes.namespace"
        ) from None
    if not re.fullmatch(LABEL, cluster.name):
        raise NameRefusedError(
            f"{cluster.name} cannot be the name of a deployment on Kubernetes, whose objects have it as a label: "
            "at most 54 of the characters A-Z a-z 0-9 . _ -, the first and the last a letter or a digit"
        )
