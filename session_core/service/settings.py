"""What the service needs beyond the library's settings, in the same manner."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from session_core.settings import Settings

SHORTEST_TOKEN: Final = 32
Origins = Annotated[frozenset[str], NoDecode]
"""A comma-separated list of origins (``https://app.example.org``)."""


class ServiceSettings(Settings):
    """One attribute for each variable, in lower case.

    Raises:
        SettingsError: one line for each wrong variable.
    """

    session_admin_token: SecretStr = SecretStr("")
    """SESSION_ADMIN_TOKEN: bearer token of the back ends that log users in and of operators."""
    session_tls_cert_file: Path | None = None
    session_tls_key_file: Path | None = None
    """SESSION_TLS_…: PEM files; without them the service speaks plain HTTP."""
    session_http_host: str = "0.0.0.0"  # noqa: S104 - in a container; published by the deployment
    session_http_port: int = Field(default=8443, ge=1, le=65_535)
    session_cookie_name: Literal["__Host-session_id", "session_id"] = "__Host-session_id"
    session_trusted_origins: Origins = frozenset()
    """SESSION_TRUSTED_ORIGINS: further origins whose pages may write with the user's cookie."""
    session_max_body_bytes: int = Field(default=65_536, ge=1024)
    session_verify_from: Literal["primary", "replica"] = "primary"
    """SESSION_VERIFY_FROM: `replica` lets SESSION_READ_FROM=replica decide about cookies, too."""
    session_log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("session_trusted_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return {origin.strip().rstrip("/").lower() for origin in value.split(",") if origin.strip()}

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
        if self.auth_mode == "token":
            problem = "AUTH_MODE=token contradicts running the session service"
            raise ValueError(problem)
        return self
