"""How to reach Keycloak and who we are there, read as all settings are (`session_core.environment`)."""

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from session_core.environment import Environment


class KeycloakSettings(Environment):
    """One attribute for each variable, in lower case. Without KEYCLOAK_SERVER_URL there is no Keycloak.

    Raises:
        SettingsError: one line for each wrong variable.
    """

    keycloak_server_url: str = ""
    """KEYCLOAK_SERVER_URL: as browsers and we reach it: ``https://login.example.org``, with its path if it has one."""
    keycloak_realm: str = ""
    keycloak_client_id: str = ""
    keycloak_client_secret: SecretStr = SecretStr("")
    keycloak_ca_file: Path | None = None
    """KEYCLOAK_CA_FILE: PEM; the only authorities trusted for Keycloak. Unset: those of the system."""
    keycloak_timeout_seconds: float = Field(default=5.0, ge=0.1, le=30)
    """KEYCLOAK_TIMEOUT_SECONDS: for one request."""
    keycloak_audience: str = ""
    """KEYCLOAK_AUDIENCE: what access tokens must be for (`aud`); unset: the client."""
    keycloak_follow: bool = True
    """KEYCLOAK_FOLLOW: a session whose access token has expired is used on only if Keycloak gives a new one."""
    keycloak_operator_role: str = "session-operator"
    """KEYCLOAK_OPERATOR_ROLE: realm role of those who may look at and end sessions of all users."""

    @field_validator("keycloak_server_url")
    @classmethod
    def _url(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in {"https", "http"} or not parts.netloc or parts.query or parts.fragment):
            problem = "not an address such as https://login.example.org"
            raise ValueError(problem)
        return value.rstrip("/")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.keycloak_server_url:
            needed = ("keycloak_realm", "keycloak_client_id", "keycloak_client_secret")
            missing = [name.upper() for name in needed if not getattr(self, name)]
            if missing:
                problem = f"KEYCLOAK_SERVER_URL needs {', '.join(missing)} too"
                raise ValueError(problem)
        return self

    @property
    def issuer(self) -> str:
        """Who issues the tokens: the realm's address."""
        return f"{self.keycloak_server_url}/realms/{self.keycloak_realm}"

    @property
    def audience(self) -> str:
        """What access tokens must be for."""
        return self.keycloak_audience or self.keycloak_client_id
