"""A deployment's rendered files on disk, in a directory that only its owner may enter.

The files themselves are readable: in containers they belong to other users. Only the directory guards them.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

DIRECTORY_MODE, FOLDER_MODE, FILE_MODE = 0o700, 0o755, 0o444


def write(directory: Path, files: Mapping[str, str]) -> None:
    """Make `directory` hold exactly `files` (text by relative path); each file is replaced at once."""
    directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    directory.chmod(DIRECTORY_MODE)
    for path, text in files.items():
        target = directory / path
        target.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        target.parent.chmod(DIRECTORY_MODE if target.parent == directory else FOLDER_MODE)
        if not holds(target, text):
            _replace(target, text)
    for present in directory.rglob("*"):
        if present.is_file() and str(present.relative_to(directory)) not in files:
            present.unlink()


def holds(path: Path, text: str) -> bool:
    """Whether a file is there and has this text."""
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
