"""The fail-closed entrypoints of Redis and Sentinel, and what else runs beside them, as POSIX sh."""

from importlib.resources import files


def script(name: str) -> str:
    """The text of `name` (`redis`, `sentinel`, `ctl`), with what they share in front: one file to mount."""
    here = files(__name__)
    return (here / "common.sh").read_text() + (here / f"{name}.sh").read_text()
