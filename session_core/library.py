"""The function library as one text, and what its revision means. Reads package files, does no network I/O."""

from importlib.resources import files
from typing import Final

NAME: Final = "redis_session_kit"
REVISION: Final = 6
"""Raised with every change of a Lua file; a server with a lower one is refused, a higher one is compatible.

Function names end in the schema version (``_v1``): an incompatible change gets new names beside the old ones.
"""

SCHEMA: Final = 1
FILES: Final = ("common", "create", "refresh", "revoke", "change", "import", "queries")


def source() -> str:
    """Return the library as ``FUNCTION LOAD`` wants it."""
    parts = [files("session_core").joinpath("functions", f"{name}.lua").read_text("utf-8") for name in FILES]
    return "\n".join([f"#!lua name={NAME}", f"local REVISION = {REVISION}", *parts])
