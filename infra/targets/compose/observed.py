"""What the engine and the disk show of a deployment, beside what was made."""

from collections.abc import Mapping
from typing import Any

import yaml

from infra.targets.compose import files
from infra.targets.compose.engine import image_id
from infra.targets.compose.wanted import Wanted

RUNNING, PAUSED, MISSING, ALTERED, DISCONNECTED = "running", "paused", "missing", "altered", "disconnected"
DOWN = frozenset({MISSING, DISCONNECTED, "created", "exited", "dead"})
"""States of a container that nobody can talk to until it is started anew."""


def states(wanted: Wanted) -> dict[str, str]:
    """State of each service's container: `running`, `missing`, `altered`, `disconnected`, or the engine's word.

    `altered`: the container was not made from the rendered files and the present images, or a file was changed since.
    `disconnected`: it runs, but not in all of its networks.
    """
    project, names = wanted.project, wanted.parts.all_names
    changed = files.altered(project.directory, wanted.files)
    found = project.inspect()
    if "" in changed:
        return {name: ALTERED if name in found else MISSING for name in names}
    hashes, networks = project.expected_hashes(), _networks(wanted)
    return {name: _state(found.get(name), hashes.get(name), networks[name], name in changed) for name in names}


def _networks(wanted: Wanted) -> dict[str, set[str]]:
    """Names of the networks of each service."""
    services = yaml.safe_load(wanted.files["compose.yaml"])["services"]
    return {name: {f"{wanted.project.name}_{net}" for net in each["networks"]} for name, each in services.items()}


def _state(container: Mapping[str, Any] | None, expected_hash: str | None, networks: set[str], changed: object) -> str:
    if container is None:
        return MISSING
    if container["State"]["Status"] != RUNNING:
        return str(container["State"]["Status"])
    if networks - set(container["NetworkSettings"]["Networks"]):
        return DISCONNECTED
    made_from = container["Config"]["Labels"].get("com.docker.compose.config-hash"), container["Image"]
    if changed or made_from != (expected_hash, image_id(container["Config"]["Image"])):
        return ALTERED
    return RUNNING
