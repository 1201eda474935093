"""Remembers revocations that no replica has confirmed, and repeats them until one has (S7).

A failover can undo what was not replicated: without this a session that was ended would be back. What is kept are
handles and the moment of the server's clock, no secrets; a repeat ends the same sessions, never a later login (S6). The
journal is this process's: it ends with it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from functools import partial
from typing import Final

from session_core.counts import Counts
from session_core.errors import StoreError, StoreUnavailable
from session_core.ids import Ref, bucket_of
from session_core.records import Answer, Note, UserRevocation
from session_core.store import Store

SIZE: Final = 1000
AT_ONCE: Final = 8
FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 5.0


class Journal:
    """Carries revocations out, and sees to it that they last. `counts` is told what became of them."""

    def __init__(self, store: Store, counts: Counts, *, wanted: bool) -> None:
        """Start empty; it stays so if no confirmation is wanted."""
        self._store = store
        self._counts = counts
        self._wanted = wanted
        self._again: dict[Hashable, Callable[[], Awaitable[bool]]] = {}
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many revocations wait for a confirmation."""
        return len(self._again)

    async def revoke(self, ref: Ref, note: Note) -> tuple[Answer, bool]:
        """See `Store`; also remembered if the store is away, or the caller gives up: it may have been done.

        Raises:
            StoreError: as the store.
        """
        try:
            answer, durable = await self._store.revoke(ref, note)
        except (StoreUnavailable, asyncio.CancelledError):
            self._remember(ref, partial(self._revoked, ref, note))
            raise
        if answer.record is not None and not durable:
            # An id in its grace ends the session that it became; after the grace only that one's name leads there.
            for one in {ref, Ref(ref.bucket, answer.digest or ref.digest)}:
                self._remember(one, partial(self._revoked, one, note))
        return answer, durable

    async def revoke_user(self, what: UserRevocation) -> tuple[tuple[str, ...], bool]:
        """See `Store`.

        Where a session is spared, what is repeated is exactly what was ended: the spared one may get another name. So
        where it is not known what was ended, nothing is repeated.
        """
        try:
            digests, durable = await self._store.revoke_user(what)
        except (StoreUnavailable, asyncio.CancelledError):
            if not what.spared:
                self._remember(what.user, partial(self._revoked_user, what))
            raise
        if not durable and not what.spared:
            self._remember(what.user, partial(self._revoked_user, what))
        elif not durable:
            for one in (Ref(bucket_of(what.user), digest) for digest in digests):
                self._remember(one, partial(self._revoked, one, what.note))
        return digests, durable

    async def aclose(self) -> None:
        """Stop repeating."""
        if self._task is not None and not self._task.done():
            with suppress(RuntimeError):  # its loop has been closed
                self._task.cancel()

    async def _revoked(self, ref: Ref, note: Note) -> bool:
        answer, durable = await self._store.revoke(ref, note)
        return durable or answer.record is None  # what is not there cannot come back either

    async def _revoked_user(self, what: UserRevocation) -> bool:
        _, durable = await self._store.revoke_user(what)
        return durable

    def _remember(self, key: Hashable, again: Callable[[], Awaitable[bool]]) -> None:
        if not self._wanted:
            return
        self._again.pop(key, None)
        self._again[key] = again
        while len(self._again) > SIZE:
            del self._again[next(iter(self._again))]
            self._counts.forgotten += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._repeat())

    async def _repeat(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while self._again:
            await asyncio.sleep(pause)
            keys = list(self._again)
            for start in range(0, len(keys), AT_ONCE):
                await asyncio.gather(*map(self._try, keys[start : start + AT_ONCE]))
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _try(self, key: Hashable) -> None:
        again = self._again.get(key)
        if again is None:
            return
        with suppress(StoreError):  # in the next round
            if await again() and self._again.get(key) is again:
                del self._again[key]
                self._counts.confirmed_late += 1
