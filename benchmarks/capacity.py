"""Measures what an operation costs, what the highest rate is, and whether three shards cost what one node predicts.

    python -m benchmarks.capacity
    python -m benchmarks.capacity --part cluster    # one part anew, the other as it stands in the report

A real Redis in a container with TLS, the session service in a process, and a Redis Cluster of three shards (with three
replicas, all in one container). Writes docs/reports/capacity.json and docs/capacity.md.
"""

import argparse
import asyncio
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.capacity_page import REPORT, write
from benchmarks.meter import Meter
from benchmarks.process import cpu_seconds
from loadtests.capacity import run_step
from loadtests.search import Step, highest, limit, search
from session_core.deploy import load_functions
from tests.loadtests.running import ROOT, bare_environment
from tests.loadtests.serving import prepared_server, session_service
from tests.session_core.sentinel_group import certificates
from tests.session_core.servers import Server, network, sweep
from tests.session_core.shards import Shards, shards

THRESHOLDS: Final = ROOT / "loadtests" / "thresholds" / "steady.yaml"
OPTIONS: Final = ("--users", "30", "--spawn-rate", "30", "--stop-timeout", "5", "--warm-up", "2")
LIMIT: Final = {"session_max_concurrent": 5}
MODERATE: Final = {"redis": 500.0, "http": 100.0}
"""Rates for the cost of an operation: far from any limit."""
MOST_STEPS: Final = 7
LEAST_SECONDS: Final = 8


class Bench:
    """Runs of the load test in one directory."""

    def __init__(self, folder: Path, seconds: int) -> None:
        """Reports go below `folder`; each run takes so many seconds."""
        self._folder = folder
        self.seconds = seconds
        self._number = 0

    def step(self, rate: float, where: Mapping[str, object], *options: str, thresholds: bool = False) -> Step:
        """One run."""
        self._number += 1
        environment = bare_environment() | {name.upper(): str(value) for name, value in where.items()}
        gate = ("--thresholds", str(THRESHOLDS)) if thresholds else ()
        return run_step(
            rate, self.seconds, self._folder / f"run-{self._number}", [*OPTIONS, *gate, *options], environment
        )

    def report(self) -> dict[str, Any]:
        """The report of the last run."""
        [file] = (self._folder / f"run-{self._number}").glob("*/report.json")
        return json.loads(file.read_text())  # type: ignore[no-any-return]


def one_node(bench: Bench, server: Server, folder: Path) -> dict[str, Any]:
    """Costs and highest rates with one Redis, at both levels."""
    where = {**server.settings, **LIMIT}
    cost = bench.step(MODERATE["redis"], where)
    login = bench.step(MODERATE["redis"] / 2, where, "--workload", "login_storm")
    session_bytes = bench.report()["bytes_per_session"]
    found: dict[str, Any] = {
        "session_bytes": session_bytes,
        "redis": asdict(cost),
        "login": asdict(login),
        "highest": {"redis": _highest(bench, where, "redis")},
    }
    with session_service(server, folder) as service:
        web = {name: value for name, value in service.items() if name not in ("host", "process")}
        options = ("--level", "http", "--host", str(service["host"]))
        process = int(str(service["process"]))
        with Meter(lambda: [cpu_seconds(process)]) as meter:
            http = bench.step(MODERATE["http"], web, *options)
        [service_us] = meter.each_us(bench.report())
        found["http"] = asdict(http) | {"service_us": service_us}
        found["highest"]["http"] = _highest(bench, web, "http", *options)
    return found


def _highest(bench: Bench, where: Mapping[str, object], level: str, *options: str) -> dict[str, Any]:
    steps = search(MODERATE[level], MOST_STEPS, lambda rate: bench.step(rate, where, *options, thresholds=True))
    best = highest(steps)
    return {"rate": best.rate if best else 0, "limit": limit(steps, level), "steps": [asdict(each) for each in steps]}


def three_shards(bench: Bench, cluster: Shards) -> dict[str, Any]:
    """The cost of an operation on each shard of a cluster, when each has as much to do as the one node had."""
    settings = cluster.settings()
    variables = {
        "redis_url": settings.redis_url.get_secret_value(),
        "redis_username": settings.redis_username,
        "redis_password": settings.redis_password.get_secret_value(),
        "redis_ca_file": settings.redis_ca_file,
        "redis_address_map": settings.redis_address_map,
        "session_wait_replicas": 0,
        **LIMIT,
    }
    primaries = cluster.primaries()
    with Meter(lambda: [_node_cpu(cluster, node) for node in primaries]) as meter:
        step = bench.step(MODERATE["redis"] * len(primaries), variables)
    return {"generator": asdict(step), "us": dict(zip(primaries, meter.each_us(bench.report()), strict=True))}


def _node_cpu(cluster: Shards, node: str) -> float:
    told = cluster.ask(node, "INFO", "cpu")
    return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=12, help="of each run")
    parser.add_argument("--part", choices=("node", "cluster"), help="only this one (default: both)")
    given = parser.parse_args()
    if given.seconds < LEAST_SECONDS:
        parser.error(
            f"--seconds {given.seconds}: {LEAST_SECONDS} or more, for some whole seconds between start and end"
        )
    found: dict[str, Any] = json.loads(REPORT.read_text()) if given.part else {}
    try:
        with tempfile.TemporaryDirectory() as directory, network() as bridge:
            folder = Path(directory)
            folder.chmod(0o755)
            certificates(folder)
            bench = Bench(folder / "runs", given.seconds)
            if given.part != "cluster":
                with prepared_server(bridge, folder) as server:
                    found["node"] = _noted(lambda: one_node(bench, server, folder))
            if given.part != "node":
                with shards(bridge, folder) as cluster:
                    asyncio.run(load_functions(cluster.settings()))
                    cluster.empty()
                    found["cluster"] = _noted(lambda: three_shards(bench, cluster))
    finally:
        sweep()
    write(found | {"machine": f"{os.cpu_count()} cores, Python {platform.python_version()}", "seconds": given.seconds})


def _noted(part: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Measure a part, and note when, and how busy the machine was before and after."""
    before = os.getloadavg()[0]
    return part() | {"date": time.strftime("%Y-%m-%d"), "load": [before, os.getloadavg()[0]]}


if __name__ == "__main__":
    main()
