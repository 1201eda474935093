"""What the service says of a session: never its secret, never what is sealed."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from session_core.session import Session


class SessionView(BaseModel):
    """A session; `durable` and `evicted` belong to a login, `current` to a listing."""

    handle: str
    user_id: str
    created_at: datetime
    expires_at: datetime
    last_seen_at: datetime
    max_expires_at: datetime
    is_active: bool
    metadata: dict[str, Any]
    durable: bool | None = None
    evicted: list[str] = []
    current: bool | None = None


class EndedView(BaseModel):
    """Handles of the sessions that were ended, and whether replicas confirmed it."""

    ended: list[str]
    durable: bool


def view(session: Session, *, current: bool | None = None) -> SessionView:
    """Return the public face of a session. At a login the caller sent the metadata: it is not repeated."""
    fresh = session.session_id != session.handle
    return SessionView(
        handle=session.handle,
        user_id=session.user_id,
        created_at=session.created_at,
        expires_at=session.expires_at,
        last_seen_at=session.last_seen_at,
        max_expires_at=session.max_expires_at,
        is_active=session.is_active,
        metadata={} if fresh else dict(session.metadata),
        durable=session.durable,
        evicted=list(session.evicted),
        current=current,
    )


def ended(handles: Iterable[str], *, durable: bool) -> EndedView:
    """Return the outcome of a revocation."""
    return EndedView(ended=list(handles), durable=durable)
