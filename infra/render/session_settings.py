"""The settings of the session service and the exporter, as variables: the same whatever the target."""

from collections.abc import Iterable

from infra.render.topology import EXPORTER_PORT, KEYCLOAK_CA, KIT, TLS, Node
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


def connection(spec: DeploymentSpec, sentinels: Iterable[Node]) -> dict[str, str]:
    """How the session library reaches the deployment through its Sentinels, without a secret."""
    return {
        "REDIS_URL": f"rediss-sentinel://{','.join(map(str, sentinels))}/{spec.sentinel.master_name}/0",
        "REDIS_SENTINEL_USERNAME": "sessions",
        "REDIS_CA_FILE": f"{TLS}/ca.crt",
        "REDIS_SSL": "true",
    }


def exporter_settings() -> dict[str, str]:
    """The environment of the exporter, which finds its files in KIT."""
    return {
        "REDIS_USER": "exporter",
        "REDIS_PASSWORD_FILE": f"{KIT}/passwords.json",
        "REDIS_EXPORTER_TLS_CA_CERT_FILE": f"{TLS}/ca.crt",
        "REDIS_EXPORTER_TLS_SERVER_CERT_FILE": f"{TLS}/node.crt",
        "REDIS_EXPORTER_TLS_SERVER_KEY_FILE": f"{TLS}/node.key",
        "REDIS_EXPORTER_WEB_LISTEN_ADDRESS": f":{EXPORTER_PORT}",
        # CONFIG GET would show `masterauth`, so the exporter's user has no right to it.
        "REDIS_EXPORTER_CONFIG_COMMAND": "-",
    }


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
