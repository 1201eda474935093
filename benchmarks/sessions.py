"""Measures the session library beside its peers from PyPI: one run, one Redis, ratios to bare redis-py.

    python -m benchmarks.sessions                    all parts, one after the other
    python -m benchmarks.sessions --part plain tls   these anew; what the report has of the others stays

Needs Docker and uv. Installs the peers in an environment that is thrown away, starts Redis containers of its own, and
writes docs/reports/sessions.json and docs/reports/sessions.md after each part.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from benchmarks.sessions_report import as_text
from tests.session_core.sentinel_group import certificates
from tests.session_core.servers import IMAGE, LABEL, OWNER, network

ROOT = Path(__file__).parent.parent
REPORT = ROOT / "docs" / "reports" / "sessions.json"
PARTS = ("plain", "tls", "replica", "memory", "stores", "users", "limit")
PEERS = (
    "starsessions==2.2.1",
    "crudauth==0.8.2",
    "fastapi-users==15.0.5",
    "Flask-Session==0.8.0",
    "sqlalchemy[asyncio]",
)


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS, help="what to measure (default: all)")
    parser.add_argument("--rounds", type=int, default=20, help="rounds over all contenders (default 20)")
    parser.add_argument("--seconds", type=float, default=0.2, help="of each measurement (default 0.2)")
    parser.add_argument("--sessions", type=int, default=1_000_000, help="in the largest store (default 1000000)")
    arguments = parser.parse_args()
    testcontainers_config.ryuk_disabled = True  # we remove what we start
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        directory.chmod(0o755)
        python = peers(directory / "peers")
        certificates(directory)
        bridge = stack.enter_context(network())
        primary = stack.enter_context(server(bridge, directory, "primary"))
        replica_of = stack.enter_context(server(bridge, directory, "replicated"))
        stack.enter_context(server(bridge, directory, "replica", "--replicaof", "replicated", "6379"))
        what = {
            "host": address(primary),
            "replicated": address(replica_of),
            "ca_file": str(directory / "ca.crt"),
            **vars(arguments),
        }
        for part in arguments.part:
            print(f"measuring: {part}", file=sys.stderr, flush=True)
            keep(part, {**environment(), "found": limit(primary) if part == "limit" else measured(python, part, what)})


def keep(part: str, found: dict[str, Any]) -> None:
    """Put a part into the report."""
    parts = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    parts |= {part: {"command": " ".join(["python -m benchmarks.sessions", *sys.argv[1:]]), **found}}
    REPORT.write_text(json.dumps(parts, indent=2) + "\n")
    if parts.keys() >= set(PARTS):
        text = as_text(parts)
        REPORT.with_suffix(".md").write_text(text)
        print(text)


def peers(directory: Path) -> Path:
    """Install this library's dependencies, as locked, and the peers; return the Python that has them."""
    python = directory / "bin" / "python"
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, str(directory)], check=True)
    install = ["uv", "pip", "install", "--quiet", "--python", str(python)]
    # fastapi and the like come with the peers, so that each has what it wants.
    own = [
        line
        for line in (ROOT / "pyproject.toml").read_text().splitlines()
        if re.match(r'  "(redis|pydan|crypt|uvl)', line)
    ]
    subprocess.run([*install, *(line.strip(' ",') for line in own), *PEERS], check=True)
    return python


@contextmanager
def server(bridge: Network, directory: Path, alias: str, *arguments: str) -> Iterator[DockerContainer]:
    """Start Redis with a plain and a TLS port, without persistence."""
    files = "--tls-cert-file /conf/redis-1.crt --tls-key-file /conf/redis-1.key --tls-ca-cert-file /conf/ca.crt"
    ports = "--port 6379 --protected-mode no --tls-port 6390 --tls-auth-clients no"
    command = [*ports.split(), *files.split(), "--repl-diskless-sync-delay", "0", "--save", "", *arguments]
    container = DockerContainer(
        IMAGE,
        labels={LABEL: OWNER},
        entrypoint=["redis-server"],
        command=command,  # type: ignore[arg-type]
        user=str(os.getuid()),
    )
    container.with_volume_mapping(str(directory), "/conf", "ro").with_network(bridge).with_network_aliases(alias)
    container.start()
    try:
        yield container
    finally:
        container.stop()


def address(container: DockerContainer) -> str:
    """Return the address of a container in its network: no proxy of Docker's stands between."""
    wrapped = container.get_wrapped_container()
    wrapped.reload()
    [found] = wrapped.attrs["NetworkSettings"]["Networks"].values()
    return str(found["IPAddress"])


def measured(python: Path, part: str, what: dict[str, Any]) -> dict[str, Any]:
    """Run a part in the environment that has the peers."""
    ran = subprocess.run(
        [str(python), "-m", "benchmarks.measure", part, json.dumps(what)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def limit(container: DockerContainer) -> dict[str, float]:
    """Return what redis-benchmark reaches with 50 connections, one by one and 50 commands at a time."""
    found = {}
    for name, more in (("GET", []), ("GET, 50 at a time", ["-P", "50"])):
        command = ["redis-benchmark", "-c", "50", "-n", "300000", "-d", "350", "-t", "get", "--csv", *more]
        _, output = container.get_wrapped_container().exec_run(command)
        found[name] = float(output.decode().splitlines()[-1].split(",")[1].strip('"'))
    return found


def environment() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_before": "/".join(f"{one:.1f}" for one in os.getloadavg()),
        "environment": {
            "cores": str(os.cpu_count()),
            "kernel": platform.release(),
            "python": platform.python_version(),
            "loop": "uvloop",
            "redis-py": "8.1.0 with hiredis",
            "image": IMAGE,
        },
    }


if __name__ == "__main__":
    main()
