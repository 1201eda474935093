"""The class of the former system, with its method names, on top of `SessionManager`.

What is other than there: ids in lists are handles (they delete, and open nothing); the limit, the revocation and the
expiry hold; a store that is away raises `StoreError` instead of looking like a session that is not there.
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from session_core.errors import InvalidMetadata, InvalidSessionId, InvalidTtl
from session_core.manager import SessionManager
from session_core.session import JsonValue, Session
from session_core.settings import Settings


class SessionData(BaseModel):
    """A session as the former system shows it; times are ISO 8601, UTC."""

    session_id: str = Field(min_length=32)
    user_id: str = Field(min_length=1)
    username: str
    roles: list[str] = []
    metadata: dict[str, Any] = {}
    created_at: str
    last_accessed: str
    expires_at: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return self.model_dump()

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "SessionData":
        """Make it of plain values."""
        return cls(**data)


class SessionStore:
    """The former interface. `username` and `roles` are entries of the metadata, under these names.

    Ids of the former system work where SESSION_OLD_IDS is set and they were imported.
    """

    def __init__(self, sessions: SessionManager) -> None:
        """Use this manager; `aclose` closes it."""
        self.sessions = sessions

    async def create(
        self,
        user_id: str,
        username: str,
        roles: list[str],
        metadata: dict[str, Any] | None = None,
        ttl_seconds: int | None = None,
    ) -> str:
        """Log a user in; return the session id.

        Raises:
            InvalidInput: as `SessionManager.create_session`; also for metadata named `username` or `roles`.
        """
        _refuse_reserved(metadata or {})
        entries: dict[str, JsonValue] = {**(metadata or {}), "username": username, "roles": [*roles]}
        return (await self.sessions.create_session(user_id, entries, ttl_seconds)).session_id

    async def get(self, session_id: str) -> SessionData | None:
        """Return the live session of this id, extended if that is due; None for any other text."""
        try:
            session = await self.sessions.get_session(session_id)
        except InvalidSessionId:
            return None
        return _data(session) if session is not None and session.is_active else None

    async def update(self, session_id: str, metadata: dict[str, Any]) -> bool:
        """Set entries of the metadata; entries that it does not name stay. False if there is no such session."""
        _refuse_reserved(metadata)
        try:
            session = await self.sessions.update_metadata(session_id, metadata)
        except InvalidSessionId:
            return False
        return session is not None and session.is_active

    async def refresh(self, session_id: str, ttl_seconds: int | None = None) -> bool:
        """Extend a session by the TTL that it was created with. False if there is no such session.

        Raises:
            InvalidTtl: another TTL is asked for: it is fixed at login.
        """
        if ttl_seconds is not None:
            message = "ttl_seconds cannot change at a refresh: a session keeps the TTL of its login"
            raise InvalidTtl(message)
        try:
            session = await self.sessions.refresh_session(session_id)
        except InvalidSessionId:
            return False
        return session is not None and session.is_active

    async def delete(self, session_id: str) -> bool:
        """End a session, given its id or its handle. False if there is no such live session."""
        try:
            before = await self.sessions.inspect_session(session_id)
            ended = await self.sessions.revoke_session(session_id)
        except InvalidSessionId:
            return False
        return bool(ended) and before is not None and before.is_active

    async def list_user_sessions(self, user_id: str) -> list[SessionData]:
        """List the user's live sessions, oldest first; `session_id` is the handle. This counts as nobody's activity."""
        return [_data(session) for session in await self.sessions.get_user_sessions(user_id)]

    async def delete_user_sessions(self, user_id: str) -> int:
        """End all sessions of a user; return how many."""
        return len((await self.sessions.revoke_user_sessions(user_id)).handles)

    async def get_inactive_sessions(self, cutoff_date: datetime) -> list[SessionData]:
        """List the live sessions that were last extended before a moment (timezone-aware). One call for each user."""
        return [
            _data(session)
            async for user in self.sessions.iter_active_users()
            for session in await self.sessions.get_user_sessions(user)
            if session.last_seen_at < cutoff_date
        ]

    async def delete_inactive_sessions(self, cutoff_date: datetime) -> int:
        """End the sessions that were last extended before a moment; return how many."""
        return sum([await self.delete(data.session_id) for data in await self.get_inactive_sessions(cutoff_date)])

    async def aclose(self) -> None:
        """Close the connections."""
        await self.sessions.aclose()


def create_session_store(  # noqa: PLR0913 - of the former interface
    backend: str = "memory",
    redis_url: str | None = None,
    *,
    default_ttl_seconds: int | None = None,
    ttl_seconds: int | None = None,
    sliding_window: bool = True,
    max_concurrent_sessions: int = 5,
    ssl: bool = False,
    password: str | None = None,
    decode_responses: bool = True,  # noqa: ARG001 - of the former interface
) -> SessionStore:
    """Make a store as the former factory does; what is not given comes from the environment.

    Raises:
        ValueError: an unknown back end, or no URL for redis.
    """
    chosen: dict[str, Any] = {
        "session_backend": backend.lower(),
        "session_sliding_window": sliding_window,
        "session_max_concurrent": max_concurrent_sessions,
    }
    if backend.lower() not in {"memory", "redis"}:
        message = f"Unknown session backend: {backend}. Supported: 'memory', 'redis'"
        raise ValueError(message)
    if backend.lower() == "redis" and not redis_url:
        message = "redis_url required for Redis backend"
        raise ValueError(message)
    ttl = default_ttl_seconds if ttl_seconds is None else ttl_seconds
    chosen |= {"session_ttl_seconds": ttl} if ttl is not None else {}
    chosen |= {"redis_url": redis_url} if redis_url else {}
    chosen |= {"redis_ssl": True} if ssl else {}
    chosen |= {"redis_password": password} if password else {}
    return SessionStore(SessionManager(Settings(**chosen)))


def _refuse_reserved(metadata: dict[str, Any]) -> None:
    if not metadata.keys().isdisjoint({"username", "roles"}):
        message = "the names username and roles in the metadata are taken by those of the session"
        raise InvalidMetadata(message)


def _data(session: Session) -> SessionData:
    entries: dict[str, Any] = dict(session.metadata)
    username, roles = entries.pop("username", ""), entries.pop("roles", [])
    return SessionData(
        session_id=session.session_id,
        user_id=session.user_id,
        username=username,
        roles=roles,
        metadata=entries,
        created_at=session.created_at.isoformat(),
        last_accessed=session.last_seen_at.isoformat(),
        expires_at=session.expires_at.isoformat(),
    )
