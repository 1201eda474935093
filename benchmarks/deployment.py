"""Measures a deployment on this machine: how long it takes to come up, what it uses, how fast it recovers from kills.

    python -m benchmarks.deployment --kills 20

Needs the tools of `make tools`. Brings up a stack of its own, removes it afterwards, and writes
docs/reports/deployment.json and docs/reports/deployment.md.
"""

import argparse
import json
import os
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.stack.faults import kill_primary
from tests.stack.kit import ROOT, Access, Stack, docker
from tests.stack.writer import Writer, lost

PORTS = {"redisPort": 17579, "sentinelPort": 17589, "httpsPort": 17599}
IDLE = 20
"""Seconds without load before memory is read."""
UNITS = {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024}


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="kills of the primary, both kinds in turn (default 20)")
    kills = parser.parse_args().kills
    stack = Stack("test-figures", Path(tempfile.mkdtemp()) / "state", PORTS)
    stack.remove()
    stack.state.mkdir(parents=True)
    try:
        stack.create()
        report = measure(stack, kills)
    finally:
        stack.remove()
    reports = ROOT / "docs" / "reports"
    (reports / "deployment.json").write_text(json.dumps(report, indent=2) + "\n")
    (reports / "deployment.md").write_text(as_text(report))
    print(as_text(report))


def measure(stack: Stack, kills: int) -> dict[str, Any]:
    """Return the figures of a new deployment."""
    up = seconds(stack.up)
    access = Access.to(stack)
    access.wait_settled()
    unchanged = seconds(lambda: stack.up("--expect-no-changes"))
    time.sleep(IDLE)
    memory = idle_memory(stack)
    recoveries: dict[str, list[float]] = {"stays down": [], "restarts at once": []}
    acknowledged: dict[str, str] = {}
    unconfirmed = 0
    for number in range(kills):
        stays_down = number % 2 == 0
        access.wait_settled()
        with Writer(access.settings) as writer:
            writer.wait_for(50)
            old, new = kill_primary(access, stays_down=stays_down)
            writer.wait_for(50)
        acknowledged |= writer.acknowledged
        unconfirmed += len(writer.unconfirmed)
        recoveries["stays down" if stays_down else "restarts at once"].append(writer.longest_gap)
        print(
            f"kill {number + 1}: {old} -> {new}, {writer.longest_gap:.1f} s, {len(acknowledged)} sessions", flush=True
        )
        if stays_down:
            docker("start", stack.container(old))
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m benchmarks.deployment --kills {kills}",
        "environment": environment(access),
        "up_s": round(up, 1),
        "unchanged_up_s": round(unchanged, 1),
        "idle_memory_mib": memory,
        "recovery_s": {kind: [round(one, 2) for one in each] for kind, each in recoveries.items()},
        "acknowledged_sessions": len(acknowledged),
        "acknowledged_sessions_lost": len(lost(access.settings, acknowledged)),
        "unconfirmed_sessions": unconfirmed,
    }


def seconds(action: Callable[[], object]) -> float:
    """Return how long `action` takes."""
    began = time.monotonic()
    action()
    return time.monotonic() - began


def idle_memory(stack: Stack) -> dict[str, float]:
    """Return the memory of each container in MiB, as `docker stats` counts it."""
    names = docker("ps", "--format", "{{.Names}}", "--filter", f"label=com.docker.compose.project={stack.project}")
    lines = docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", *names.split()).splitlines()
    used = {}
    for line in lines:
        name, amount = line.split()[:2]
        number, unit = re.fullmatch(r"([\d.]+)(\w+)", amount).groups()  # type: ignore[union-attr]
        used[name.removeprefix(f"{stack.project}-").removesuffix("-1")] = round(float(number) * UNITS[unit], 1)
    return used


def environment(access: Access) -> dict[str, str]:
    """Return what the figures depend on."""
    return {
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "docker": docker("version", "--format", "{{.Server.Version}}"),
        "redis": access.node("redis-1").info("server")["redis_version"],
        "down-after-milliseconds": "3000",
    }


def as_text(report: dict[str, Any]) -> str:
    """Return the report for a reader."""
    memory = report["idle_memory_mib"]
    everything = sorted(one for each in report["recovery_s"].values() for one in each)
    p95 = statistics.quantiles(everything, n=20)[-1] if len(everything) > 1 else everything[0]
    environment_line = ", ".join(f"{name} {value}" for name, value in report["environment"].items())
    lines = [
        "# A deployment on one machine",
        "",
        f"Made by `{report['command']}` on {report['made']}: {environment_line}.",
        "",
        "| what | figure |",
        "|---|---|",
        f"| `pulumi up` of a new stack, tools and images there | {report['up_s']} s |",
        f"| `pulumi up` without a change | {report['unchanged_up_s']} s |",
        f"| memory of the idle stack, all {len(memory)} containers | {sum(memory.values()):.0f} MiB |",
        *(
            f"| longest time without an accepted login, primary killed, container {kind} | "
            f"median {statistics.median(each)} s, longest {max(each)} s of {len(each)} kills |"
            for kind, each in report["recovery_s"].items()
        ),
        f"| the same, all {len(everything)} kills | p95 {p95:.2f} s |",
        (
            f"| acknowledged (durable) sessions lost | {report['acknowledged_sessions_lost']} of "
            f"{report['acknowledged_sessions']} |"
        ),
        f"| logins that succeeded without a replica's confirmation | {report['unconfirmed_sessions']} |",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
