"""Sessions over HTTP: log in (by a back end), verify (for gateways), and "my devices" (for the user)."""

import logging
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict

from session_core.service import cookies
from session_core.service.guards import (
    Configured,
    CurrentSession,
    RecentSession,
    Sessions,
    current_identity,
    recent_session,
    require_admin,
    same_site,
)
from session_core.service.problems import Problem, header_safe
from session_core.service.views import EndedView, SessionView, ended, view

log = logging.getLogger(__name__)
CURRENT: Final = "current"
router = APIRouter(prefix="/v1", tags=["sessions"])


class NewSession(BaseModel):
    """Whom to log in; the rules are those of `SessionManager.create_session`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user_id: str
    metadata: dict[str, Any] = {}
    ttl_seconds: int | None = None


@router.post("/sessions", status_code=201, dependencies=[Depends(require_admin)])
async def create(body: NewSession, response: Response, sessions: Sessions, settings: Configured) -> SessionView:
    """Log a user in. The cookie holds the secret; the body never does. Admin token."""
    session = await sessions.create_session(body.user_id, body.metadata, body.ttl_seconds)
    log.info("a back end logged a user in", extra={"fields": {"session": session.handle}})
    cookies.hand_out(response, settings.session_cookie_name, session)
    return view(session)


class Direct(APIRoute):
    """A route whose function takes the request as it is: there is nothing to find out before it is called."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the function itself."""
        handler: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return handler


async def verify(request: Request) -> Response:
    """Tell a gateway who is asking; for nginx auth_request, Traefik ForwardAuth and the like.

    X-Session-User and X-Session-Name are percent-encoded where they are not printable ASCII. With a token instead of a
    session (AUTH_MODE) there are no more headers than these.
    """
    state = request.app.state  # not as dependencies: to find out what each needs takes longer than what it does
    identity = await current_identity(request, state.sessions, state.settings)
    headers = {"X-Session-User": header_safe(identity.user_id), "X-Session-Name": header_safe(identity.name)}
    if identity.session is not None:
        headers["X-Session-Handle"] = identity.session.handle
        headers["X-Session-Expires"] = identity.session.expires_at.isoformat()
    return Response(status_code=200, headers=headers)


router.add_api_route("/verify", verify, route_class_override=Direct)


@router.get("/sessions")
async def list_mine(session: CurrentSession, sessions: Sessions) -> list[SessionView]:
    """List my live sessions, oldest first."""
    mine = await sessions.get_user_sessions(session.user_id)
    return [view(one, current=one.handle == session.handle) for one in mine]


@router.delete("/sessions/{handle}", dependencies=[Depends(same_site)])
async def end_one_of_mine(
    handle: str, response: Response, session: CurrentSession, sessions: Sessions, settings: Configured
) -> EndedView:
    """End one of my sessions by its handle; `current` is the one of the cookie (logout).

    Another one needs a login of the last SESSION_RECENT_LOGIN_SECONDS, or the answer is 401 `login-too-old`.
    """
    mine = session.handle
    if handle not in (CURRENT, mine):
        await recent_session(session, settings)
        mine = await _checked(handle, session.user_id, sessions)
    revoked = await sessions.revoke_session(mine, "ended by the user", actor=session.handle)
    if mine == session.handle:
        cookies.take_back(response, settings.session_cookie_name)
    return ended([revoked.handle], durable=revoked.durable)


@router.delete("/sessions", dependencies=[Depends(same_site)])
async def end_my_others(
    session: RecentSession, sessions: Sessions, reason: Annotated[str | None, Query(max_length=256)] = None
) -> EndedView:
    """End all my sessions but the one of the cookie. Needs a login of the last SESSION_RECENT_LOGIN_SECONDS."""
    revoked = await sessions.revoke_user_sessions(
        session.user_id, reason or "ended by the user", except_session_id=session.handle, actor=session.handle
    )
    return ended(revoked.handles, durable=revoked.durable)


async def _checked(handle: str, user_id: str, sessions: Sessions) -> str:
    found = await sessions.inspect_session(handle)
    if found is None or found.user_id != user_id:
        raise Problem(404, "no-such-session", "you have no session of this handle")
    return found.handle
