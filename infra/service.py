"""The session service: the sections `service`, `auth`, `keycloak`, `jwt` and `telemetry` of a spec.

No secret is here, only whether there is one: the values go from the configuration to the service's secret files.
"""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from infra.section import Problem, Section
from infra.values import Certificates, Given, GivenKey, Image, Name, Origin, Origins, Reachable, Receiver, Word

EXAMPLES = {"realm": "sessions", "client_id": "session-service"}
"""What a message suggests."""


class ServiceSpec(Section):
    """The session service."""

    image: Image = "redis-session-kit/session-service:0.1.0"
    """Image of the session service"""
    replicas: int = Field(default=2, ge=1, le=9)
    """Number of instances of the session service"""
    public_url: Origin = ""
    """The service as browsers reach it, such as https://sessions.example.org; needed with Keycloak"""
    trusted_origins: Origins = ""
    """Further origins whose pages may write with the user's cookie, separated by commas"""
    login_attempts: int = Field(default=20, ge=1, le=100_000)
    """Logins an address may begin in a minute; a fifth of it: passwords for one user"""
    recent_login_seconds: int = Field(default=300, ge=0, le=86_400)
    """Seconds since the login within which users may end other sessions of theirs, 0 for any"""
    password_login: bool = False
    """Whether the service takes passwords itself, beside Keycloak's page"""


class AuthSpec(Section):
    """What the service accepts as proof of who asks."""

    mode: Literal["session", "token", "dual"] = "session"
    """What GET /v1/verify accepts: session cookies, tokens, or tokens and then cookies"""


class KeycloakSpec(Section):
    """The Keycloak at which users log in; without its address there is none."""

    server_url: Reachable = ""
    """Keycloak as browsers and the service reach it, such as https://login.example.org; empty for none"""
    realm: Word = ""
    """Realm of the users"""
    client_id: Word = ""
    """Client of the realm, confidential, that the service is"""
    client_secret: Given = False
    """Secret of that client; set it with --secret"""
    ca_pem: Certificates = ""
    """Certificates (PEM) of the only authorities trusted for Keycloak; empty for those of the image"""
    audience: Word = ""
    """What access tokens must be for (aud); empty for the client"""
    follow: bool = True
    """Whether a session ends when Keycloak gives no new access token for it"""
    operator_role: Name = "session-operator"
    """Realm role of operators"""


class JwtSpec(Section):
    """Tokens of the former system (HS256)."""

    secret_key: GivenKey = False
    """Key of the former system's tokens, 32 bytes or more; set it with --secret"""
    issuer: Word = ""
    """What iss of those tokens must be; empty for anything"""
    audience: Word = ""
    """What aud of those tokens must be; empty for anything"""


class TelemetrySpec(Section):
    """Where the service sends traces and metrics."""

    endpoint: Receiver = ""
    """Base address of an OTLP/HTTP receiver, such as http://collector:4318; empty for none"""


def login_contradictions(
    service: ServiceSpec, auth: AuthSpec, keycloak: KeycloakSpec, jwt: JwtSpec
) -> Iterator[Problem]:
    """Find what cannot be together: half a Keycloak, tokens of nobody, logins without a place to return to."""
    address = (("keycloak", "server_url"),)
    if keycloak.server_url:
        yield from _lacking(service, keycloak)
    else:
        needless = ("realm", "client_id", "client_secret", "ca_pem", "audience")
        for field in needless:
            if value := getattr(keycloak, field):
                bound = "unset, or keycloakServerUrl be set too"
                yield Problem(("keycloak", field), value, bound, "", address)
        if service.password_login:
            bound = "false, or keycloakServerUrl be set too: Keycloak knows the passwords"
            yield Problem(("service", "password_login"), value=True, bound=bound, suggestion=False, involves=address)
    if auth.mode != "session" and not (keycloak.server_url or jwt.secret_key):
        bound = "session, or keycloakServerUrl or jwtSecretKey be set too: they say whose tokens are good"
        yield Problem(("auth", "mode"), auth.mode, bound, "session", (*address, ("jwt", "secret_key")))
    for field in ("issuer", "audience"):
        if not jwt.secret_key and (value := getattr(jwt, field)):
            bound = "unset, or jwtSecretKey be set too"
            yield Problem(("jwt", field), value, bound, "", (("jwt", "secret_key"),))


def _lacking(service: ServiceSpec, keycloak: KeycloakSpec) -> Iterator[Problem]:
    address = (("keycloak", "server_url"),)
    for field, example in EXAMPLES.items():
        if not getattr(keycloak, field):
            yield Problem(("keycloak", field), "", "set, since keycloakServerUrl is", example, address)
    if not keycloak.client_secret:
        yield Problem(("keycloak", "client_secret"), "", "set, since keycloakServerUrl is", None, address)
    if not service.public_url:
        bound = "set, since keycloakServerUrl is: where browsers come back to"
        yield Problem(("service", "public_url"), "", bound, "https://sessions.example.org", address)


def login_warnings(auth: AuthSpec, jwt: JwtSpec) -> Iterator[str]:
    """Find what is allowed but has no use."""
    if jwt.secret_key and auth.mode == "session":
        yield "jwtSecretKey: with authMode session no token is accepted; remove it (pulumi config rm jwtSecretKey)."
