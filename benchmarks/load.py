"""Runs every workload on a deployment of its own, and the same gate ten times; keeps the reports.

    python -m benchmarks.load                    # everything: half an hour
    python -m benchmarks.load steady-http gate   # some; the page is made anew from all reports that are there

Needs the tools of `make tools`. Brings up a stack of its own, removes it afterwards, and writes into
docs/reports/load what `make load` reports, and docs/reports/load.md.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.load_page import FAILOVER, GATE, LOAD, write
from tests.loadtests.events import longest_gap
from tests.stack.kit import ROOT, Access, Stack

PORTS: Final = {"redisPort": 17679, "sentinelPort": 17689, "httpsPort": 17699}
GATE_RUNS: Final = 10
FAILOVERS: Final = 3


class What(NamedTuple):
    """A run: workload, level, starts a second, and how long."""

    workload: str
    level: str
    rate: int
    duration: str


RUNS: Final[Mapping[str, What]] = {
    "steady-redis": What("steady", "redis", 300, "30s"),
    "steady-http": What("steady", "http", 100, "30s"),
    "login_storm-redis": What("login_storm", "redis", 200, "30s"),
    "login_storm-http": What("login_storm", "http", 50, "30s"),
    "expiry_wave-redis": What("expiry_wave", "redis", 200, "30s"),
    "connection_storm-redis": What("connection_storm", "redis", 50, "30s"),
    "soak-redis": What("soak", "redis", 50, "8m"),
    "memory_pressure-redis": What("memory_pressure", "redis", 300, "3m"),
}
FAILING: Final = What("failover_under_load", "redis", 200, "30s")
REPEATED: Final = What("steady", "redis", 100, "12s")


def main() -> None:
    """Run what was asked for, and write the page."""
    names = [*RUNS, FAILOVER, GATE]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="run", help=f"all, or some of: {', '.join(names)}")
    asked = parser.parse_args().runs or names
    if unknown := sorted(set(asked) - set(names)):
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(names)}")
    with deployment() as access:
        for name in asked:
            access.wait_settled()
            if name == GATE:
                gate(access)
            elif name == FAILOVER:
                failovers(access)
            else:
                run(access, RUNS[name], LOAD / name)
    write()


@contextmanager
def deployment() -> Iterator[Access]:
    """A stack as it comes, with other ports."""
    stack = Stack("test-load", Path(tempfile.mkdtemp()) / "state", PORTS)
    stack.remove()
    stack.state.mkdir(parents=True)
    try:
        stack.create()
        stack.up()
        yield Access.to(stack)
    finally:
        stack.remove()


def run(access: Access, what: What, report: Path) -> dict[str, Any]:
    """`make load`, with the thresholds that it takes; the report. A broken threshold is a result, too."""
    variables = {
        "STACK": access.stack.name,
        "WORKLOAD": what.workload,
        "LEVEL": what.level,
        "RATE": str(what.rate),
        "DURATION": what.duration,
    }
    made = ROOT / ".state" / f"load-{access.stack.name}"
    shutil.rmtree(made, ignore_errors=True)
    command = ["make", "load", *(f"{name}={value}" for name, value in variables.items())]
    subprocess.run(command, cwd=ROOT, env=access.stack.environment(), check=False)
    shutil.rmtree(report, ignore_errors=True)
    report.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(made, report)
    return json.loads((report / "report.json").read_text())  # type: ignore[no-any-return]


def failovers(access: Access) -> None:
    """Kill the primary under load, several times; keep what the event streams of the servers say of the gap."""
    found = []
    for number in range(FAILOVERS):
        begun = time.time()
        report = run(access, FAILING, LOAD / FAILOVER / f"run-{number + 1}")
        primary = access.wait_settled()
        found.append(
            {
                "reported": report["longest_gap_seconds"],
                "by_the_servers": longest_gap(access.node(primary), begun, time.time()),
                "killed": [each["node"] for each in report["faults"]],
                "primary": primary,
            }
        )
    (LOAD / FAILOVER / "gaps.json").write_text(json.dumps(found, indent=1) + "\n")


def gate(access: Access) -> None:
    """Run the same several times, on a deployment that does not change; keep the verdicts."""
    runs = []
    with tempfile.TemporaryDirectory() as directory:
        for number in range(GATE_RUNS):
            report = run(access, REPEATED, Path(directory) / str(number))
            runs.append(
                {name: report[name] for name in ("made", "workload", "level", "rate", "verdict", "lost", "seconds")}
                | {"validate": report["operations"]["validate"], "lag_ms": report["generator_lag_ms"]}
                | {"generator_cpu": max(report["generator_cpu"].values())}
            )
    (LOAD / f"{GATE}.json").write_text(json.dumps(runs, indent=1) + "\n")


if __name__ == "__main__":
    main()
