"""What the engine and the disk show of a deployment, beside what was made."""

from collections.abc import Mapping
from typing import Any

from infra.targets.compose import files
from infra.targets.compose.engine import image_id
from infra.targets.compose.wanted import Wanted

RUNNING, PAUSED, MISSING, ALTERED = "running", "paused", "missing", "altered"
DOWN = frozenset({MISSING, "created", "exited", "dead"})
"""States of a container that does not run."""


def states(wanted: Wanted) -> dict[str, str]:
    """State of each service's container: `running`, `missing`, `altered`, or the engine's word for another state.

    `altered`: the container was not made from the rendered files and the present images, or a file was changed since.
    """
    project, names = wanted.project, wanted.parts.all_names
    changed = files.altered(project.directory, wanted.files)
    found = project.inspect()
    if "" in changed:
        return {name: ALTERED if name in found else MISSING for name in names}
    expected = project.expected_hashes()
    return {name: _state(found.get(name), expected.get(name), name in changed) for name in names}


def _state(container: Mapping[str, Any] | None, expected_hash: str | None, changed: object) -> str:
    if container is None:
        return MISSING
    if container["State"]["Status"] != RUNNING:
        return str(container["State"]["Status"])
    made_from = container["Config"]["Labels"].get("com.docker.compose.config-hash"), container["Image"]
    if changed or made_from != (expected_hash, image_id(container["Config"]["Image"])):
        return ALTERED
    return RUNNING
