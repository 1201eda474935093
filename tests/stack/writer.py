"""A client of the session library that keeps logging users in while things break."""

import asyncio
import itertools
import secrets
import threading
import time
from types import TracebackType
from typing import Self

from session_core.errors import SessionError
from session_core.manager import SessionManager
from session_core.settings import Settings
from tests.stack.kit import eventually

CLIENTS = 4
PAUSE = 0.01  # s between two logins of one client


class Writer:
    """Creates sessions from a thread of its own; `acknowledged` are those whose result said durable."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.acknowledged: dict[str, str] = {}
        self.unconfirmed: dict[str, str] = {}
        self.failures: list[str] = []
        self.accepted_at: list[float] = []
        # Users of its own: what another writer has logged in must not end by the limit of sessions for one user.
        self._name = secrets.token_hex(4)
        self._numbers = itertools.count()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(30)

    def wait_for(self, more: int, timeout: float = 60) -> None:
        """Wait until `more` further sessions are acknowledged."""
        goal = len(self.acknowledged) + more
        eventually(f"{more} more sessions", lambda: len(self.acknowledged) >= goal, timeout)

    @property
    def longest_gap(self) -> float:
        """Longest time in s between two accepted writes."""
        return max((b - a for a, b in itertools.pairwise(sorted(self.accepted_at))), default=0)

    async def _run(self) -> None:
        async with SessionManager(self.settings) as manager:
            await asyncio.gather(*(self._client(manager) for _ in range(CLIENTS)))

    async def _client(self, manager: SessionManager) -> None:
        while not self._ended.is_set():
            user = f"{self._name}-{next(self._numbers)}"
            try:
                session = await manager.create_session(user)
            except SessionError as error:
                self.failures.append(f"{type(error).__name__}: {error}")
            else:
                kept = self.acknowledged if session.durable else self.unconfirmed
                kept[session.session_id] = user
                if session.durable:
                    self.accepted_at.append(time.monotonic())
            await asyncio.sleep(PAUSE)


def lost(settings: Settings, sessions: dict[str, str]) -> list[str]:
    """Users among `sessions` (id -> user) whose session is not there any more."""

    async def look() -> list[str]:
        async with SessionManager(settings) as manager:
            found = [(user, await manager.get_session(session_id)) for session_id, user in sessions.items()]
        return [user for user, session in found if not (session and session.is_active and session.user_id == user)]

    return asyncio.run(look())
