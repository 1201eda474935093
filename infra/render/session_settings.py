"""The session settings of a deployment, as variables of the session library."""

from infra.spec import DeploymentSpec


def session_settings(spec: DeploymentSpec) -> dict[str, str]:
    """Every `SESSION_...` variable that the spec decides: the same for the service and for applications beside it."""
    return {f"SESSION_{field.upper()}": _text(value) for field, value in spec.session.model_dump().items()}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
