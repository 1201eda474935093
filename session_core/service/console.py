"""The operators' page: figures, a user's sessions, ending them with a reason, what happened lately.

For users with the realm role KEYCLOAK_OPERATOR_ROLE who have logged in within the last hour (ASVS 7.5.3).
"""

from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request, Response

from session_core.ids import is_handle
from session_core.keycloak.sessions import is_tied
from session_core.service.guards import (
    Configured,
    CurrentSession,
    Sessions,
    Tied,
    logged_in_within,
    login_too_old,
    same_site,
)
from session_core.service.pages import back_to, form_of, log_in_page, page, session_or_page
from session_core.service.problems import Problem
from session_core.session import Session

router = APIRouter(prefix="/console", tags=["pages"], include_in_schema=False)
LOGIN_SECONDS: Final = 3600
LONGEST_REASON: Final = 200


def is_operator(session: Session) -> bool:
    """Tell whether Keycloak said so; what a back end wrote into the metadata does not count."""
    return is_tied(session) and session.metadata.get("operator") is True


async def operator(session: CurrentSession, settings: Configured) -> Session:
    """Let operators pass.

    Raises:
        Problem: 403, or 401 if the login was too long ago.
    """
    if not is_operator(session):
        raise Problem(403, "operators-only", "this needs the role of operators at Keycloak")
    if not logged_in_within(session, LOGIN_SECONDS):
        raise login_too_old(LOGIN_SECONDS, settings)
    return session


Operator = Annotated[Session, Depends(operator)]


@router.get("")
async def console(
    request: Request,
    sessions: Sessions,
    settings: Configured,
    tied: Tied,
    user: Annotated[str, Query(max_length=256)] = "",
) -> Response:
    """Show the figures, and a user's sessions if one is asked for."""
    session = await session_or_page(request)
    if not isinstance(session, Session):
        return session
    if is_operator(session) and not logged_in_within(session, LOGIN_SECONDS):
        return log_in_page(request, more=f"&max_age={LOGIN_SECONDS}")
    await operator(session, settings)
    found = await sessions.get_user_sessions(await tied.hints.user_named(user) or user) if user else []
    figures = {
        "active_sessions": await sessions.count_active_sessions(),
        "active_users": await sessions.count_active_users(),
    }
    events = list(request.app.state.endings.recent)
    return page(
        request, "console.html", session=session, here="console", user=user, sessions=found, events=events, **figures
    )


@router.post("/sessions/{handle}/end", dependencies=[Depends(same_site)])
async def end_one(handle: str, request: Request, by: Operator, sessions: Sessions) -> Response:
    """End one session, with a reason that its user is told."""
    form = await form_of(request)
    if is_handle(handle):
        await sessions.revoke_session(handle, _reason(form), actor=by.handle)
    return back_to(f"/console?user={quote(form.get('user', ''), safe='')}")


@router.post("/end-all", dependencies=[Depends(same_site)])
async def end_all(request: Request, by: Operator, sessions: Sessions, tied: Tied) -> Response:
    """End all sessions of a user."""
    form = await form_of(request)
    user = form.get("user", "")
    await sessions.revoke_user_sessions(await tied.hints.user_named(user) or user, _reason(form), actor=by.handle)
    return back_to(f"/console?user={quote(user, safe='')}")


def _reason(form: dict[str, str]) -> str:
    return form.get("reason", "").strip()[:LONGEST_REASON] or "ended by an operator"
