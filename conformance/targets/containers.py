"""A topology of our own in containers, from the kit's own rendering; removed whatever happens."""

import asyncio
import os
import random
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import yaml

from conformance.faults.rendered import RenderedFaults
from conformance.targets import Target
from conformance.targets.stack import target_of
from conformance.view import View
from conformance.waiting import finished
from infra.outputs import StackOutputs, read

RENDER = (sys.executable, "-m", "infra.targets.compose", "--stack", "dev")
"""The kit's rendering, which this package knows by its command line alone."""
PREFIX = "conformance-"
PROCESSES = Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
"""Which processes we can see: of another namespace's we cannot say whether they live."""
SECONDS = 120
LABEL = "com.docker.compose.project"
REMOVED_BY = {"ps --all": "rm --force --volumes", "volume ls": "volume rm", "network ls": "network rm"}
"""What a compose project is made of, in the order in which Docker lets it be removed."""
DISKS = "disks"
DISK_BYTES = 160 * 1024 * 1024
Edit = Callable[[Path], None]
"""Changes the rendered directory before it is started, to break the deployment on purpose."""


class TopologyError(Exception):
    """The containers could not be brought up; the message says what was run and what it said."""


@asynccontextmanager
async def containers(
    directory: Path, settings: Mapping[str, str] | None = None, edit: Edit | None = None
) -> AsyncIterator[Target]:
    """Bring up 3 Redis and 3 Sentinels with TLS and ACL users, under a name and on ports of their own.

    Args:
        directory: for the certificate of the authority.
        settings: keys of a stack file and their values, in place of the kit's defaults.
        edit: what to break before the start.

    Raises:
        TopologyError: it did not come up.
    """
    name = f"{PREFIX}{PROCESSES}-{os.getpid()}-{secrets.token_hex(3)}"
    rendered = Path(tempfile.mkdtemp(prefix=name)) / "project"
    try:
        render = partial(_render, name, rendered, _settings(settings or {}), edit)
        outputs = await finished(render)
        await finished(_start, rendered, outputs)
        target = _with_own_faults(
            target_of(outputs, "containers", directory, exclusive=True),
            outputs.location["compose_project"],
            rendered,
            partial(render, "--renew-certificates"),
        )
        await _linked(target)
        yield target
    finally:
        remove(f"redis-session-kit-{name}")
        shutil.rmtree(rendered.parent, ignore_errors=True)


def sweep() -> None:
    """Remove what a run has left that was killed before it could: those of processes of ours that are gone."""
    of_projects = ["--filter", f"label={LABEL}", "--format", f'{{{{.Label "{LABEL}"}}}}']
    for project in {each for kind in REMOVED_BY for each in _run(["docker", *kind.split(), *of_projects]).split()}:
        left = re.fullmatch(rf"redis-session-kit-{PREFIX}{PROCESSES}-(\d+)-\w+", project)
        if left and not Path(f"/proc/{left[1]}").exists():
            remove(project)


def remove(project: str) -> None:
    """Remove every container, volume and network of a compose project."""
    mine = f"label={LABEL}={project}"
    for kind, gone in REMOVED_BY.items():
        with suppress(TopologyError):
            if ids := _run(["docker", *kind.split(), "--quiet", "--filter", mine]).split():
                _run(["docker", *gone.split(), *ids])


def _settings(wanted: Mapping[str, str]) -> Mapping[str, str]:
    """Those that were asked for, and ports of its own."""
    first = _free_ports(7)
    ports = {"redisPort": first, "sentinelPort": first + 3, "httpsPort": first + 6}
    return {**{f"compose.{key}": str(port) for key, port in ports.items()}, **wanted}


def _render(name: str, directory: Path, settings: Mapping[str, str], edit: Edit | None, *more: str) -> StackOutputs:
    changes = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    _run([*RENDER, "--name", name, "--out", str(directory), *changes, *more])
    if edit:
        edit(directory)
    outputs = read(directory / "outputs.json")
    _bound_disks(directory / "compose.yaml", [address.partition(":")[0] for address in outputs.redis_nodes])
    return outputs


def _bound_disks(path: Path, nodes: Sequence[str]) -> None:
    """Give every Redis node a disk that can be filled; an idle container keeps it while the node is down."""
    project = yaml.safe_load(path.read_text(encoding="utf-8"))
    options = {"type": "tmpfs", "device": "tmpfs", "o": f"size={DISK_BYTES},uid=999,gid=999,mode=0700"}
    for node in nodes:
        project["volumes"][f"{node}-data"] = {"driver": "local", "driver_opts": options}
    project["services"][DISKS] = {
        "image": project["services"][nodes[0]]["image"],
        "entrypoint": ["sleep", "infinity"],
        "init": True,
        "network_mode": "none",
        "volumes": [f"{node}-data:/disks/{node}:ro" for node in nodes],
    }
    path.chmod(0o600)  # rendered files are read-only
    path.write_text(yaml.safe_dump(project, sort_keys=False), encoding="utf-8")


def _with_own_faults(target: Target, project: str, directory: Path, renew: Callable[[], object]) -> Target:
    names = (address.host for address in (*target.nodes, *target.sentinels))
    faults = RenderedFaults(project, names, directory, renew)
    return replace(target, faults=faults, features=target.features | faults.abilities)


def _start(directory: Path, outputs: StackOutputs) -> None:
    project = outputs.location["compose_project"]
    nodes = [address.partition(":")[0] for address in (*outputs.redis_nodes, *outputs.sentinels)]
    compose = ["docker", "compose", "--project-directory", str(directory)]
    _run([*compose, "up", "--detach", DISKS, *nodes, "functions", "exporter"])
    if _run(["docker", "wait", f"{project}-functions-1"]) != "0":
        raise TopologyError(f"the function library was not loaded:\n{_run([*compose, 'logs', '--tail', '20'])}")


async def _linked(target: Target) -> None:
    deadline = time.monotonic() + SECONDS
    while problem := await asyncio.to_thread(View(target).linked):
        if time.monotonic() > deadline:
            raise TopologyError(f"{target.name} did not come up in {SECONDS} s: {problem}")
        await asyncio.sleep(0.2)


def _free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on, below those that the kernel gives to clients."""
    while True:
        first = random.randrange(20_000, 30_000)  # noqa: S311 - no secret
        with suppress(OSError):
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TopologyError(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        raise TopologyError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()
