"""Locust as a user runs it, with a time limit, and something that happens to its target meanwhile."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from loadtests import bounded
from tests.session_core.servers import Server

ROOT = Path(__file__).resolve().parents[2]
LOCUST = (sys.executable, "-m", "locust", "-f", str(ROOT / "loadtests" / "locustfile.py"))
LIMIT_SECONDS = 60
EASY = """
operations: {validate: {p50_ms: 1000}}
achieved_ratio: 0.5
dropped: 150
"""
"""For a machine that others use, too: what is tested here is not its speed."""


def bare_environment() -> dict[str, str]:
    """Nothing that says of a target."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("REDIS_", "SESSION_"))}


@dataclass
class Load:
    """One run of Locust against sessions that are in `server`."""

    server: Server
    report: Path
    where: Mapping[str, object]
    during: Callable[[redis.Redis], None] | None = None
    options: list[str] = field(default_factory=list)
    output: str = ""

    def run(self, thresholds: str = EASY, seconds: int = 4) -> int:
        """Return the exit code; one that does not end is killed, and fails with what it has printed."""
        file = self.report.parent / "thresholds.yaml"
        file.write_text(thresholds)
        environment = bare_environment() | {name.upper(): str(value) for name, value in self.where.items()}
        command = [
            *LOCUST,
            *("--headless", "--users", "10", "--spawn-rate", "10", "--run-time", f"{seconds}s", "--stop-timeout", "5"),
            *("--rate", "100", "--warm-up", "1", "--thresholds", str(file), "--report", str(self.report)),
            *self.options,
        ]
        saboteur = threading.Thread(target=self._sabotage, daemon=True)
        if self.during:
            saboteur.start()
        code, self.output = bounded.run(command, LIMIT_SECONDS, environment)
        if self.during:
            saboteur.join(LIMIT_SECONDS)
        return code

    def _sabotage(self) -> None:
        admin = self.server.admin(socket_timeout=10)  # type: ignore[arg-type]
        deadline = time.monotonic() + 20
        while not admin.keys("session:*"):
            if time.monotonic() > deadline:
                return
            time.sleep(0.1)
        time.sleep(1.5)
        if self.during:
            self.during(admin)

    @property
    def found(self) -> dict[str, Any]:
        """The report."""
        return json.loads((self.report / "report.json").read_text())  # type: ignore[no-any-return]

    def broken(self) -> set[str]:
        """Names of the thresholds that do not hold."""
        return {each["name"] for each in self.found["findings"] if not each["holds"]}
