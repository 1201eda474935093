"""What an experiment works with: the target, callers of the session library, and a recorder."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from conformance.client import Client
from conformance.history import Recorder
from conformance.targets import Target
from conformance.view import View
from conformance.waiting import finished
from session_core import SessionManager
from session_core.address import Address

TTL_SECONDS: Final = 900
"""Sessions of the suite end by themselves, whatever happens to it."""
TOMBSTONE_SECONDS: Final = 600
LIMIT: Final = 5


class EngineError(Exception):
    """The suite could not do what it had to; nothing is said about the target."""


@dataclass
class Lab:
    """One run of one experiment.

    Attributes:
        run: mark of this run of the suite; every user is named after it.
        recovery_seconds: how long a failover may take, from the fault to the next accepted write.
    """

    target: Target
    run: str
    recorder: Recorder
    recovery_seconds: float = 8.0
    users: set[str] = field(default_factory=set)

    @property
    def view(self) -> View:
        """Who is primary, and is all in step."""
        return View(self.target)

    def user(self, name: str) -> str:
        """The name of a user that nobody but this run has."""
        full = f"conformance-{self.run}-{name}"
        self.users.add(full)
        return full

    @asynccontextmanager
    async def client(self, name: str, **settings: Any) -> AsyncIterator[Client]:  # noqa: ANN401 - those of Settings
        """A caller with connections of its own."""
        defaults = {
            "session_ttl_seconds": TTL_SECONDS,
            "session_max_lifetime_seconds": 4 * TTL_SECONDS,
            "session_tombstone_seconds": TOMBSTONE_SECONDS,
            "session_max_concurrent": LIMIT,
            # What a stack has set for its own users is no promise of the library.
            "session_sliding_window": True,
            "session_limit_policy": "oldest",
        }
        async with SessionManager(self.target.settings(**{**defaults, **settings})) as sessions:
            yield Client(name, sessions, self.recorder)

    @asynccontextmanager
    async def clients(self, count: int, **settings: Any) -> AsyncIterator[list[Client]]:  # noqa: ANN401
        """So many callers, named by number."""
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(self.client(f"client-{n + 1}", **settings)) for n in range(count)]

    @asynccontextmanager
    async def fault(self, fault: str, node: Address) -> AsyncIterator[None]:
        """Do something to a node; it is undone at the end, whatever happens, even if we are cancelled meanwhile.

        Raises:
            FaultError: it could not be done, or not be undone.
        """
        injecting = asyncio.ensure_future(asyncio.to_thread(self.target.faults.inject, fault, node.host))
        try:
            await asyncio.shield(injecting)
            yield
        finally:
            await asyncio.wait([injecting])
            if not injecting.exception():
                await finished(injecting.result())

    async def tidy(self) -> None:
        """End every session of this experiment's users."""
        async with self.client("tidy") as tidy:
            await asyncio.gather(*(tidy.sessions.revoke_user_sessions(user, "conformance") for user in self.users))
