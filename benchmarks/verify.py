"""Measures `GET /v1/verify` beside a route that does nothing and a peer's check, in one process, same middleware.

    python -m benchmarks.verify

One worker (uvicorn with uvloop, plain HTTP on loopback), a real Redis in a container, 64 connections that each send the
next request when the answer is there. The routes take short turns, so that they meet the same noise; a ratio is that of
two turns of the same round. Writes docs/reports/verify.json and docs/reports/verify.md.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import uvloop

from benchmarks.process import cpu_seconds
from tests.session_core import servers

ROOT: Final = Path(__file__).parents[1]
REPORT: Final = ROOT / "docs" / "reports" / "verify.json"
PEERS: Final = ("crudauth==0.8.2", "sqlalchemy[asyncio]")
CONCURRENCY: Final = 64
USERS: Final = 1024
ROUTES: Final = {
    "constant": "a route that does nothing",
    "verify": "`GET /v1/verify`",
    "crudauth/read-only": "crudauth 0.8.2, without extending",
    "crudauth": "crudauth 0.8.2, as it comes",
}
CONSTANT, VERIFY = list(ROUTES)[:2]


class Turn(NamedTuple):
    """What one turn of a route found."""

    per_second: float
    p50_ms: float
    p99_ms: float
    server_us: float
    """Processor time of the server's process for each request."""


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
        assert b"content-length: 0\r\n" in head, head
        took.append(time.perf_counter() - start)
    writer.close()
    return took


async def turn(server: "subprocess.Popen[str]", port: int, route: str, cookies: Sequence[str], seconds: float) -> Turn:
    """Ask one route for so long."""
    lines = (f"GET /v1/{route} HTTP/1.1\r\nHost: x\r\nCookie: __Host-session_id={cookie}\r\n\r\n" for cookie in cookies)
    requests = [line.encode() for line in lines]
    share = len(requests) // CONCURRENCY
    before, began = cpu_seconds(server.pid), time.perf_counter()
    runs = (client(port, requests[n * share :] + requests[: n * share], began + seconds) for n in range(CONCURRENCY))
    took = sorted(each for run in await asyncio.gather(*runs) for each in run)
    passed, spent = time.perf_counter() - began, cpu_seconds(server.pid) - before
    p50, p99 = (took[int(len(took) * share)] * 1000 for share in (0.5, 0.99))
    return Turn(len(took) / passed, p50, p99, spent / len(took) * 1e6)


async def measure(server: "subprocess.Popen[str]", port: int, rounds: int, seconds: float) -> dict[str, list[Turn]]:
    """Ask all routes in turn, again and again."""
    assert server.stdout
    cookies: dict[str, list[str]] = json.loads(await asyncio.to_thread(server.stdout.readline))
    await until_served(port)
    for route in ROUTES:
        await turn(server, port, route, cookies[route], 0.5)  # warm
    found: dict[str, list[Turn]] = {route: [] for route in ROUTES}
    for number in range(rounds):
        for route in ROUTES:
            found[route].append(await turn(server, port, route, cookies[route], seconds))
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return found


async def until_served(port: int) -> None:
    """Wait until somebody listens."""
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return


@contextmanager
def serving(directory: Path, port: int, redis_url: str) -> Iterator["subprocess.Popen[str]"]:
    """Run the server in an environment that has this project, as locked, and the peer."""
    python = directory / "bin" / "python"
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, str(directory)], check=True)
    locked = [line.split()[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line]
    (directory / "locked.txt").write_text("\n".join(line for line in locked if line[0].isalpha()))
    install = [
        "uv",
        "pip",
        "install",
        "--quiet",
        "--python",
        str(python),
        "--constraint",
        str(directory / "locked.txt"),
    ]
    subprocess.run([*install, "--editable", f"{ROOT}[service]", *PEERS], check=True)
    command = [str(python), "-m", "benchmarks.verify_server", str(port), redis_url, str(USERS)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def summary(turns: dict[str, list[Turn]]) -> dict[str, dict[str, float]]:
    """Return the medians of each route, and of its ratios to the constant route of the same round."""
    found = {}
    for route, rows in turns.items():
        pairs = list(zip(rows, turns[CONSTANT], strict=True))
        found[route] = {name: statistics.median(getattr(row, name) for row in rows) for name in Turn._fields}
        found[route]["throughput_ratio"] = statistics.median(row.per_second / base.per_second for row, base in pairs)
        found[route]["p99_ratio"] = statistics.median(row.p99_ms / base.p99_ms for row, base in pairs)
    return found


def write(found: dict[str, Any]) -> None:
    """Write both forms."""
    rows = "\n".join(
        f"| {ROUTES[route]} | {row['per_second']:.0f} | {row['throughput_ratio']:.0%} | {row['p50_ms']:.1f} | "
        f"{row['p99_ms']:.1f} | {row['p99_ratio']:.1f} | {row['server_us']:.0f} |"
        for route, row in found["routes"].items()
    )
    REPORT.write_text(json.dumps(found, indent=2) + "\n")
    low, high = found["load"]
    REPORT.with_suffix(".md").write_text(f"""# `GET /v1/verify`

`python -m benchmarks.verify`, {found["date"]}: one worker, {CONCURRENCY} connections, {found["rounds"]} rounds in which
each route has a turn of {found["seconds"]:g} s; medians of the rounds, ratios of turns of the same round.
{found["machine"]}; client, service and Redis share it, with others (load {low:.1f} before, {high:.1f} after). Aims:
throughput ≥ 60 % (80 %) of the route that does nothing, p99 ≤ 3 times its.

| route, all behind the same middleware | requests/s | of nothing | p50 ms | p99 ms | times nothing's p99 | server µs |
|---|---|---|---|---|---|---|
{rows}

Server µs: processor time of the service's process for each request, which depends less on what else the machine does.
""")
    print(REPORT.with_suffix(".md").read_text())


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each turn of each route")
    given = parser.parse_args()
    before, port = os.getloadavg()[0], servers.free_port()
    with (
        tempfile.TemporaryDirectory() as directory,
        servers.network() as bridge,
        servers.redis_server(bridge) as redis,
        serving(Path(directory), port, redis.url) as server,
    ):
        turns = uvloop.run(measure(server, port, given.rounds, given.seconds))
    write(
        {
            "date": time.strftime("%Y-%m-%d"),
            "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
            "load": [before, os.getloadavg()[0]],
            "rounds": given.rounds,
            "seconds": given.seconds,
            "routes": summary(turns),
            "turns": {route: [row._asdict() for row in rows] for route, rows in turns.items()},
        }
    )


if __name__ == "__main__":
    main()
