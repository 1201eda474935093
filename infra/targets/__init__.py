"""One adapter for each target, unaware of each other: rendered text in, a deployment and its outputs out."""

from collections.abc import Mapping

from infra.targets.compose import ComposeDeployment
from infra.targets.kubernetes import KubernetesDeployment

TARGETS: Mapping[str, type[ComposeDeployment | KubernetesDeployment]] = {
    "compose": ComposeDeployment,
    "kubernetes": KubernetesDeployment,
}
"""The component of each target by `kind`: called with the deployment's name, the spec and resource options."""
