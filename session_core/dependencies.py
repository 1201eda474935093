"""FastAPI dependencies over `session_core.asgi.SessionMiddleware`.

``CurrentSession`` may be None, ``RequiredSession`` answers 401 without one, and ``Depends(logged_in_within(300))`` also
where the user proved who he is longer ago than that (ASVS 7.5.3).
"""

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request

from session_core.session import Session


async def current_session(request: Request) -> Session | None:
    """Return the live session of the request, or None."""
    session: Session | None = request.state.session
    return session if session is not None and session.is_active else None


async def require_session(request: Request) -> Session:
    """Return the live session of the request.

    Raises:
        HTTPException: 401; `detail` says why the session was ended, if it was.
    """
    session = await current_session(request)
    if session is None:
        ended: Session | None = request.state.session
        told: dict[str, Any] = {"error": "no-session"}
        if ended is not None and ended.revocation is not None:
            told = {"error": "session-revoked", "reason": ended.revocation.reason}
        raise HTTPException(401, told, {"Cache-Control": "no-store"})
    return session


def logged_in_within(seconds: int) -> Callable[[Request], Awaitable[Session]]:
    """Make a dependency that wants a login of the last so many seconds (`authenticated_at` in the metadata).

    It answers 401 as RFC 9470 says; the client sends its user to log in with `max_age`.
    """

    async def recent(request: Request) -> Session:
        session = await require_session(request)
        at = session.metadata.get("authenticated_at")
        if not isinstance(at, int) or at < time.time() - seconds:
            challenge = f'Bearer error="insufficient_user_authentication", max_age="{seconds}"'
            told = {"error": "login-too-old", "max_age": seconds}
            raise HTTPException(401, told, {"WWW-Authenticate": challenge, "Cache-Control": "no-store"})
        return session

    return recent


CurrentSession = Annotated[Session | None, Depends(current_session)]
RequiredSession = Annotated[Session, Depends(require_session)]
