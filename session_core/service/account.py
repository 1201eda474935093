"""The page "my devices", and what its buttons do. Without a recent login it has a way to log in again instead."""

from typing import Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse

from session_core.ids import is_handle
from session_core.service.guards import Configured, CurrentSession, Sessions, may_end_others, same_site
from session_core.service.pages import FOLDER, back_to, page, session_or_page
from session_core.session import Session

router = APIRouter(prefix="/account", tags=["pages"], include_in_schema=False)
REASON: Final = "ended by the user"


@router.get("")
async def devices(request: Request, sessions: Sessions, settings: Configured) -> Response:
    """Show where I am logged in, or why I no longer am."""
    session = await session_or_page(request)
    if not isinstance(session, Session):
        return session
    mine = await sessions.get_user_sessions(session.user_id)
    may_end = may_end_others(session, settings)
    return page(request, "account.html", session=session, sessions=mine, may_end=may_end, here="account")


@router.post("/sessions/{handle}/end", dependencies=[Depends(same_site)])
async def end_one(handle: str, session: CurrentSession, sessions: Sessions, settings: Configured) -> Response:
    """End one of my sessions; nobody else's."""
    may_end = is_handle(handle) and may_end_others(session, settings)
    found = await sessions.inspect_session(handle) if may_end else None
    if found is not None and found.user_id == session.user_id:
        await sessions.revoke_session(found.handle, REASON, actor=session.handle)
    return back_to("/account")


@router.post("/end-others", dependencies=[Depends(same_site)])
async def end_others(session: CurrentSession, sessions: Sessions, settings: Configured) -> Response:
    """End all my sessions but this one."""
    if may_end_others(session, settings):
        mine = session.handle
        await sessions.revoke_user_sessions(session.user_id, REASON, except_session_id=mine, actor=mine)
    return back_to("/account")


@router.get("/style.css")
async def style() -> FileResponse:
    """Style of the pages."""
    return FileResponse(FOLDER / "style.css", media_type="text/css")
