"""A stack that Pulumi has deployed, or anything else that a file of the form of `infra.outputs` describes."""

import json
import subprocess
from pathlib import Path

from conformance.faults import Faults, NoFaults
from conformance.faults.docker import DockerFaults
from conformance.faults.kubernetes import KubernetesFaults
from conformance.targets import Target
from conformance.wire import Login
from infra.outputs import OutputsError, StackOutputs, parse
from infra.outputs_env import environment
from session_core.address import Address

FAULTS = frozenset({"kill", "pause", "partition", "stop", "handover", "restart"})


def outputs_of(name: str) -> StackOutputs:
    """Ask Pulumi for the outputs of a stack. Blocks.

    Raises:
        OutputsError: Pulumi does not know it, or cannot read it; the message is Pulumi's.
    """
    command = ["pulumi", "--non-interactive", "stack", "output", "--json", "--show-secrets", "--stack", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OutputsError(f'{" ".join(command)}: {error} (first: eval "$(make env)")') from None
    if done.returncode:
        raise OutputsError(f"{' '.join(command)}: {done.stderr.strip()}")
    return parse(json.loads(done.stdout), f"the outputs of stack {name}")


def target_of(outputs: StackOutputs, kind: str, directory: Path, *, exclusive: bool = False) -> Target:
    """The target that outputs describe; the certificate of the authority is put into `directory`."""
    ca_file = directory / "ca.pem"
    ca_file.write_text(outputs.ca_pem, encoding="utf-8")
    faults = _faults(outputs)
    password = outputs.admin_password
    claimed = frozenset(outputs.features) - FAULTS
    return Target(
        kind=kind,
        name=outputs.location.get("compose_project") or outputs.location.get("namespace", outputs.target),
        connect={name.lower(): value for name, value in environment(outputs, ca_file).items()},
        features=claimed | faults.abilities | ({"exclusive"} if exclusive else set()),
        nodes=tuple(map(_address, outputs.redis_nodes)),
        sentinels=tuple(map(_address, outputs.sentinels)),
        admin=Login(outputs.users.admin or "", password.get_secret_value()) if password else None,
        faults=faults,
    )


def _faults(outputs: StackOutputs) -> Faults:
    nodes = [_address(each).host for each in (*outputs.redis_nodes, *outputs.sentinels)]
    if project := outputs.location.get("compose_project"):
        return DockerFaults(project, nodes)
    if "namespace" in outputs.location:
        return KubernetesFaults(outputs.location, nodes)
    return NoFaults()


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return Address(host, int(port))
