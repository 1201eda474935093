"""Watches the store, so that the service can start before it, tell when it is away, and say what to do."""

import asyncio
import logging
from typing import Final

from session_core.errors import SessionError
from session_core.manager import SessionManager

GREEN_SECONDS: Final = 2.0
RED_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 2.0
log = logging.getLogger(__name__)


class Readiness:
    """`problem` is None while the store is reachable and prepared, else what is wrong."""

    def __init__(self, sessions: SessionManager) -> None:
        self._sessions = sessions
        self.problem: str | None = "the store was not asked yet"

    async def watch(self) -> None:
        """Ask again and again; log each change once. Ends when cancelled."""
        known: str | None = ""
        while True:
            try:
                await self._sessions.check(seconds=PATIENCE_SECONDS)
                self.problem = None
            except SessionError as error:
                self.problem = str(error)
            kind = None if self.problem is None else self.problem.partition(":")[0]
            if kind != known:
                known = kind
                if self.problem is None:
                    log.info("ready: the store is reachable and prepared")
                else:
                    log.warning("not ready, waiting: %s", self.problem)
            await asyncio.sleep(GREEN_SECONDS if self.problem is None else RED_SECONDS)
