"""Connects as the application does and says, step by step, what works and what is wrong."""

import time
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from session_core.errors import SessionError
from session_core.redis_store import RedisStore
from session_core.settings import Settings

SKEW_MS: Final = 1000
PATIENCE_SECONDS: Final = 5.0


class Finding(NamedTuple):
    """One thing that was looked at."""

    good: bool
    text: str


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Look at the settings, the way to the primary, the library, the clocks; stop where it goes no further."""
    target = settings.target
    place = target.path or ", ".join(map(str, target.addresses))
    yield Finding(good=True, text=f"settings: {'Sentinels' if target.sentinel else 'Redis'} at {place}")
    if not settings.tls and not target.path:
        yield Finding(
            good=False, text="no TLS: passwords and sessions cross the network in clear (rediss://, REDIS_SSL)"
        )
    store = RedisStore(settings)
    try:
        await store.check(seconds=PATIENCE_SECONDS)
        present = "function library present" if settings.session_scripts == "functions" else "scripts are run"
        yield Finding(good=True, text=f"connected, logged in, {present}")
        before = time.time_ns() // 1_000_000
        skew = await store.now() - (before + time.time_ns() // 1_000_000) // 2
        yield Finding(abs(skew) < SKEW_MS, f"the clock of the server is {skew:+d} ms from ours")
        yield Finding(good=True, text=f"{await store.count()} live sessions")
    except SessionError as error:
        yield Finding(good=False, text=str(error))
    finally:
        await store.aclose()
    if settings.fail_fast_seconds:
        fast = f"calls fail at once when Redis has been away for {settings.fail_fast_seconds:g} s"
        yield Finding(good=True, text=f"{fast} (SESSION_FAIL_FAST_SECONDS)")
    else:
        yield Finding(
            good=True, text="SESSION_FAIL_FAST_SECONDS is 0: calls wait for their deadline however long Redis is away"
        )
    if settings.wait_replicas == 0:
        yield Finding(good=True, text="SESSION_WAIT_REPLICAS is 0: no write waits for a replica, none is durable")
