"""The measurements of `benchmarks.sessions`, in an environment that has the peers: prints JSON, progress on stderr."""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

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
CALLS: Final = 51
LIST_SIZES: Final = (1, 10, 100, 1000)
USER_CALLS = ("get", "refresh", "login")


def settings(host: str, ca_file: str = "", **more: Any) -> Settings:  # noqa: ANN401
    """Settings for the plain port, or the TLS port if there is an authority; the certificate is for redis-1."""
    if ca_file:
        more |= {"redis_ca_file": Path(ca_file), "redis_address_map": f"redis-1:6390={host}:6390"}
    url = "rediss://redis-1:6390/0" if ca_file else f"redis://{host}:6379/0"
    return Settings(**{"redis_url": url, "session_max_concurrent": 5, **more})


class Pace(NamedTuple):
    """How fast an operation went; CPU time is that of all its operations, divided by their number."""

    per_second: float
    latency_ms: float
    client_us: float
    server_us: float


async def pace(operation: Operation, concurrency: int, seconds: float, server: "redis.Redis") -> Pace:
    """Repeat an operation with so many callers in turn; `server` is asked for its CPU time before and after."""
    latencies: list[float] = []
    server_before, client_before, began = cpu_seconds(server), time.process_time(), time.perf_counter()
    end = began + seconds

    async def caller(first: int) -> None:
        number = first
        while (began := time.perf_counter()) < end:
            await operation(number % USERS)
            latencies.append(time.perf_counter() - began)
            number += concurrency

    await asyncio.gather(*(caller(number) for number in range(concurrency)))
    took, number = time.perf_counter() - began, len(latencies)
    client_us = (time.process_time() - client_before) / number * 1e6
    server_us = (cpu_seconds(server) - server_before) / number * 1e6
    return Pace(number / took, statistics.median(latencies) * 1000, client_us, server_us)


def cpu_seconds(server: "redis.Redis") -> float:
    """Return the CPU time that the server has taken."""
    used: Any = server.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])


async def side_by_side(what: dict[str, Any]) -> dict[str, Any]:
    """Run all contenders in turn, several rounds; ratios are those of one round to the bare command in it."""
    host, ca_file = what["host"], what["ca_file"] if what["part"] == "tls" else ""
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
    """Measure each operation once a round; return the medians, and those of the ratios to the bare one in its round."""
    server = redis.Redis(host=what["host"])
    for operation in operations.values():  # opens the connections, which is not what is measured
        await pace(operation, concurrency, WARM_SECONDS, server)
    paces: dict[str, list[Pace]] = {name: [] for name in operations}
    for number in range(what["rounds"]):
        for name, operation in operations.items():
            paces[name].append(await pace(operation, concurrency, what["seconds"], server))
        print(f"{concurrency} callers, round {number + 1}", file=sys.stderr, flush=True)

    def of(each: list[Pace]) -> dict[str, float]:
        rate, latency, client, on_server = (statistics.median(column) for column in zip(*each, strict=True))
        beside = list(zip(each, paces[bare], strict=True))
        return {
            "per_second": round(rate),
            "ratio": round(statistics.median(one.per_second / ref.per_second for one, ref in beside), 2),
            "latency_ms": round(latency, 3),
            "latency_ratio": round(statistics.median(one.latency_ms / ref.latency_ms for one, ref in beside), 2),
            "client_us": round(client, 1),
            "server_us": round(on_server, 1),
        }

    return {name: of(each) for name, each in paces.items()}


async def durable(what: dict[str, Any]) -> dict[str, float]:
    """Creates that a replica confirms."""
    host = what["replicated"]
    confirmed: list[bool] = []
    with_replica = settings(host, session_wait_replicas=1)
    await load_functions(with_replica)
    async with SessionManager(with_replica) as sessions:

        async def create(number: int) -> None:
            confirmed.append(bool((await sessions.create_session(f"user-{number}", METADATA)).durable))

        found = await pace(create, CONCURRENCY, what["seconds"] * what["rounds"], redis.Redis(host=host))
    figures = {"per_second": round(found.per_second), "latency_ms": round(found.latency_ms, 2)}
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


async def stores(what: dict[str, Any]) -> list[dict[str, Any]]:
    """The same operations in larger and larger stores. A login ends the user's former session: none grows meanwhile."""
    found = []
    async with emptied(what) as client, SessionManager(settings(what["host"], session_max_concurrent=1)) as sessions:
        half = USERS // 2
        bare = await contenders.bare(client, USERS)
        ours = await contenders.ours(sessions, half, "session_core")
        growing: dict[str, Operation] = {
            "GET": bare.read,
            "get": lambda n: ours.read(n % half),
            "login": lambda n: ours.create(n % half),
        }
        await asyncio.gather(*(ours.create(number) for number in range(half)))
        size = 2 * half
        for wanted in (1000, 10_000, 100_000, 1_000_000):
            if wanted > what["sessions"]:
                break
            for first in range(size, wanted, 500):
                await asyncio.gather(*(sessions.create_session(f"many-{first + n}", METADATA) for n in range(500)))
            size = wanted
            count = await timed(sessions.count_active_sessions, what)
            counted = await sessions.count_active_sessions()
            measured = await rounds(growing, "GET", CONCURRENCY, what)
            found.append(
                {"sessions": counted, "count": count} | {name: measured[name]["ratio"] for name in ("get", "login")}
            )
            print(found[-1], file=sys.stderr, flush=True)
    return found


async def users(what: dict[str, Any]) -> list[dict[str, Any]]:
    """The same operations on as many sessions, of fewer and fewer users who have more and more each.

    Two refreshes of one session in the same millisecond are one write, so the number of sessions must not change. Who
    logs in has as many sessions as he may, so that the oldest has to go each time.
    """
    found = []
    async with (
        emptied(what) as client,
        SessionManager(settings(what["host"], session_max_concurrent=0)) as sessions,
        AsyncExitStack() as stack,
    ):
        bare = await contenders.bare(client, USERS)
        for number in LIST_SIZES:
            mine = await asyncio.gather(
                *(sessions.create_session(f"has-{number}-{one // number}", METADATA) for one in range(USERS))
            )
            ids = [session.session_id for session in mine]
            full = await stack.enter_async_context(
                SessionManager(settings(what["host"], session_max_concurrent=number))
            )
            await asyncio.gather(
                *(full.create_session(f"full-{number}-{one // number}", METADATA) for one in range(USERS))
            )
            of_user: dict[str, Operation] = {
                "GET": bare.read,
                "get": lambda n, ids=ids: sessions.get_session(ids[n]),  # type: ignore[misc]
                "refresh": lambda n, ids=ids: sessions.refresh_session(ids[n]),  # type: ignore[misc]
                "login": lambda n, of=full, each=number: of.create_session(f"full-{each}-{n // each}", METADATA),  # type: ignore[misc]
            }
            listing = await timed(lambda user=f"has-{number}-0": sessions.get_user_sessions(user), what)  # type: ignore[misc]
            measured = await rounds(of_user, "GET", CONCURRENCY, what)
            found.append({"sessions": number, "list": listing} | {name: measured[name]["ratio"] for name in USER_CALLS})
    return found


@asynccontextmanager
async def emptied(what: dict[str, Any]) -> AsyncIterator["redis.asyncio.Redis"]:
    """Empty the server but for the functions; give a client of it."""
    client = redis.asyncio.Redis(host=what["host"], max_connections=POOL, protocol=2)
    await client.flushdb()
    await load_functions(settings(what["host"]))
    yield client
    await client.flushdb()
    await client.aclose()


async def timed(call: Callable[[], Awaitable[object]], what: dict[str, Any]) -> dict[str, float]:
    """Return how long a call takes, alone: the median, and its processor time here and in the server together."""
    server = redis.Redis(host=what["host"])
    elapsed = []
    before = cpu_seconds(server) + time.process_time()
    for _ in range(CALLS):
        began = time.perf_counter()
        await call()
        elapsed.append(time.perf_counter() - began)
    cpu = cpu_seconds(server) + time.process_time() - before
    return {"ms": round(statistics.median(elapsed) * 1000, 2), "cpu_ms": round(cpu / CALLS * 1000, 2)}


PARTS: Final[dict[str, Callable[[dict[str, Any]], Awaitable[object]]]] = {
    "plain": side_by_side,
    "tls": side_by_side,
    "replica": durable,
    "memory": memory,
    "stores": stores,
    "users": users,
}


async def main() -> None:
    """Measure one part."""
    part, what = sys.argv[1], json.loads(sys.argv[2])
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(CONCURRENCY))
    print(json.dumps(await PARTS[part](what | {"part": part})))


if __name__ == "__main__":
    uvloop.run(main())
