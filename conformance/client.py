"""A caller of the session library of whom every call is recorded."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from conformance.history import Outcome, Recorder
from session_core import Revoked, RevokedAll, Session, SessionManager
from session_core.errors import SessionError, StoreUnavailable

T = TypeVar("T")


@dataclass(frozen=True)
class Client:
    """Calls are those of `SessionManager`; None stands for an answer that did not come, as for no session."""

    name: str
    sessions: SessionManager
    recorder: Recorder

    async def create(self, user: str, **more: Any) -> Session | None:  # noqa: ANN401 - those of create_session
        """Log a user in."""
        return await self._record(
            "create", {"user": user, **more}, self.sessions.create_session(user, **more), _session
        )

    async def get(self, session: Session) -> Session | None:
        """Read a session, as a request of its user does."""
        return await self._record("get", _named(session), self.sessions.get_session(session.session_id), _session)

    async def inspect(self, session: Session) -> Session | None:
        """Look at a session without extending it."""
        asked = self.sessions.inspect_session(session.session_id)
        return await self._record("inspect", _named(session), asked, _session)

    async def refresh(self, session: Session) -> Session | None:
        """Extend a session."""
        return await self._record(
            "refresh", _named(session), self.sessions.refresh_session(session.session_id), _session
        )

    async def rotate(self, session: Session, grace: int) -> Session | None:
        """Give a session a new id."""
        asked = self.sessions.rotate_session(session.session_id, grace_seconds=grace)
        return await self._record("rotate", {**_named(session), "grace": grace}, asked, _session)

    async def revoke(self, session: Session, reason: str = "logout") -> Revoked | None:
        """End a session."""
        asked = self.sessions.revoke_session(session.session_id, reason)
        return await self._record("revoke", {**_named(session), "reason": reason}, asked, _revoked)

    async def revoke_all(self, user: str, reason: str = "logout") -> RevokedAll | None:
        """End all sessions of a user."""
        asked = self.sessions.revoke_user_sessions(user, reason)
        return await self._record("revoke_all", {"user": user, "reason": reason}, asked, _revoked_all)

    async def list(self, user: str) -> list[Session] | None:
        """List the sessions of a user."""
        asked = self.sessions.get_user_sessions(user)
        return await self._record(
            "list", {"user": user}, asked, lambda found: {"sessions": [each.handle for each in found]}
        )

    async def count(self, user: str | None = None) -> int | None:
        """Count the sessions of a user, or of all."""
        asked = self.sessions.count_user_sessions(user) if user else self.sessions.count_active_sessions()
        return await self._record("count", {"user": user}, asked, lambda found: {"count": found})

    async def _record(
        self, call: str, asked: Mapping[str, Any], doing: Awaitable[T], told: Callable[[T], Mapping[str, Any]]
    ) -> T | None:
        number = self.recorder.invoke(self.name, call, **asked)
        outcome: Outcome = "info"
        try:
            answer = await doing
        except SessionError as error:
            unknown = isinstance(error, StoreUnavailable) and error.outcome_unknown
            outcome = "info" if unknown else "fail"
            self.recorder.complete(number, outcome, error=type(error).__name__, message=str(error))
            return None
        except asyncio.CancelledError:
            self.recorder.complete(number, outcome, error="cancelled")
            raise
        self.recorder.complete(number, "ok", **told(answer))
        return answer


def _named(session: Session) -> dict[str, Any]:
    return {"session": session.handle, "user": session.user_id}


def _session(found: Session | None) -> Mapping[str, Any]:
    """What is told of a session; its id is not."""
    if found is None:
        return {"session": None, "alive": False}
    return {
        "session": found.handle,
        "alive": found.is_active,
        "created": found.created_at.timestamp(),
        "expires": found.expires_at.timestamp(),
        "durable": found.durable,
        "evicted": list(found.evicted),
        "reason": found.revocation.reason if found.revocation else None,
    }


def _revoked(outcome: Revoked) -> Mapping[str, Any]:
    return {"found": bool(outcome), "durable": outcome.durable}


def _revoked_all(outcome: RevokedAll) -> Mapping[str, Any]:
    return {"sessions": list(outcome.handles), "durable": outcome.durable}
