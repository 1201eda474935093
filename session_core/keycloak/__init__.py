"""Keycloak for applications: log in, look up, refresh, log out, and check its tokens.

Needs the extra `service` of this package (httpx, joserfc).
"""

from session_core.keycloak.client import KeycloakClient, Tokens
from session_core.keycloak.errors import InvalidToken, KeycloakError, KeycloakRefused, KeycloakUnavailable
from session_core.keycloak.settings import KeycloakSettings

__all__ = [
    "InvalidToken",
    "KeycloakClient",
    "KeycloakError",
    "KeycloakRefused",
    "KeycloakSettings",
    "KeycloakUnavailable",
    "Tokens",
]
