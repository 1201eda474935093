"""What the service needs beyond the library's settings, in the same manner."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from session_core.keycloak.settings import KeycloakSettings
from session_core.settings import Settings

SHORTEST_TOKEN: Final = 32
Origins = Annotated[frozenset[str], NoDecode]
"""A comma-separated list of origins (``https://app.example.org``)."""


class ServiceSettings(Settings, KeycloakSettings):
    """One attribute for each variable, in lower case.

    Raises:
        SettingsError: one line for each wrong variable.
    """

    session_admin_token: SecretStr = SecretStr("")
    """SESSION_ADMIN_TOKEN: bearer token of the back ends that log users in and of operators."""
    session_tls_cert_file: Path | None = None
    session_tls_key_file: Path | None = None
    """SESSION_TLS_…: PEM files; without them the service speaks plain HTTP."""
    session_http_host: str = ""
    """SESSION_HTTP_HOST: the address to listen at; empty for all, IPv6 as well as IPv4."""
    session_http_port: int = Field(default=8443, ge=1, le=65_535)
    session_public_url: str = ""
    """SESSION_PUBLIC_URL: the service as browsers reach it, ``https://sessions.example.org``; logins return there."""
    session_cookie_name: Literal["__Host-session_id", "session_id"] = "__Host-session_id"
    session_trusted_origins: Origins = frozenset()
    """SESSION_TRUSTED_ORIGINS: further origins whose pages may write with the user's cookie."""
    session_client_ip_header: str = ""
    """SESSION_CLIENT_IP_HEADER: set by the gateway to the client's address; the last entry counts. Unset: the peer."""
    session_login_attempts: int = Field(default=20, ge=1)
    """SESSION_LOGIN_ATTEMPTS: logins that one address may begin in a minute, wrong admin tokens it may send, and a
    fifth of it wrong passwords for one user."""
    session_recent_login_seconds: int = Field(default=300, ge=0, le=86_400)
    """SESSION_RECENT_LOGIN_SECONDS: who ends other sessions of his must have logged in within them; 0: at any time."""
    session_max_body_bytes: int = Field(default=65_536, ge=1024)
    session_verify_from: Literal["primary", "replica"] = "primary"
    """SESSION_VERIFY_FROM: `replica` lets SESSION_READ_FROM=replica decide about cookies, too."""
    otel_exporter_otlp_endpoint: str = ""
    """OTEL_EXPORTER_OTLP_ENDPOINT: base address of an OTLP/HTTP receiver of traces and metrics; unset: none."""
    session_log_level: Literal["debug", "info", "warning", "error"] = "info"
    session_password_login: bool = False
    """SESSION_PASSWORD_LOGIN: `true` opens the login with a password that this service sees, beside Keycloak's page."""
    jwt_secret_key: SecretStr = SecretStr("")
    """JWT_SECRET_KEY: of the former system's tokens (HS256); for AUTH_MODE token and dual."""
    jwt_issuer: str = ""
    jwt_audience: str = ""
    """JWT_…: what `iss` and `aud` of those tokens must be; unset: they are not looked at."""

    @field_validator("session_trusted_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return {origin.strip().rstrip("/").lower() for origin in value.split(",") if origin.strip()}

    @field_validator("session_public_url")
    @classmethod
    def _origin(cls, value: str) -> str:
        parts = urlsplit(value.rstrip("/"))
        if value and (parts.scheme not in {"https", "http"} or not parts.netloc or parts.path or parts.query):
            problem = "not an origin such as https://sessions.example.org"
            raise ValueError(problem)
        return value.rstrip("/")

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _receiver(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in {"https", "http"} or not parts.netloc or parts.query):
            problem = "not an address such as http://collector:4318"
            raise ValueError(problem)
        return value

    @property
    def served_over_tls(self) -> bool:
        """Whether browsers come over TLS, which a gateway may end."""
        return self.session_tls_cert_file is not None or self.session_public_url.startswith("https:")

    @model_validator(mode="after")
    def _servable(self) -> Self:
        if len(self.session_admin_token.get_secret_value()) < SHORTEST_TOKEN:
            problem = f"SESSION_ADMIN_TOKEN must have at least {SHORTEST_TOKEN} characters"
            raise ValueError(problem)
        if (self.session_tls_cert_file is None) != (self.session_tls_key_file is None):
            problem = "SESSION_TLS_CERT_FILE and SESSION_TLS_KEY_FILE go together"
            raise ValueError(problem)
        if self.session_verify_from == "replica" and self.session_read_from == "primary":
            problem = "SESSION_VERIFY_FROM=replica contradicts SESSION_READ_FROM=primary"
            raise ValueError(problem)
        if self.keycloak_server_url and not self.session_public_url:
            problem = "KEYCLOAK_SERVER_URL needs SESSION_PUBLIC_URL: where browsers come back to"
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _tokens_can_be_checked(self) -> Self:
        secret = self.jwt_secret_key.get_secret_value()
        if secret and len(secret.encode()) < SHORTEST_TOKEN:
            problem = f"JWT_SECRET_KEY must have at least {SHORTEST_TOKEN} bytes: a shorter one is found from any token"
            raise ValueError(problem)
        if self.auth_mode != "session" and not (secret or self.keycloak_server_url):
            problem = f"AUTH_MODE={self.auth_mode} accepts tokens: set KEYCLOAK_SERVER_URL or JWT_SECRET_KEY"
            raise ValueError(problem)
        return self
