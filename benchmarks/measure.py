"""The measurements of `benchmarks.sessions`, in an environment that has the peers: prints JSON, progress on stderr."""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import redis
import redis.asyncio
import uvloop

from benchmarks import contenders
from benchmarks.contenders import METADATA, POOL, Contender, Operation
from session_core import SessionManager, Settings
from session_core.deploy import load_functions

CONCURRENCY: Final = 50
USERS: Final = 1000
MEMORY_SESSIONS: Final = 20_000
WARM_SECONDS: Final = 0.5
LIST_SIZES: Final = (1, 10, 100, 1000)


def settings(host: str, ca_file: str = "", **more: Any) -> Settings:  # noqa: ANN401
    """Settings for the plain port, or the TLS port if there is an authority; the certificate is for redis-1."""
    if ca_file:
        more |= {"redis_ca_file": Path(ca_file), "redis_address_map": f"redis-1:6390={host}:6390"}
    url = "rediss://redis-1:6390/0" if ca_file else f"redis://{host}:6379/0"
    return Settings(**{"redis_url": url, "session_max_concurrent": 5, **more})


async def pace(operation: Operation, concurrency: int, seconds: float) -> tuple[float, float]:
    """Return operations per second, and the median latency in ms, of so many callers in turn."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def caller(first: int) -> None:
        number = first
        while (began := time.perf_counter()) < end:
            await operation(number % USERS)
            latencies.append(time.perf_counter() - began)
            number += concurrency

    began = time.perf_counter()
    await asyncio.gather(*(caller(number) for number in range(concurrency)))
    return len(latencies) / (time.perf_counter() - began), statistics.median(latencies) * 1000


async def side_by_side(what: dict[str, Any], ca_file: str) -> dict[str, Any]:
    """Run all contenders in turn, several rounds; ratios are those of one round to the bare command in it."""
    host = what["host"]
    tls: dict[str, Any] = {}
    if ca_file:
        tls = {"ssl": True, "ssl_ca_certs": ca_file, "ssl_check_hostname": False}
    port = 6390 if ca_file else 6379
    client = redis.asyncio.Redis(host=host, port=port, max_connections=POOL, protocol=2, **tls)
    threads = redis.Redis(host=host, port=port, max_connections=POOL, protocol=2, **tls)
    await client.flushdb()
    await load_functions(settings(host, ca_file))
    async with SessionManager(settings(host, ca_file)) as sessions:
        bare = await contenders.bare(client, USERS)
        ours = await contenders.ours(sessions, USERS, "session_core")
        peers = [
            await contenders.starsessions(client, USERS),
            await contenders.fastapi_users(client, USERS),
            await contenders.crudauth(client, USERS),
            await contenders.flask_session(threads, USERS),
        ]
        everyone = [bare, ours, *peers]
        reads = {each.name: each.read for each in everyone} | {
            k: v for each in everyone for k, v in each.also_read.items()
        }
        creates = {each.name: each.create for each in everyone}
        creates["session_core, new users"] = contenders.newcomers(sessions)
        found = {
            "read": await rounds(reads, bare.name, CONCURRENCY, what),
            "create": await rounds(creates, bare.name, CONCURRENCY, what),
        }
        for kind, one in (
            ("read", {each.name: reads[each.name] for each in (bare, ours)}),
            ("create", {name: creates[name] for name in (bare.name, ours.name)}),
        ):
            found[f"{kind}, one at a time"] = await rounds(one, bare.name, 1, what)
    await client.flushdb()
    await client.aclose()
    return found


async def rounds(
    operations: dict[str, Operation], bare: str, concurrency: int, what: dict[str, Any]
) -> dict[str, dict[str, float]]:
    """Measure each operation once a round; return the medians."""
    for operation in operations.values():  # opens the connections, which is not what is measured
        await pace(operation, concurrency, WARM_SECONDS)
    paces: dict[str, list[tuple[float, float]]] = {name: [] for name in operations}
    for number in range(what["rounds"]):
        for name, operation in operations.items():
            paces[name].append(await pace(operation, concurrency, what["seconds"]))
        print(f"{concurrency} callers, round {number + 1}", file=sys.stderr, flush=True)
    median = statistics.median
    return {
        name: {
            "per_second": round(median(one for one, _ in each)),
            "ratio": round(median(one / ref for (one, _), (ref, _) in zip(each, paces[bare], strict=True)), 2),
            "latency_ms": round(median(one for _, one in each), 3),
            "latency_ratio": round(median(one / ref for (_, one), (_, ref) in zip(each, paces[bare], strict=True)), 2),
        }
        for name, each in paces.items()
    }


async def durable(what: dict[str, Any]) -> dict[str, float]:
    """Creates that a replica confirms."""
    host = what["replicated"]
    confirmed: list[bool] = []
    with_replica = settings(host, session_wait_replicas=1)
    await load_functions(with_replica)
    async with SessionManager(with_replica) as sessions:

        async def create(number: int) -> None:
            confirmed.append(bool((await sessions.create_session(f"user-{number}", METADATA)).durable))

        per_second, latency = await pace(create, CONCURRENCY, what["seconds"] * 2)
    figures = {"per_second": round(per_second), "latency_ms": round(latency, 2)}
    return {**figures, "confirmed": sum(confirmed), "of": len(confirmed)}


async def memory(what: dict[str, Any]) -> dict[str, int]:
    """Bytes of Redis for each session, of users with one session each."""
    client = redis.asyncio.Redis(host=what["host"], max_connections=POOL, protocol=2)
    threads = redis.Redis(host=what["host"], max_connections=POOL, protocol=2)
    async with SessionManager(settings(what["host"])) as sessions:
        made: Sequence[Contender] = [
            await contenders.bare(client, 0),
            await contenders.ours(sessions, 0, "session_core"),
            await contenders.starsessions(client, 0),
            await contenders.fastapi_users(client, 0),
            await contenders.crudauth(client, 0),
            await contenders.flask_session(threads, 0),
        ]
        used = {}
        for each in made:
            await client.flushdb()
            await load_functions(settings(what["host"]))
            before = (await client.info("memory"))["used_memory"]
            for first in range(0, MEMORY_SESSIONS, CONCURRENCY):
                await asyncio.gather(*(each.create(first + number) for number in range(CONCURRENCY)))
            used[each.name] = ((await client.info("memory"))["used_memory"] - before) // MEMORY_SESSIONS
    await client.aclose()
    return used


async def growth(what: dict[str, Any]) -> dict[str, Any]:
    """The same operations in larger and larger stores, and for users with more and more sessions."""
    host = what["host"]
    client = redis.asyncio.Redis(host=host, max_connections=POOL, protocol=2)
    await client.flushdb()
    await load_functions(settings(host))
    stores = []
    async with SessionManager(settings(host, session_max_concurrent=0)) as sessions:
        bare = await contenders.bare(client, USERS)
        ours = await contenders.ours(sessions, USERS, "session_core")
        size = USERS
        for wanted in (1000, 10_000, 100_000, 1_000_000):
            if wanted > what["sessions"]:
                break
            for first in range(size, wanted, 500):
                await asyncio.gather(*(sessions.create_session(f"many-{first + n}", METADATA) for n in range(500)))
            size = wanted
            growing = {"GET": bare.read, "get": ours.read, "create": contenders.newcomers(sessions)}
            measured = await rounds(growing, "GET", CONCURRENCY, what)
            counts = [await seconds(sessions.count_active_sessions()) for _ in range(21)]
            stores.append(
                {"sessions": await sessions.count_active_sessions(), "count_ms": _ms(counts)}
                | {name: measured[name]["ratio"] for name in ("get", "create")}
            )
            print(stores[-1], file=sys.stderr, flush=True)
        users = []
        for number in LIST_SIZES:
            mine = await asyncio.gather(*(sessions.create_session(f"has-{number}", METADATA) for _ in range(number)))
            ids = [session.session_id for session in mine]
            of_user: dict[str, Operation] = {
                "GET": bare.read,
                "get": lambda n, ids=ids: sessions.get_session(ids[n % len(ids)]),  # type: ignore[misc]
                "refresh": lambda n, ids=ids: sessions.refresh_session(ids[n % len(ids)]),  # type: ignore[misc]
            }
            measured = await rounds(of_user, "GET", CONCURRENCY, what)
            lists = [await seconds(sessions.get_user_sessions(f"has-{number}")) for _ in range(21)]
            users.append(
                {"sessions": number, "list_ms": _ms(lists)}
                | {name: measured[name]["ratio"] for name in ("get", "refresh")}
            )
    await client.flushdb()
    await client.aclose()
    return {"stores": stores, "users": users}


async def seconds(call: Any) -> float:  # noqa: ANN401
    """Return how long a call takes."""
    began = time.perf_counter()
    await call
    return time.perf_counter() - began


def _ms(times: list[float]) -> float:
    return round(statistics.median(times) * 1000, 2)


async def main() -> None:
    """Measure everything."""
    what = json.loads(sys.argv[1])
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(CONCURRENCY))
    report = {
        "plain": await side_by_side(what, ""),
        "tls": await side_by_side(what, what["ca_file"]),
        "durable": await durable(what),
        "memory_bytes": await memory(what),
        "growth": await growth(what),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    uvloop.run(main())
