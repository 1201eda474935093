"""The one way to the Docker engine: its command line, as the user has it."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CTL_TIMEOUT = 40
"""Seconds for a node's ctl.sh: a handover takes the longest (infra/render/entrypoints/ctl.sh)."""
LAST_LINES = 12
"""Lines of a failed command's output that its error shows."""


class EngineError(RuntimeError):
    """Docker refused or did not answer; the message says which command and why."""


def docker(*arguments: str, timeout: float = 60, cwd: Path | None = None, both: bool = False) -> str:
    """Run `docker` and return its standard output, with `both` its standard error behind it.

    It runs in a session of its own: an interrupt is for the engine of Pulumi, which lets a step come to its end.

    Raises:
        EngineError: it failed, took longer than `timeout` (s), or is not installed.

    """
    command = ["docker", *arguments]
    shown = " ".join(command[:6])
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, cwd=cwd, check=False, start_new_session=True
        )
    except FileNotFoundError:
        message = "docker is not installed, or not on the PATH"
        raise EngineError(message) from None
    except subprocess.TimeoutExpired:
        message = f"{shown}: no answer in {timeout:.0f} s"
        raise EngineError(message) from None
    if done.returncode:
        reason = "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-LAST_LINES:])
        message = f"{shown}: {reason or f'exit code {done.returncode}'}"
        raise EngineError(message)
    return done.stdout + (done.stderr if both else "")


@dataclass(frozen=True)
class Project:
    """A compose project: what carries its name in the engine, and the directory with its rendered files."""

    name: str
    directory: Path

    def compose(self, *arguments: str, timeout: float = 300) -> str:
        """Run `docker compose` on this project (see `docker`)."""
        place = ["--project-name", self.name, "--project-directory", str(self.directory)]
        return docker("compose", *place, *arguments, timeout=timeout, cwd=self.directory)

    def container(self, service: str) -> str:
        """The name of a service's only container."""
        return f"{self.name}-{service}-1"

    def ctl(self, service: str, *words: str) -> str:
        """Ask a node through its own ctl.sh; its answer, or nothing while it has none."""
        try:
            return docker("exec", self.container(service), "sh", "/run/kit/ctl.sh", *words, timeout=CTL_TIMEOUT)
        except EngineError:
            return ""

    def inspect(self) -> dict[str, dict[str, Any]]:
        """`docker inspect` of every container of the project, by service."""
        ids = docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={self.name}").split()
        found = json.loads(docker("inspect", *ids)) if ids else []
        return {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in found}

    def expected_hashes(self) -> Mapping[str, str]:
        """What compose would write on the container of each service if it made it now."""
        lines = self.compose("config", "--hash", "*").splitlines()
        return dict(line.split(maxsplit=1) for line in lines)

    def volumes(self) -> Sequence[str]:
        """Names of the volumes that exist."""
        return docker("volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={self.name}").split()


def image_id(image: str) -> str | None:
    """Id of a local image, None if there is none of that name."""
    try:
        return docker("image", "inspect", "--format", "{{.Id}}", image).strip()
    except EngineError:
        return None
