"""Faults of a compose project, through the Docker engine and the packet filter of this host."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence

from conformance.faults import FaultError, Heal

SECONDS = 120
LISTENING = "0A"
"""State of a listening socket in /proc/net/tcp (Linux: include/net/tcp_states.h)."""
SOCKETS = ("cat", "/proc/net/tcp", "/proc/net/tcp6")
HANDOVER = ("sh", "/run/kit/ctl.sh", "handover")
"""The kit's planned handover, in the container of the primary."""
HANDOVER_TRIES, HANDOVER_REST_SECONDS = 3, 3


class DockerFaults:
    """Does things to the containers of one compose project, named after the announced names of the nodes."""

    def __init__(self, project: str, nodes: Iterable[str]) -> None:
        """Keep the project and the announced names of its Redis nodes and Sentinels."""
        self._project = project
        self._nodes = tuple(nodes)

    @property
    def abilities(self) -> frozenset[str]:
        """All; a partition only where this process may change the packet filter of another network namespace."""
        filter_too = os.geteuid() == 0 and shutil.which("nsenter") and shutil.which("iptables")
        return frozenset(
            {"kill", "pause", "stop", "handover", "restart", "listening"} | ({"partition"} if filter_too else set())
        )

    def inject(self, fault: str, node: str) -> Heal:
        """Do it; `stop` ends the process as a planned stop does, `kill` does not let it say a word (SIGKILL)."""
        container = self.container(node)
        if fault == "partition":
            return self._cut_off(node)
        if fault == "handover":
            return self._hand_over(node)
        if fault == "restart":
            docker("restart", container)
            return lambda: None
        do, undo = {"kill": ("kill", "start"), "stop": ("stop", "start"), "pause": ("pause", "unpause")}[fault]
        docker(do, container)
        return once(lambda: docker(undo, container))

    def container(self, node: str) -> str:
        """The container of a node, as compose names it."""
        return f"{self._project}-{node}-1"

    def listening(self, node: str) -> frozenset[int]:
        """Read from the kernel, so that a port that nobody has told us of is found as well."""
        return ports(docker("exec", self.container(node), *SOCKETS))

    def _hand_over(self, node: str) -> Heal:
        return hand_over(node, lambda: docker("exec", self.container(node), *HANDOVER))

    def _cut_off(self, node: str) -> Heal:
        """DROP rules in the node's network namespace: it hears no other node, and clients go on reaching it.

        Addresses and ports stay as they are, which disconnecting a network does not promise (docker/cli#2909).
        """
        inside = ["nsenter", "--target", self._inspect(node, "{{.State.Pid}}"), "--net", "iptables"]
        others = [
            self._inspect(name, "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}")
            for name in self._nodes
            if name != node
        ]
        addresses = [address for each in others for address in each.split()]
        return drop(inside, addresses)

    def _inspect(self, node: str, form: str) -> str:
        return docker("inspect", "--format", form, self.container(node))


def hand_over(node: str, ask: Callable[[], str]) -> Heal:
    """As the kit does: a handover that fails has changed nothing and is tried again."""
    for _ in range(HANDOVER_TRIES):
        if ask() == "done":
            return lambda: None
        time.sleep(HANDOVER_REST_SECONDS)
    raise FaultError(f"handover of {node}: failed {HANDOVER_TRIES} times")


def ports(sockets: str) -> frozenset[int]:
    """Ports that are listened on, from what SOCKETS prints."""
    rows = (line.split() for line in sockets.splitlines())
    found = [row[1] for row in rows if len(row) > 3 and row[3] == LISTENING]  # noqa: PLR2004 - column of the state
    own = [each for each in found if not each.startswith("0B00007F")]  # 127.0.0.11: Docker's own resolver
    return frozenset(int(each.rpartition(":")[2], 16) for each in own)


def drop(inside: Sequence[str], addresses: Iterable[str]) -> Heal:
    """Let the packet filter that the command `inside` changes drop all from and to these addresses."""
    rules = [
        (chain, side, address)
        for address in addresses
        for chain, side in (("INPUT", "--source"), ("OUTPUT", "--destination"))
    ]

    left: list[tuple[str, str, str]] = []

    def change(action: str, rule: tuple[str, str, str]) -> None:
        run([*inside, "--wait", action, *rule, "--jump", "DROP"])

    def undo() -> None:
        problems = []
        for rule in tuple(left):
            try:
                change("--delete", rule)
                left.remove(rule)
            except FaultError as error:
                problems.append(str(error))
        if problems:
            raise FaultError("; ".join(problems))

    try:
        for rule in rules:
            change("--append", rule)
            left.append(rule)
    except FaultError:
        undo()
        raise
    return undo


def once(undo: Callable[[], object]) -> Heal:
    """What undoes a fault until it is undone, and does nothing afterwards."""
    done: list[bool] = []

    def heal() -> None:
        if not done:
            undo()
            done.append(True)

    return heal


def docker(*words: str) -> str:
    """Run a command of Docker; what it says.

    Raises:
        FaultError: it failed.
    """
    return run(["docker", *words])


def run(command: Sequence[str], text: str | None = None) -> str:
    """Run a command with `text` as its input; what it says.

    Raises:
        FaultError: it failed.
    """
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FaultError(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        raise FaultError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()
