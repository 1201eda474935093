"""Where a deployment can go: one adapter for each kind of target, unaware of the others."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from infra.spec import DeploymentSpec
from infra.targets.compose import ComposeDeployment


class Deployment(Protocol):
    """A deployment, whatever its target."""

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The stack outputs by name, as in `infra.outputs.StackOutputs`; secrets are Pulumi secrets."""


TARGETS: Mapping[str, Callable[[str, DeploymentSpec], Deployment]] = {"compose": ComposeDeployment}
"""What makes a deployment of a name and a spec, by the kind of the target."""
