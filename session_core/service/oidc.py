"""Login and logout with Keycloak: code flow with PKCE, the password where it is allowed, logout from both sides."""

import logging
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from session_core.keycloak import InvalidToken, KeycloakRefused, Tokens
from session_core.service import cookies
from session_core.service.guards import (
    Configured,
    CurrentSession,
    Keycloak,
    Sessions,
    Tied,
    login_limit,
    require_admin,
    same_site,
    sessions_of,
    settings_of,
)
from session_core.service.limits import client_ip, limited
from session_core.service.login import COOKIE_PREFIX, LOGIN_SECONDS, Login, cookie_name, may_return_to
from session_core.service.problems import Problem
from session_core.service.settings import ServiceSettings
from session_core.service.views import SessionView, view
from session_core.session import Session

log = logging.getLogger(__name__)
router = APIRouter(prefix="/v1/oidc", tags=["login"])
MOST_LOGINS = 5
"""Logins that one browser has under way; with more, the cookies of the others are taken back."""
Address = Annotated[str, Query(max_length=1024, description="a path here, or an address of a trusted origin")]


async def anew(
    max_age: Annotated[int | None, Query(ge=0, description="seconds: log in anew if it was longer ago")] = None,
    prompt: Annotated[Literal["login"] | None, Query(description="log in anew, whatever Keycloak knows")] = None,
) -> dict[str, str]:
    """Return what of it is asked of Keycloak (OpenID Connect Core 3.1.2.1)."""
    return {name: str(value) for name, value in (("max_age", max_age), ("prompt", prompt)) if value is not None}


@router.get("/login", status_code=303, response_class=RedirectResponse, dependencies=[Depends(login_limit)])
async def begin(
    request: Request,
    keycloak: Keycloak,
    settings: Configured,
    more: Annotated[dict[str, str], Depends(anew)],
    return_to: Address = "/account",
) -> RedirectResponse:
    """Send the browser to Keycloak's login page."""
    if not may_return_to(return_to, _origins(settings)):
        raise Problem(422, "invalid-input", "return_to: not a path here, and not of SESSION_TRUSTED_ORIGINS")
    login = Login.begin(return_to)
    asked = {"state": login.state, "nonce": login.nonce, "challenge": login.challenge}
    where = await keycloak.authorization_url(redirect_uri=_callback(settings), **asked, **more)
    answer = RedirectResponse(where, 303)
    name, value = login.cookie
    answer.set_cookie(name, value, max_age=LOGIN_SECONDS, path="/", secure=True, httponly=True, samesite="lax")
    under_way = [each for each in request.cookies if each.startswith(COOKIE_PREFIX)]
    for old in under_way if len(under_way) >= MOST_LOGINS else ():
        cookies.take_back(answer, old)
    return answer


@router.get("/callback", status_code=303, response_class=RedirectResponse)
async def finish(
    request: Request, keycloak: Keycloak, tied: Tied, sessions: Sessions, settings: Configured
) -> Response:
    """Take the browser back from Keycloak, and log its user in."""
    login = await _login_of(request, sessions, keycloak.issuer.url)
    try:
        tokens = await keycloak.redeem(request.query_params["code"], login.verifier, _callback(settings))
        claims = await keycloak.verify_id_token(str(tokens.get("id_token", "")), login.nonce)
    except (KeycloakRefused, InvalidToken) as error:
        log.warning("Keycloak did not confirm a login: %s", error)
        raise _refusal("Keycloak did not confirm this login: begin again") from error
    session = await tied.open(tokens, claims, _device(request, settings))
    if not session.is_active:
        raise _refusal("Keycloak ended this login: begin again")
    log.info("logged in", extra={"fields": {"session": session.handle}})
    await _end_former(request, sessions, session, settings)
    answer = RedirectResponse(login.return_to, 303)
    cookies.hand_out(answer, settings.session_cookie_name, session)
    cookies.take_back(answer, cookie_name(login.state))
    return answer


class Password(BaseModel):
    """A name and a password, as the user typed them."""

    model_config = ConfigDict(extra="forbid")

    username: str = Field(min_length=1, max_length=256)
    password: SecretStr = Field(min_length=1, max_length=1024)


@router.post("/password", status_code=201, dependencies=[Depends(same_site), Depends(login_limit)])
async def by_password(
    body: Password, request: Request, response: Response, keycloak: Keycloak, tied: Tied
) -> SessionView:
    """Log in with a password that we pass on to Keycloak. Only with SESSION_PASSWORD_LOGIN."""
    settings, sessions = await settings_of(request), await sessions_of(request)
    if not settings.session_password_login:
        raise Problem(404, "login-not-configured", "logins with a password are off (SESSION_PASSWORD_LOGIN)")
    await limited(sessions, "password", body.username.lower(), max(settings.session_login_attempts // 5, 1))
    try:
        tokens: Tokens = await keycloak.authenticate(body.username, body.password.get_secret_value())
    except KeycloakRefused as error:
        raise _refusal("the name or the password is wrong") from error
    claims = await keycloak.verify_id_token(str(tokens.get("id_token", "")), None)
    claims.setdefault("auth_time", claims["iat"])  # the password was asked for just now
    session = await tied.open(tokens, claims, _device(request, settings))
    log.info("logged in with a password", extra={"fields": {"session": session.handle}})
    await _end_former(request, sessions, session, settings)
    cookies.hand_out(response, settings.session_cookie_name, session)
    return view(session)


@router.post("/logout", status_code=303, response_class=RedirectResponse, dependencies=[Depends(same_site)])
async def log_out(
    session: CurrentSession, sessions: Sessions, settings: Configured, tied: Tied, keycloak: Keycloak
) -> Response:
    """End my session, then send the browser to Keycloak, which ends its own and sends it back here."""
    id_token = session.metadata.get("id_token")
    await tied.hints.drop(session.handle)  # the browser does it
    await sessions.revoke_session(session.handle, "ended by the user", actor=session.handle)
    log.info("logged out", extra={"fields": {"session": session.handle}})
    home = f"{settings.session_public_url}/account"
    where = await keycloak.end_session_url(id_token, home) if isinstance(id_token, str) else home
    answer = RedirectResponse(where, 303, {"Clear-Site-Data": '"cache", "storage"'})
    cookies.take_back(answer, settings.session_cookie_name)
    return answer


@router.post(
    "/backchannel-logout",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": {
                        "type": "object",
                        "required": ["logout_token"],
                        "properties": {"logout_token": {"type": "string"}},
                    }
                }
            },
        }
    },
)
async def ended_there(request: Request, keycloak: Keycloak, tied: Tied) -> Response:
    """End the sessions that Keycloak names in a logout token (OpenID Connect Back-Channel Logout 1.0)."""
    try:
        claims = await keycloak.verify_logout_token(_only("logout_token", await request.body()))
        ended = await tied.ended_by_keycloak(claims)
    except InvalidToken as error:
        log.warning("logout token refused: %s", error)
        return JSONResponse({"error": "invalid_request", "error_description": str(error)}, 400)
    log.info("ended by Keycloak", extra={"fields": {"sessions": list(ended)}})
    return Response(status_code=200)


class AccessToken(BaseModel):
    """A token of Keycloak's, good for some seconds at least."""

    access_token: str
    expires_at: int


@router.post("/access-token", dependencies=[Depends(require_admin)])
async def access_token(session: CurrentSession, tied: Tied) -> AccessToken:
    """Give a back end that holds the admin token the access token of the user whose cookie it passes on."""
    fresh = await tied.fresh(session)
    if fresh is None or not fresh.is_active:
        raise Problem(401, "no-session", "Keycloak ended the session")
    token, expires = (fresh.metadata.get(name) for name in ("access_token", "access_expires_at"))
    if not isinstance(token, str) or not isinstance(expires, int):
        raise Problem(404, "no-access-token", "the session did not begin with a login at Keycloak")
    return AccessToken(access_token=token, expires_at=expires)


def _only(name: str, body: bytes) -> str:
    """Return the value of a form's field that must be there once."""
    try:
        values = parse_qs(body.decode("latin-1"), max_num_fields=20).get(name, [])
    except ValueError:
        values = []
    if len(values) != 1:
        message = f"exactly one {name} is needed, as a form"
        raise InvalidToken(message)
    return values[0]


async def _login_of(request: Request, sessions: Sessions, issuer: str) -> Login:
    """Return the login that this browser began, once.

    Raises:
        Problem: 401, if it did not begin it, has finished it before, or Keycloak says no.
    """
    given = request.query_params
    state = given.get("state", "")
    login = Login.from_cookie(request.cookies.get(cookie_name(state), ""))
    if login is None or not login.is_of(state) or len(given.getlist("state")) != 1:
        raise _refusal("this browser has not begun this login, or too long ago: begin again")
    if not await sessions.ephemeral.claim("login", state, LOGIN_SECONDS):
        raise _refusal("this login was finished before: begin again")
    if given.get("iss") != issuer:  # RFC 9207, ASVS 10.2.2
        raise _refusal("the answer is not from our Keycloak")
    if "error" in given or len(given.getlist("code")) != 1:
        raise _refusal("Keycloak did not log you in: begin again")
    if not may_return_to(login.return_to, _origins(request.app.state.settings)):
        raise _refusal("the login was to return to a place that is not trusted")
    return login


def _refusal(detail: str) -> Problem:
    log.warning("login refused: %s", detail)
    return Problem(401, "login-failed", detail)


async def _end_former(request: Request, sessions: Sessions, new: Session, settings: ServiceSettings) -> None:
    """End the session that the browser had: a login makes a new one (ASVS 7.2.4)."""
    former = request.cookies.get(settings.session_cookie_name)
    if former:
        try:
            await sessions.revoke_session(former, "logged in again", actor=new.handle)
        except ValueError:
            return  # the cookie held something else


def _device(request: Request, settings: ServiceSettings) -> dict[str, Any]:
    return {"user_agent": request.headers.get("user-agent", "")[:256], "ip": client_ip(request, settings)[:64]}


def _callback(settings: ServiceSettings) -> str:
    return f"{settings.session_public_url}/v1/oidc/callback"


def _origins(settings: ServiceSettings) -> frozenset[str]:
    return settings.session_trusted_origins | {settings.session_public_url.lower()}
