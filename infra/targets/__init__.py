"""One adapter for each target, unaware of each other: rendered text in, a deployment and its outputs out."""

from infra.targets.compose import ComposeDeployment

TARGETS = {"compose": ComposeDeployment}
"""The component of each target by `kind`: called with the deployment's name, the spec and resource options."""
