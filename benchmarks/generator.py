"""Measures the ceiling of the load generator: checked operations for each second of its own processor time.

    python -m benchmarks.generator

Locust with one process and the workload `steady`, at a rate that it cannot keep, against a real Redis in a container
(plain and with TLS) and against the session service. Every answer is compared with what was written, as always. Writes
docs/reports/generator.json and docs/reports/generator.md.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from loadtests import bounded
from loadtests.record import Record
from tests.loadtests.running import LOCUST, bare_environment
from tests.loadtests.serving import prepared_server, session_service
from tests.session_core.sentinel_group import certificates
from tests.session_core.servers import Server, network, sweep

REPORTS: Final = Path(__file__).parents[1] / "docs" / "reports"
AIMS: Final = {"Redis, plain": 8000, "Redis, TLS": 5000, "HTTP, TLS": 1500}
TOO_HIGH: Final = 30_000
LIMIT_SECONDS: Final = 120


def measure(name: str, where: Mapping[str, object], options: list[str], seconds: int) -> dict[str, float]:
    """Run once, logins included; return operations a second by clock and by processor, and the share of a core."""
    environment = bare_environment() | {key.upper(): str(value) for key, value in where.items()}
    with tempfile.TemporaryDirectory() as directory:
        command = [
            *LOCUST,
            *("--headless", "--only-summary", "--users", "20", "--spawn-rate", "20", "--run-time", f"{seconds}s"),
            *("--rate", str(TOO_HIGH), "--warm-up", "0", "--stop-timeout", "5", "--report", directory),
            *options,
        ]
        done = bounded.run(command, LIMIT_SECONDS, environment)
        try:
            record = Record.unpacked(json.loads((Path(directory) / "report.json").read_text())["record"])
        except OSError:
            sys.exit(f"{name}: {done.output}")
    if record.errors:
        sys.exit(f"{name}: {dict(record.errors)}\n{done.output}")
    [share] = record.cpu.values()
    rate = record.ended_count * TOO_HIGH / record.target
    print(f"{name}: {rate:.0f} a second with {share:.2f} of a core", flush=True)
    return {"per_second": rate, "share": share, "per_core_second": rate / share}


def measured(server: Server, folder: Path, repeats: int, seconds: int) -> dict[str, dict[str, float]]:
    """Return the medians of the repeats; the levels take turns."""
    limit = {"session_max_concurrent": 5}
    with session_service(server, folder) as service:
        host = str(service["host"])
        web = {key: value for key, value in service.items() if key not in ("host", "process")}
        levels: dict[str, tuple[Mapping[str, object], list[str]]] = {
            "Redis, plain": ({"redis_url": server.url, **limit}, []),
            "Redis, TLS": ({**server.settings, **limit}, []),
            "HTTP, TLS": (web, ["--level", "http", "--host", host]),
        }
        rows: dict[str, list[dict[str, float]]] = {name: [] for name in levels}
        for _ in range(repeats):
            for name, (where, options) in levels.items():
                rows[name].append(measure(name, where, options, seconds))
    return {
        name: {field: statistics.median(row[field] for row in each) for field in each[0]} for name, each in rows.items()
    }


def page(found: dict[str, Any]) -> str:
    """The figures for a reader."""
    rows = "\n".join(
        f"| {name} | {row['per_core_second']:.0f} | {AIMS[name]} | {row['per_second']:.0f} | {row['share']:.2f} |"
        for name, row in found["levels"].items()
    )
    return f"""# The load generator's ceiling

`python -m benchmarks.generator`, {found["date"]}: one Locust process, workload `steady`, every answer checked, medians
of {found["repeats"]} runs of {found["seconds"]} s; {found["machine"]}. Generator, Redis and service share them: the
rate by the clock is that of all three. What counts is operations for each second of the generator's own processor time
(user and system, of its process), with all that belongs to one: start, question, check, histogram, Locust's statistics.

| level | operations per core and second | aim | by the clock | share of a core |
|---|---|---|---|---|
{rows}

Load average before and after: {found["load"][0]:.1f}, {found["load"][1]:.1f}.
"""


def write(found: dict[str, Any]) -> None:
    """Write both forms."""
    (REPORTS / "generator.json").write_text(json.dumps(found, indent=2) + "\n")
    (REPORTS / "generator.md").write_text(page(found))
    print(page(found))


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10, help="of each run")
    given = parser.parse_args()
    before = os.getloadavg()[0]
    try:
        with tempfile.TemporaryDirectory() as directory, network() as bridge:
            folder = Path(directory)
            folder.chmod(0o755)
            certificates(folder)
            with prepared_server(bridge, folder) as server:
                levels = measured(server, folder, given.repeats, given.seconds)
    finally:
        sweep()
    write(
        {
            "date": time.strftime("%Y-%m-%d"),
            "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
            "repeats": given.repeats,
            "seconds": given.seconds,
            "load": [before, os.getloadavg()[0]],
            "levels": levels,
        }
    )


if __name__ == "__main__":
    main()
