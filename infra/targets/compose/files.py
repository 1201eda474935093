"""The rendered project on disk."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from infra.render.compose import hash_variable
from infra.targets import directory as on_disk


def hashes(files: Mapping[str, str]) -> str:
    """The `.env` of the project: a hash of each service's files, so that compose sees that they have changed."""
    digests: dict[str, hashlib._Hash] = {}
    for path, text in sorted(files.items()):
        service, slash, _ = path.partition("/")
        if slash:
            digests.setdefault(service, hashlib.sha256()).update(f"{path}\0{text}\0".encode())
    return "".join(f"{hash_variable(service)}={digest.hexdigest()[:32]}\n" for service, digest in digests.items())


def write(directory: Path, files: Mapping[str, str]) -> None:
    """Make `directory` hold exactly `files` (text by relative path) and their hashes; each file is replaced at once."""
    on_disk.write(directory, {**files, ".env": hashes(files)})


def altered(directory: Path, files: Mapping[str, str]) -> set[str]:
    """The services (folders) of which a file is not as `files` has it, `compose.yaml` as the empty name."""
    return {
        path.rpartition("/")[0].partition("/")[0]
        for path, text in files.items()
        if not on_disk.holds(directory / path, text)
    }


def remove(directory: Path) -> None:
    """Remove the project's directory, if it is there."""
    shutil.rmtree(directory, ignore_errors=True)
