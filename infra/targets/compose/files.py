"""The rendered project on disk, in a directory that only its owner may enter.

The files themselves are readable: in the containers they belong to other users. Only the directory guards them.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from infra.render.compose import hash_variable

DIRECTORY_MODE, FOLDER_MODE, FILE_MODE = 0o700, 0o755, 0o444


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
    directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    directory.chmod(DIRECTORY_MODE)
    wanted = {**files, ".env": hashes(files)}
    for path, text in wanted.items():
        target = directory / path
        target.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        target.parent.chmod(DIRECTORY_MODE if target.parent == directory else FOLDER_MODE)
        if not _holds(target, text):
            _replace(target, text)
    for present in directory.rglob("*"):
        if present.is_file() and str(present.relative_to(directory)) not in wanted:
            present.unlink()


def altered(directory: Path, files: Mapping[str, str]) -> set[str]:
    """The services (folders) of which a file is not as `files` has it, `compose.yaml` as the empty name."""
    return {
        path.rpartition("/")[0].partition("/")[0] for path, text in files.items() if not _holds(directory / path, text)
    }


def remove(directory: Path) -> None:
    """Remove the project's directory, if it is there."""
    shutil.rmtree(directory, ignore_errors=True)


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_text() == text
    except (OSError, UnicodeDecodeError):
        return False


def _replace(target: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            os.fchmod(file.fileno(), FILE_MODE)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
