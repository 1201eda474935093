"""The settings of the session service of a deployment, as variables: the same whatever the target."""

from infra.render.topology import KEYCLOAK_CA
from infra.spec import DeploymentSpec


def session_settings(spec: DeploymentSpec) -> dict[str, str]:
    """Every `SESSION_...` variable of the library that the spec decides: also for applications beside the service."""
    return {f"SESSION_{field.upper()}": _text(value) for field, value in spec.session.model_dump().items()}


def login_settings(spec: DeploymentSpec) -> dict[str, str]:
    """Every variable of the service about who logs in and how, secrets aside. KEYCLOAK_CA_FILE is where `ca_pem` is."""
    service = spec.service.model_dump(exclude={"image", "replicas"})
    found = {"AUTH_MODE": spec.auth.mode} | {f"SESSION_{field.upper()}": value for field, value in service.items()}
    if spec.keycloak.server_url:
        keycloak = spec.keycloak.model_dump(exclude={"client_secret", "ca_pem"})
        found |= {f"KEYCLOAK_{field.upper()}": value for field, value in keycloak.items()}
        found["KEYCLOAK_CA_FILE"] = KEYCLOAK_CA if spec.keycloak.ca_pem else ""
    found |= {"JWT_ISSUER": spec.jwt.issuer, "JWT_AUDIENCE": spec.jwt.audience}
    return {name: _text(value) for name, value in found.items() if value != ""}


def login_secrets(spec: DeploymentSpec) -> dict[str, str]:
    """Variables of the service that are secret, each with the key of the stack that has its value."""
    secrets = {
        "KEYCLOAK_CLIENT_SECRET": ("keycloakClientSecret", spec.keycloak.client_secret),
        "JWT_SECRET_KEY": ("jwtSecretKey", spec.jwt.secret_key),
    }
    return {variable: key for variable, (key, given) in secrets.items() if given}


def trace_settings(spec: DeploymentSpec) -> dict[str, str]:
    """The variable of the service that says where traces and metrics go, if anywhere."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": spec.telemetry.endpoint} if spec.telemetry.endpoint else {}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
