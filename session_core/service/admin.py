"""For operators and back ends, behind the admin token: anybody's sessions, and the figures."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from session_core.errors import InvalidSessionId
from session_core.ids import is_handle
from session_core.service.guards import Sessions, require_admin
from session_core.service.problems import Problem
from session_core.service.views import EndedView, SessionView, ended, view

router = APIRouter(prefix="/v1/admin", tags=["admin"], dependencies=[Depends(require_admin)])
Reason = Annotated[str | None, Query(max_length=256, description="what the user is told")]
ACTOR = "admin"


class Stats(BaseModel):
    """Figures of the whole store, and what this process has done since its start."""

    active_sessions: int
    active_users: int
    process: dict[str, int]


@router.get("/users/{user_id:path}/sessions")
async def list_of_user(user_id: str, sessions: Sessions) -> list[SessionView]:
    """List the live sessions of a user, oldest first."""
    return [view(session) for session in await sessions.get_user_sessions(user_id)]


@router.delete("/users/{user_id:path}/sessions")
async def end_all_of_user(user_id: str, sessions: Sessions, reason: Reason = None) -> EndedView:
    """End all sessions of a user."""
    revoked = await sessions.revoke_user_sessions(user_id, reason, actor=ACTOR)
    return ended(revoked.handles, durable=revoked.durable)


@router.delete("/sessions/{handle}")
async def end_one(handle: str, sessions: Sessions, reason: Reason = None) -> EndedView:
    """End a session by its handle."""
    if not is_handle(handle):
        message = "give the handle of the session, not its id: addresses end up in logs"
        raise InvalidSessionId(message)
    revoked = await sessions.revoke_session(handle, reason, actor=ACTOR)
    if not revoked:
        raise Problem(404, "no-such-session", "there is no session of this handle")
    return ended([revoked.handle], durable=revoked.durable)


@router.get("/stats")
async def stats(sessions: Sessions) -> Stats:
    """Return the figures."""
    return Stats(
        active_sessions=await sessions.count_active_sessions(),
        active_users=await sessions.count_active_users(),
        process=asdict(sessions.counts),
    )
