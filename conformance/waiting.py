"""Waiting for what blocks, for what becomes true, and for many at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
AT_ONCE = 64


async def finished(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Run a blocking function in a thread, to its end even if we are cancelled: nothing must go on behind us."""
    running = asyncio.ensure_future(asyncio.to_thread(function, *arguments, **named))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


async def until(look: Callable[[], T], seconds: float) -> T | None:
    """Call a blocking function until it returns something true; None after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := await asyncio.to_thread(look)):
        if time.monotonic() > deadline:
            return None
        await asyncio.sleep(0.05)
    return found


async def gather_limited(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Wait for all, no more than AT_ONCE at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(call: Awaitable[T]) -> T:
        async with gate:
            return await call

    return await asyncio.gather(*(one(call) for call in calls))
