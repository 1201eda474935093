"""What ends Keycloak's session after ours has gone: its ID token, kept apart from the session and encrypted.

The session's own copy is sealed under an id that only the user holds, and the tombstone of a revoked session has none.
An ID token as a hint ends its session and opens nothing. It is encrypted under a key made from the client's secret,
which every process has and the store has not (docs/decisions/0031-keycloaks-side-is-ended-with-an-id-token.md).
"""

import os
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from session_core.manager import SessionManager
from session_core.session import Session

_NONCE_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class Hint:
    """How to end Keycloak's session of one of ours.

    Attributes:
        sid: Keycloak's session; empty if Keycloak did not say.
        id_token: ends it.
    """

    sid: str
    id_token: str


class Hints:
    """The hints of all sessions of a store, by their handles; and their users by Keycloak's `sid` and by name."""

    def __init__(self, sessions: SessionManager, client_secret: str) -> None:
        self._shared = sessions.ephemeral
        self._seconds = sessions.settings.session_max_lifetime_seconds
        key = HKDF(SHA256(), 32, salt=None, info=b"redis-session-kit logout hint").derive(client_secret.encode())
        self._cipher = AESGCM(key)

    async def keep(self, session: Session, sid: str, id_token: str | None) -> None:
        """Note how to end Keycloak's session of this one, for as long as the session may live."""
        if id_token:
            nonce = os.urandom(_NONCE_BYTES)
            sealed = nonce + self._cipher.encrypt(nonce, f"{sid} {id_token}".encode(), session.handle.encode())
            await self._shared.put("hint", session.handle, sealed, self._seconds)
        if sid:
            await self._shared.put("sid", sid, session.user_id.encode(), self._seconds)
        if isinstance(name := session.metadata.get("preferred_username"), str):
            await self._shared.put("name", name.lower(), session.user_id.encode(), self._seconds)

    async def get(self, handle: str) -> Hint | None:
        """Return the hint of a session that may be gone."""
        sealed = await self._shared.get("hint", handle)
        if sealed is None:
            return None
        try:
            opened = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], handle.encode())
        except InvalidTag:  # the client's secret was changed
            return None
        sid, _, id_token = opened.decode().partition(" ")
        return Hint(sid, id_token)

    async def drop(self, handle: str) -> None:
        """Forget a hint that has done its work."""
        await self._shared.drop("hint", handle)

    async def user_of(self, sid: str) -> str | None:
        """Return the user who logged in with this session of Keycloak."""
        user = await self._shared.get("sid", sid)
        return user.decode() if user else None

    async def user_named(self, name: str) -> str | None:
        """Return the user who logged in under this name."""
        user = await self._shared.get("name", name.lower())
        return user.decode() if user else None
