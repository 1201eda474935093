"""Who is asking: the back end or operator with the admin token, a user with a session cookie, or one with a token.

All of it is `async`, also where nothing is awaited: FastAPI would send anything else to a thread, at each request.
"""

import hmac
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from session_core.asgi import cookie_of
from session_core.errors import InvalidSessionId, StoreError
from session_core.keycloak import InvalidToken, KeycloakClient
from session_core.keycloak.sessions import KeycloakSessions, is_tied
from session_core.keycloak.tokens import Claims, algorithm_of, check_legacy_token
from session_core.manager import SessionManager
from session_core.service.limits import client_ip, limited
from session_core.service.metrics import Metrics
from session_core.service.problems import Problem
from session_core.service.settings import ServiceSettings
from session_core.session import Session

log = logging.getLogger(__name__)


async def sessions_of(request: Request) -> SessionManager:
    """Return the manager of this application."""
    manager: SessionManager = request.app.state.sessions
    return manager


async def settings_of(request: Request) -> ServiceSettings:
    """Return the settings of this application."""
    settings: ServiceSettings = request.app.state.settings
    return settings


async def keycloak_of(request: Request) -> KeycloakClient:
    """Return the Keycloak of this application.

    Raises:
        Problem: 404, if it has none.
    """
    keycloak: KeycloakClient | None = request.app.state.keycloak
    if keycloak is None:
        raise Problem(404, "login-not-configured", "there is no Keycloak (KEYCLOAK_SERVER_URL)")
    return keycloak


async def tied_of(request: Request) -> KeycloakSessions:
    """Return what ties the sessions to Keycloak's."""
    await keycloak_of(request)
    tied: KeycloakSessions = request.app.state.tied
    return tied


Sessions = Annotated[SessionManager, Depends(sessions_of)]
Configured = Annotated[ServiceSettings, Depends(settings_of)]
Keycloak = Annotated[KeycloakClient, Depends(keycloak_of)]
Tied = Annotated[KeycloakSessions, Depends(tied_of)]


async def require_admin(request: Request, settings: Configured, sessions: Sessions) -> None:
    """Let the admin token pass; compared in constant time. Wrong ones are counted, the right one always passes.

    Raises:
        Problem: 401, or 429 after too many wrong ones from one address.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    expected = settings.session_admin_token.get_secret_value().encode()
    if scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), expected):
        return
    log.warning("wrong admin token", extra={"fields": {"address": client_ip(request, settings)}})
    with suppress(StoreError):  # refused all the same
        await limited(sessions, "admin", client_ip(request, settings), settings.session_login_attempts)
    raise Problem(401, "admin-token-required", "send the admin token as Authorization: Bearer")


async def login_limit(request: Request, sessions: Sessions, settings: Configured) -> None:
    """Count a login that an address begins.

    Raises:
        Problem: 429.
    """
    await limited(sessions, "login", client_ip(request, settings), settings.session_login_attempts)


async def current_session(request: Request, sessions: Sessions, settings: Configured) -> Session:
    """Return the live session of the cookie; this counts as activity.

    Raises:
        Problem: 401, with the reason if the session was revoked.
    """
    if settings.auth_mode == "token":
        raise Problem(401, "no-session", "sessions are not accepted (AUTH_MODE=token)")
    cookie = cookie_of(request.scope["headers"], settings.session_cookie_name)
    if not cookie:
        raise Problem(401, "no-session", f"no cookie {settings.session_cookie_name}")
    try:
        session = await sessions.get_session(cookie, consistent=settings.session_verify_from == "primary")
    except InvalidSessionId:
        session = None
    if session is not None and session.is_active and is_tied(session) and request.app.state.tied is not None:
        session = await request.app.state.tied.follow(session)
    if session is None:
        raise Problem(401, "no-session", "the session expired or never was")
    if session.revocation is not None:
        ended = session.revocation
        raise Problem(
            401, "session-revoked", "the session was ended", reason=ended.reason, revoked_at=ended.at.isoformat()
        )
    return session


def logged_in_within(session: Session, seconds: int) -> bool:
    """Tell whether the user has proved who he is within so many seconds.

    Keycloak says when that was; a session that a back end opened began with it, unless its metadata says otherwise.
    """
    at = session.metadata.get("authenticated_at", None if is_tied(session) else session.created_at.timestamp())
    return isinstance(at, (int, float)) and at > time.time() - seconds


def login_too_old(seconds: int, settings: ServiceSettings) -> Problem:
    """Return the answer to who must log in again first (RFC 9470), with the way to do it where there is Keycloak."""
    way = {"login": "/v1/oidc/login?prompt=login"} if settings.keycloak_server_url else {}
    return Problem(401, "login-too-old", "log in again, then repeat the request", max_age=seconds, **way)


def may_end_others(session: Session, settings: ServiceSettings) -> bool:
    """Tell whether the login is recent enough to end other sessions of the same user (ASVS 7.5.2)."""
    seconds = settings.session_recent_login_seconds
    return not seconds or logged_in_within(session, seconds)


async def recent_session(session: Annotated[Session, Depends(current_session)], settings: Configured) -> Session:
    """Return the live session of the cookie, if its user has logged in lately (SESSION_RECENT_LOGIN_SECONDS).

    Raises:
        Problem: 401.
    """
    if not may_end_others(session, settings):
        raise login_too_old(settings.session_recent_login_seconds, settings)
    return session


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is asking.

    Attributes:
        user_id: Keycloak's `sub`, or what the session or the former system's token says.
        name: what people call the user; may be empty.
        session: None where a token said it.
    """

    user_id: str
    name: str
    session: Session | None


async def current_identity(request: Request, sessions: Sessions, settings: Configured) -> Identity:
    """Return who is asking, as AUTH_MODE says: the Authorization header first, then the cookie.

    Raises:
        Problem: 401. A header that does not hold is not made up for by a cookie.
    """
    metrics: Metrics = request.app.state.metrics
    header = request.headers.get("authorization")
    if settings.auth_mode != "session" and header is not None:
        try:
            kind, claims = await _verified(header, request.app.state.keycloak, settings)
        except InvalidToken as error:
            raise Problem(401, "invalid-token", f"the token is not accepted: {error}") from error
        metrics.authenticated.labels(kind).inc()
        return Identity(claims["sub"], _name(claims.get("preferred_username")), None)
    session = await current_session(request, sessions, settings)
    metrics.authenticated.labels("session").inc()
    return Identity(session.user_id, _name(session.metadata.get("preferred_username")), session)


async def same_site(request: Request, settings: Configured) -> None:
    """Refuse writes with a cookie from pages of other origins (CSRF); requests that do not say where from, too.

    Browsers send Origin with every DELETE and POST. Source:
    https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html

    Raises:
        Problem: 403.
    """
    origin = request.headers.get("origin")
    if origin is not None:
        trusted = origin.lower() in settings.session_trusted_origins
        if trusted or urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower() != "":
            return
    elif request.headers.get("sec-fetch-site") == "same-origin":
        return
    raise Problem(403, "cross-site-request", "writes with a cookie need an Origin of this host or a trusted one")


async def _verified(header: str, keycloak: KeycloakClient | None, settings: ServiceSettings) -> tuple[str, Claims]:
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise InvalidToken("not a bearer token")
    secret = settings.jwt_secret_key.get_secret_value().encode()
    # The algorithm chooses the check; each check has keys of its own kind only, so no key is taken for another one.
    if secret and algorithm_of(token) == "HS256":
        return "legacy_token", check_legacy_token(token, secret, settings.jwt_issuer, settings.jwt_audience)
    if keycloak is None:
        raise InvalidToken("of no issuer that is known here")
    return "keycloak_token", await keycloak.verify_token(token)


def _name(value: object) -> str:
    return value if isinstance(value, str) else ""


CurrentSession = Annotated[Session, Depends(current_session)]
RecentSession = Annotated[Session, Depends(recent_session)]
