"""Who is asking: the back end or operator with the admin token, or a user with a session cookie."""

import hmac
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from session_core.errors import InvalidSessionId
from session_core.manager import SessionManager
from session_core.service.problems import Problem
from session_core.service.settings import ServiceSettings
from session_core.session import Session


def sessions_of(request: Request) -> SessionManager:
    """Return the manager of this application."""
    manager: SessionManager = request.app.state.sessions
    return manager


def settings_of(request: Request) -> ServiceSettings:
    """Return the settings of this application."""
    settings: ServiceSettings = request.app.state.settings
    return settings


Sessions = Annotated[SessionManager, Depends(sessions_of)]
Configured = Annotated[ServiceSettings, Depends(settings_of)]


def require_admin(request: Request, settings: Configured) -> None:
    """Let the admin token pass; compared in constant time.

    Raises:
        Problem: 401.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    expected = settings.session_admin_token.get_secret_value().encode()
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), expected):
        raise Problem(401, "admin-token-required", "send the admin token as Authorization: Bearer")


async def current_session(request: Request, sessions: Sessions, settings: Configured) -> Session:
    """Return the live session of the cookie; this counts as activity.

    Raises:
        Problem: 401, with the reason if the session was revoked.
    """
    cookie = request.cookies.get(settings.session_cookie_name)
    if not cookie:
        raise Problem(401, "no-session", f"no cookie {settings.session_cookie_name}")
    try:
        session = await sessions.get_session(cookie, consistent=settings.session_verify_from == "primary")
    except InvalidSessionId:
        session = None
    if session is None:
        raise Problem(401, "no-session", "the session expired or never was")
    if session.revocation is not None:
        ended = session.revocation
        raise Problem(
            401, "session-revoked", "the session was ended", reason=ended.reason, revoked_at=ended.at.isoformat()
        )
    return session


def same_site(request: Request, settings: Configured) -> None:
    """Refuse writes with a cookie from pages of other origins (CSRF); requests that do not say where from, too.

    Browsers send Origin with every DELETE. Source:
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


CurrentSession = Annotated[Session, Depends(current_session)]
