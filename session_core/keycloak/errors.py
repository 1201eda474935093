# ruff: noqa: N818 - the names say what happened
"""What can go wrong with Keycloak. No message holds a token, a code or a password."""

from session_core.errors import SessionError


class KeycloakError(SessionError):
    """Keycloak did not do it."""


class KeycloakUnavailable(KeycloakError):
    """No answer in time, or an answer of a server in trouble (5xx); try again later."""


class KeycloakRefused(KeycloakError):
    """Keycloak said no.

    Attributes:
        code: the OAuth error code (RFC 6749 section 5.2), such as ``invalid_grant``.
    """

    def __init__(self, code: str, description: str) -> None:
        """Keep the code beside the text."""
        super().__init__(f"{code}: {description}" if description else code)
        self.code = code


class InvalidToken(SessionError):
    """A token is not ours, not valid now, or not of the kind that was expected."""
