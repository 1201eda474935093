"""Sessions that began with a login at Keycloak: how they are opened, kept in step with it, and found again.

The user id is the `sub` (ASVS 10.5.2). `iss, sub, sid` and the expiry of the access token are unsealed metadata, the
tokens are sealed.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from session_core.errors import SessionError
from session_core.keycloak.client import KeycloakClient, Tokens
from session_core.keycloak.errors import InvalidToken, KeycloakRefused, KeycloakUnavailable
from session_core.keycloak.hints import Hints
from session_core.keycloak.tokens import LEEWAY_SECONDS, LOGOUT_AGE_SECONDS, Claims
from session_core.manager import SessionManager
from session_core.session import JsonValue, Metadata, Session

ACTOR: Final = "keycloak"
ENDED: Final = "ended by Keycloak"
MARGIN_SECONDS: Final = 10
"""An access token that is handed out is good for at least this long."""
LEASE_SECONDS: Final = 45.0
"""Longer than a request to Keycloak and the write that follows can take."""
PATIENCE_SECONDS: Final = 15.0
POLL_SECONDS: Final = 0.05
AWAY_SECONDS: Final = 5.0
"""How long Keycloak is left alone after it did not answer."""


class KeycloakSessions:
    """Ties the sessions of a manager to those of a realm. Any number of processes may do it for the same store."""

    def __init__(self, sessions: SessionManager, keycloak: KeycloakClient) -> None:
        """Keep both; nothing is sent."""
        self._sessions = sessions
        self._keycloak = keycloak
        self._shared = sessions.ephemeral
        self.hints = Hints(sessions, keycloak.settings.keycloak_client_secret.get_secret_value())
        self._away_until = 0.0

    async def open(self, tokens: Tokens, claims: Claims, metadata: Mapping[str, JsonValue]) -> Session:
        """Log in the user of these ID token claims, which were checked.

        A logout token that arrives while this runs wins: the session is then returned revoked.
        """
        sid = str(claims.get("sid", ""))
        identity: Metadata = {"iss": claims["iss"], "sub": claims["sub"], "sid": sid}
        shown: Metadata = {name: claims[name] for name in ("preferred_username", "name") if name in claims}
        # Keycloak may have known the user for long: the time of the token does not tell when he proved who he is.
        when: Metadata = {"authenticated_at": int(claims.get("auth_time") or 0)}
        roles: Metadata = {"operator": self._is_operator(await self._keycloak.read_token(tokens["access_token"]))}
        everything = {**metadata, **identity, **shown, **when, **roles, **_kept(tokens)}
        session = await self._sessions.create_session(claims["sub"], everything)
        await self.hints.keep(session, sid, tokens.get("id_token"))
        if sid and await self._shared.get("ended-sid", sid) is not None:
            await self._sessions.revoke_session(session.handle, ENDED, actor=ACTOR)
            return await self._sessions.inspect_session(session.session_id) or session
        return session

    async def follow(self, session: Session) -> Session | None:
        """Return the session if Keycloak still has its own; asked once for each life of an access token.

        Who asks gets a new access token with the answer. Others go on meanwhile, and while Keycloak is away.
        """
        if not self._keycloak.settings.keycloak_follow or not _due(session, 0) or self._away_until > time.monotonic():
            return session
        lease = ("refresh", session.handle)
        if not await self._shared.claim(*lease, LEASE_SECONDS):
            return session
        try:
            return await self._refresh(session, 0)
        except KeycloakUnavailable:
            return session
        finally:
            await self._shared.drop(*lease)

    async def fresh(self, session: Session) -> Session | None:
        """Return the session with an access token that is good for a while; of all processes one refreshes it.

        Raises:
            KeycloakUnavailable: neither we nor another process got one in time.
        """
        found: Session | None = session
        deadline = time.monotonic() + PATIENCE_SECONDS
        while found is not None and found.is_active and _due(found, MARGIN_SECONDS):
            lease = ("refresh", found.handle)
            if await self._shared.claim(*lease, LEASE_SECONDS):
                try:
                    return await self._refresh(found, MARGIN_SECONDS)
                finally:
                    await self._shared.drop(*lease)
            if time.monotonic() > deadline:
                raise KeycloakUnavailable("another process has not got new tokens in time")
            await asyncio.sleep(POLL_SECONDS)
            found = await self._sessions.inspect_session(session.session_id)
        return found

    async def ended_by_keycloak(self, claims: Claims) -> tuple[str, ...]:
        """End what a logout token names, which was checked, and return the handles.

        With `sid` its sessions, else all of `sub` (Back-Channel Logout 1.0 section 2.7).

        Raises:
            InvalidToken: the same token came before.
        """
        lease = ("logout-token", f"{claims['iss']} {claims['jti']}")
        if not await self._shared.claim(*lease, LOGOUT_AGE_SECONDS + 2 * LEEWAY_SECONDS):
            raise InvalidToken("this logout token came before")
        try:
            return await self._end(claims.get("sub"), claims.get("sid"))
        except SessionError:
            await self._shared.drop(*lease)  # not done: the same token may come again
            raise

    async def _end(self, sub: str | None, sid: str | None) -> tuple[str, ...]:
        if sid:
            await self._shared.put("ended-sid", sid, b"1", LEASE_SECONDS)
            sub = sub or await self.hints.user_of(sid)
        if not sub:
            return ()
        if not sid:
            return (await self._sessions.revoke_user_sessions(sub, ENDED, actor=ACTOR)).handles
        live = await self._sessions.get_user_sessions(sub, consistent=True)
        mine = [one for one in live if one.metadata.get("sid") == sid]
        await asyncio.gather(*(self._sessions.revoke_session(one.handle, ENDED, actor=ACTOR) for one in mine))
        return tuple(one.handle for one in mine)

    async def _refresh(self, session: Session, margin: float) -> Session | None:
        current = await self._sessions.inspect_session(session.session_id)
        if current is None or not current.is_active or not _due(current, margin):
            return current  # another process has just done it
        try:
            tokens = await self._keycloak.refresh(str(current.metadata.get("refresh_token", "")))
            claims = await self._keycloak.read_token(tokens["access_token"])
        except KeycloakUnavailable:
            self._away_until = time.monotonic() + AWAY_SECONDS
            raise
        except KeycloakRefused as refusal:
            if refusal.code != "invalid_grant":
                raise
            await self._sessions.revoke_session(current.handle, ENDED, actor=ACTOR)
            return await self._sessions.inspect_session(session.session_id)
        changes = {**_kept(tokens), "operator": self._is_operator(claims)}
        return await self._sessions.update_metadata(session.session_id, changes)

    def _is_operator(self, access: Claims) -> bool:
        roles = access.get("realm_access", {}).get("roles", [])
        return self._keycloak.settings.keycloak_operator_role in roles


def is_tied(session: Session) -> bool:
    """Tell whether a session began with a login at Keycloak."""
    return isinstance(session.metadata.get("access_expires_at"), int)


def _due(session: Session, margin: float) -> bool:
    expires = session.metadata.get("access_expires_at")
    return isinstance(expires, int) and time.time() > expires - margin


def _kept(tokens: Tokens) -> Metadata:
    kept: Metadata = {name: tokens[name] for name in ("access_token", "refresh_token", "id_token") if name in tokens}
    return {**kept, "access_expires_at": int(time.time()) + int(tokens.get("expires_in", 60))}
