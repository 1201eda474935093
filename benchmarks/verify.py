"""Measures `GET /v1/verify` beside a route that does nothing, in one process with the same middleware.

    python -m benchmarks.verify

One worker (uvicorn with uvloop, plain HTTP on loopback), a real Redis in a container, 64 connections that each send the
next request when the answer is there. Both routes take turns, so that they meet the same noise. Writes
docs/reports/verify.json and docs/reports/verify.md.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import uvloop

from session_core import SessionManager, Settings
from session_core.deploy import load_functions
from tests.session_core import servers

REPORTS: Final = Path(__file__).parents[1] / "docs" / "reports"
CONCURRENCY: Final = 64
USERS: Final = 1000
ROUTES: Final = ("/constant", "/v1/verify")


def serve(port: int, redis_url: str) -> None:
    """Run the service with one more route."""
    import uvicorn

    from session_core.service.app import make_app
    from session_core.service.settings import ServiceSettings

    app = make_app(ServiceSettings(redis_url=redis_url, session_admin_token="x" * 32, session_log_level="warning"))

    @app.get("/constant")
    async def constant() -> dict[str, str]:
        return {}

    uvicorn.run(
        app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", log_level="warning", access_log=False
    )


async def client(port: int, requests: Sequence[bytes], until: float) -> list[float]:
    """Send one request after the other on one connection; return how long each took, in seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took: list[float] = []
    number = 0
    while (start := time.perf_counter()) < until:
        writer.write(requests[number % len(requests)])
        number += 1
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = int(
            next((line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), b"0")
        )
        await reader.readexactly(length)
        took.append(time.perf_counter() - start)
    writer.close()
    return took


async def turn(port: int, route: str, cookies: Sequence[str], seconds: float) -> tuple[float, float, float]:
    """Return requests a second, and the median and the 99th percentile in milliseconds."""
    lines = (f"GET {route} HTTP/1.1\r\nHost: x\r\nCookie: __Host-session_id={cookie}\r\n\r\n" for cookie in cookies)
    requests = [line.encode() for line in lines]
    until = time.perf_counter() + seconds
    share = len(requests) // CONCURRENCY
    runs = (client(port, requests[n * share :] + requests[: n * share], until) for n in range(CONCURRENCY))
    took = sorted(each for run in await asyncio.gather(*runs) for each in run)
    return len(took) / seconds, took[len(took) // 2] * 1000, took[int(len(took) * 0.99)] * 1000


async def measure(redis_url: str, turns: int, seconds: float) -> dict[str, Any]:
    """Serve, ask, and return the medians of all turns."""
    settings = Settings(redis_url=redis_url)
    await load_functions(settings)
    async with SessionManager(settings) as sessions:
        cookies = [(await sessions.create_session(f"user-{number}")).session_id for number in range(USERS)]
    port = servers.free_port()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(port, redis_url))
    process.start()
    try:
        await until_served(port, cookies)
        found: dict[str, list[tuple[float, float, float]]] = {route: [] for route in ROUTES}
        for number in range(turns):
            for route in ROUTES:
                found[route].append(await turn(port, route, cookies, seconds))
                print(f"turn {number + 1} of {turns}, {route}: {found[route][-1][0]:.0f} requests a second", flush=True)
    finally:
        process.terminate()
        process.join()
    names = ("requests_per_second", "p50_ms", "p99_ms")
    return {
        route: {name: statistics.median(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
        for route, rows in found.items()
    }


async def until_served(port: int, cookies: Sequence[str]) -> None:
    """Wait for the first answer."""
    async with asyncio.timeout(30):
        while True:
            try:
                await turn(port, ROUTES[1], cookies, 0.2)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                return


def report(found: dict[str, Any]) -> None:
    """Write both forms."""
    constant, verify = (found["routes"][route] for route in ROUTES)
    found["throughput_ratio"] = verify["requests_per_second"] / constant["requests_per_second"]
    found["p99_ratio"] = verify["p99_ms"] / constant["p99_ms"]
    rows = "\n".join(
        f"| `{route}` | {row['requests_per_second']:.0f} | {row['p50_ms']:.2f} | {row['p99_ms']:.2f} |"
        for route, row in found["routes"].items()
    )
    (REPORTS / "verify.json").write_text(json.dumps(found, indent=2) + "\n")
    (REPORTS / "verify.md").write_text(f"""# `GET /v1/verify`

`python -m benchmarks.verify`, {found["date"]}: one worker, {CONCURRENCY} connections, {found["turns"]} turns of
{found["seconds"]:g} s each, medians; {found["machine"]}. Client, service and Redis share the machine.

| route | requests/s | p50 ms | p99 ms |
|---|---|---|---|
{rows}

Throughput {found["throughput_ratio"]:.0%} of a route that does nothing, behind the same middleware; p99
{found["p99_ratio"]:.1f} times its.
""")
    print((REPORTS / "verify.md").read_text())


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each turn of each route")
    given = parser.parse_args()
    with servers.network() as bridge, servers.redis_server(bridge) as server:
        routes = uvloop.run(measure(server.url, given.turns, given.seconds))
    report(
        {
            "date": time.strftime("%Y-%m-%d"),
            "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
            "turns": given.turns,
            "seconds": given.seconds,
            "routes": routes,
        }
    )


if __name__ == "__main__":
    main()
