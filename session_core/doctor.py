"""Connects as the application does and says, step by step, what works, what is wrong, and what this user cannot see."""

import os
import time
from collections.abc import AsyncIterator, Callable
from difflib import get_close_matches
from typing import Final, Literal, NamedTuple, TypeAlias

from session_core import protocol
from session_core.address import Address
from session_core.errors import StoreDenied, StoreError, StoreNotReady, StoreUnavailable
from session_core.probe import mistaken_for
from session_core.protocol import Call, Reply
from session_core.redis_store import RedisStore
from session_core.replication import behind, role_of
from session_core.settings import Settings

SKEW_MS: Final = 1000
PATIENCE_SECONDS: Final = 5.0
DATABASES: Final = 16
ALIKE: Final = 0.9
"""From which likeness on a variable of the environment is taken for a misspelt setting."""
State: TypeAlias = Literal["ok", "wrong", "unseen"]
_INSTEAD: Final = (
    "to end sessions: session-core revoke --user USER; never FLUSHDB, which logs everybody out and also removes "
    "session_meta (expired sessions go by themselves)"
)
_AS_ANOTHER: Final = (
    "this user may not run INFO; once with REDIS_USERNAME and REDIS_PASSWORD of an administrator, doctor sees it"
)


class Finding(NamedTuple):
    """One thing that was looked at: `about` is one word for programs, `text` a sentence for people."""

    state: State
    about: str
    text: str


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def examine(settings: Settings, clock: Callable[[], int] = _now_ms) -> AsyncIterator[Finding]:
    """Look at settings, the way to the primary, library, replicas, memory, clocks; stop where it goes no further.

    Args:
        settings: what the application would run with.
        clock: milliseconds of this machine's clock.
    """
    if settings.session_backend == "memory":
        text = (
            "SESSION_BACKEND=memory: sessions live in the process of the application and end with it; no Redis is used"
        )
        yield Finding("ok", "settings", text)
        return
    for finding in _settings(settings):
        yield finding
    store = RedisStore(settings)
    try:
        try:
            await store.check(seconds=PATIENCE_SECONDS)
        except StoreError as error:
            async for finding in _unreachable(settings, store, error):
                yield finding
            return
        present = "function library present" if settings.session_scripts == "functions" else "scripts are run"
        yield Finding("ok", "connection", f"connected, logged in, {present}")
        for server in store.link.servers():
            yield await _replicas(settings, store, server)
            yield await _memory(store, server)
        before = clock()
        skew = await store.now() - (before + clock()) // 2
        state: State = "ok" if abs(skew) < SKEW_MS else "wrong"
        lasts = "" if state == "ok" else ": expires_at is the server's time; set both clocks (NTP)"
        yield Finding(state, "clock", f"the clock of the server is {skew:+d} ms from ours{lasts}")
        yield Finding("ok", "sessions", f"{await store.count()} live sessions ({_INSTEAD})")
    except StoreError as error:
        yield Finding("wrong", "connection", str(error))
    finally:
        await store.aclose()


def _settings(settings: Settings) -> list[Finding]:
    target, found = settings.target, []
    place = target.path or ", ".join(map(str, target.addresses))
    kind = "Sentinels" if target.sentinel else "a Redis Cluster" if target.cluster else "Redis"
    found.append(Finding("ok", "settings", f"settings: {kind} at {place}"))
    found += _misspelt(settings)
    if not settings.tls and not target.path:
        text = "no TLS: passwords and sessions cross the network in clear (rediss://, REDIS_SSL)"
        found.append(Finding("wrong", "tls", text))
    fast = settings.fail_fast_seconds
    at_once = f"calls fail at once when Redis has been away for {fast:g} s" if fast else "calls wait for their deadline"
    found.append(Finding("ok", "fail_fast", f"{at_once} (SESSION_FAIL_FAST_SECONDS)"))
    if settings.wait_replicas == 0:
        text = "SESSION_WAIT_REPLICAS is 0: no write waits for a replica, none is durable"
        found.append(Finding("ok", "durability", text))
    return found


def _misspelt(settings: Settings) -> list[Finding]:
    known = [name.upper() for name in type(settings).model_fields]
    ours = sorted(name for name in set(os.environ) - set(known) if name.startswith(("REDIS_", "SESSION_")))
    return [
        Finding("wrong", "settings", f"{name} is no setting and says nothing: {meant[0]} is meant?")
        for name in ours
        if (meant := get_close_matches(name, known, 1, ALIKE))
    ]


async def _unreachable(settings: Settings, store: RedisStore, error: StoreError) -> AsyncIterator[Finding]:
    ours = settings.target.db
    if isinstance(error, StoreDenied) and ours and "select" in str(error).lower():
        text = f"{error}: REDIS_URL ends in database {ours}; this user may use database 0 only (acl --database)"
        yield Finding("wrong", "database", text)
        return
    if ours and "DB index" in str(error):
        yield Finding(
            "wrong", "database", f"{error}: REDIS_URL ends in database {ours}, and the server has not so many"
        )
        return
    yield Finding("wrong", "library" if isinstance(error, StoreNotReady) else "connection", str(error))
    if isinstance(error, StoreUnavailable):
        for address, text in await mistaken_for(settings):
            yield Finding("wrong", "tls", f"{address} {text}")
    if isinstance(error, StoreNotReady) and not (await store.link.ask(protocol.layout()))[0]:
        others = [number async for number in _laid_out(store, ours)]
        text = f"database {ours} has no session_meta: it is new, or somebody ran FLUSHDB; {_INSTEAD}"
        if others:
            text = f"database {ours} has no session_meta, database {others[0]} has: correct the end of REDIS_URL"
        yield Finding("wrong", "database", text)


async def _laid_out(store: RedisStore, ours: int) -> AsyncIterator[int]:
    """Which other databases hold sessions. It leaves the connection in one of them: nothing else may follow."""
    try:
        for number in range(DATABASES):
            if number != ours:
                await store.link.ask(Call(("SELECT", number), _nothing))
                if (await store.link.ask(protocol.layout()))[0]:
                    yield number
    except StoreError:
        return  # no right to SELECT, or there are no more databases


async def _replicas(settings: Settings, store: RedisStore, server: Address | str) -> Finding:
    role, at = await role_of(store.link, server), _place(server)
    if role.primary:
        text = f"{at}this server is a replica of {role.primary} and refuses writes: name the primary, or the Sentinels"
        return Finding("wrong", "replication", text)
    wanted = settings.wait_replicas
    if len(role.acknowledged) < wanted:
        connected = f"{at}{len(role.acknowledged)} replicas are connected"
        text = f"{connected}, SESSION_WAIT_REPLICAS is {wanted}: no write is durable"
        return Finding("wrong", "replication", text)
    late = await behind(store.link, role, server)
    if late:
        text = f"{at}behind: {', '.join(late)}; a failover now may lose what was written (its log, disk, network)"
        return Finding("wrong", "replication", text)
    return Finding("ok", "replication", f"{at}{len(role.acknowledged)} replicas, all have what the primary has")


async def _memory(store: RedisStore, server: Address | str) -> Finding:
    at = _place(server)
    try:
        info = await store.link.ask(Call(("INFO", "memory"), _fields, at=server))
    except StoreDenied:
        return Finding("unseen", "memory", f"{at}memory and eviction policy: {_AS_ANOTHER}")
    policy, limit, used = info["maxmemory_policy"], int(info["maxmemory"]), int(info["used_memory"])
    share = f"{used / limit:.0%} of maxmemory used" if limit else "no maxmemory"
    if policy == "noeviction":
        return Finding(
            "ok", "memory", f"{at}{share}, noeviction: a full server refuses logins and keeps everybody else in"
        )
    text = (
        f"{at}{share}, maxmemory-policy {policy}: a full server logs users out and forgets revocations; set noeviction"
    )
    return Finding("wrong", "memory", text)


def _place(server: Address | str) -> str:
    return f"{server}: " if server else ""


def _fields(reply: Reply, _now: int) -> dict[str, str]:
    lines = reply.decode().splitlines() if isinstance(reply, bytes) else []
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _nothing(_reply: Reply, _now: int) -> None: ...
