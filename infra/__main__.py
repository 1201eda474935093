"""The Pulumi program: configuration of the stack -> spec -> target -> outputs."""

import pulumi
from pulumi.runtime import config

from infra.spec import warnings
from infra.stackfile import SpecError, load_spec
from infra.targets import TARGETS


def main() -> None:
    """Deploy what the selected stack asks for.

    Raises:
        pulumi.RunError: the configuration cannot be used; Pulumi shows its message alone.

    """
    namespace, stack = f"{pulumi.get_project()}:", pulumi.get_stack()
    # All keys, not only those that we know: `pulumi.Config` cannot list them, and a misspelt one must not be ignored.
    given = {key: value for key, value in config.CONFIG.get().items() if key.startswith(namespace)}
    secret_keys = {key.removeprefix(namespace) for key in given if config.is_config_secret(key)}
    try:
        spec = load_spec(
            {key.removeprefix(namespace): value for key, value in given.items()},
            f"stacks/Pulumi.{stack}.yaml",
            secret_keys,
        )
    except SpecError as error:
        raise pulumi.RunError(str(error)) from None
    for warning in warnings(spec):
        pulumi.warn(warning)
    deployment = TARGETS[spec.target.kind](stack, spec)
    for name, value in deployment.outputs.items():
        pulumi.export(name, value)


main()
