"""Ends Keycloak's session where ours was ended: by the limit, an operator, the command line, an application.

Several of our sessions may hang on one of Keycloak's, such as those of logins in one browser: it ends with the last.
Every process reads the events of the store; a lease makes one of them do it.
"""

import asyncio
import logging
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Final

from session_core.errors import SessionError
from session_core.keycloak import KeycloakClient, KeycloakError, KeycloakUnavailable
from session_core.keycloak.hints import Hints
from session_core.keycloak.sessions import ACTOR
from session_core.manager import SessionManager
from session_core.session import Event

LOOK_BACK_SECONDS: Final = 300
"""What happened while no process ran is made up for, if it is not longer ago."""
LEASE_SECONDS: Final = 30.0
PAUSE_SECONDS: Final = 1.0
GIVE_UP: Final = 12
"""Tries at a Keycloak that does not answer, each twice as late as the one before: about an hour."""
RECENT: Final = 50
"""Events that are kept for the operators' page."""
log = logging.getLogger(__name__)


class Endings:
    """Follows the events for as long as the process lives."""

    def __init__(self, sessions: SessionManager, keycloak: KeycloakClient, hints: Hints) -> None:
        self._sessions = sessions
        self._keycloak = keycloak
        self._hints = hints
        self.recent: deque[Event] = deque(maxlen=RECENT)
        self._retries: set[asyncio.Task[None]] = set()

    async def watch(self) -> None:
        """End Keycloak's side of what ends here. Ends when cancelled."""
        after = datetime.now(UTC) - timedelta(seconds=LOOK_BACK_SECONDS)
        try:
            while True:
                try:
                    async for event in self._sessions.events(after):
                        after = event.at
                        if event not in self.recent:  # those of the same millisecond come again after an error
                            self.recent.appendleft(event)
                        if event.kind in {"evicted", "revoked"} and event.actor != ACTOR:
                            await self._end(event.user_id, event.handle, 0)
                except SessionError:
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            for retry in self._retries:
                retry.cancel()

    async def _end(self, user_id: str, handle: str, tries: int) -> None:
        hint = await self._hints.get(handle)
        if hint is None or not await self._sessions.ephemeral.claim("ending", handle, LEASE_SECONDS):
            return
        if hint.sid and await self._is_used(user_id, hint.sid):
            await self._hints.drop(handle)
            return
        try:
            await self._keycloak.end_session(hint.id_token)
        except KeycloakUnavailable:
            await self._sessions.ephemeral.drop("ending", handle)
            if tries < GIVE_UP:
                retry = asyncio.create_task(self._again(user_id, handle, tries + 1))
                self._retries.add(retry)
                retry.add_done_callback(self._retries.discard)
            return
        except KeycloakError as error:  # most likely it had ended before
            log.info("Keycloak did not end a session: %s", error)
        await self._hints.drop(handle)

    async def _is_used(self, user_id: str, sid: str) -> bool:
        """Tell whether a live session hangs on this one of Keycloak's. Of two that end at once the later sees none."""
        live = await self._sessions.get_user_sessions(user_id, consistent=True)
        return any(one.metadata.get("sid") == sid for one in live)

    async def _again(self, user_id: str, handle: str, tries: int) -> None:
        await asyncio.sleep(PAUSE_SECONDS * 2**tries)
        try:
            await self._end(user_id, handle, tries)
        except SessionError as error:
            log.warning("a session of Keycloak's lives on, the store did not say how to end it: %s", error)
