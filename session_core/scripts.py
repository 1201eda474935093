"""The function library as scripts, for servers that refuse functions: SESSION_SCRIPTS=eval. The Lua source is the same.

A script has flags as a whole (``no-writes``, ``allow-oom``), so there is one for each that the functions have. Each is
the whole library with a ``register_function`` of our own in front, and calls the function that its last argument names.
A server forgets scripts at a restart and at a failover: then the text is sent once more, and run.
"""

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from typing import Final, TypeVar

from redis.exceptions import NoScriptError

from session_core import library
from session_core.errors import StoreError
from session_core.link import Link
from session_core.protocol import Call
from session_core.settings import Settings

T = TypeVar("T")
_FLAGS: Final = re.compile(r"function_name = '(\w+)',\s+flags = {'([\w-]+)'}")
_HEAD: Final = """#!lua flags={flags}
local FUNCTIONS = {{}}
local redis = setmetatable({{
  register_function = function(named, callback)
    if type(named) == 'table' then named, callback = named.function_name, named.callback end
    FUNCTIONS[named] = callback
  end,
}}, {{__index = redis}})
"""
_TAIL: Final = "\nreturn FUNCTIONS[table.remove(ARGV)](KEYS, ARGV)\n"


@dataclass(frozen=True, slots=True)
class Script:
    """Text, its SHA-1 as the server knows it, and whether it only reads."""

    text: str
    sha: str
    reads: bool


@cache
def script_of(function: str) -> Script:
    """Return the script that runs a function of the library."""
    return _script(dict(_FLAGS.findall(library.source())).get(function, ""))


@cache
def _script(flags: str) -> Script:
    _, _, source = library.source().partition("\n")  # the first line names the library
    text = _HEAD.format(flags=flags) + source + _TAIL
    return Script(text, sha1(text.encode()).hexdigest(), flags == "no-writes")  # noqa: S324 - Redis' name for it


def as_script(call: Call[T], *, whole: bool) -> Call[T]:
    """Return the call of a function as one of a script, by its text or by its name; any other call as it is."""
    command, *words = call.words
    if command not in ("FCALL", "FCALL_RO"):
        return call
    function, *arguments = words
    script = script_of(str(function))
    name, body = ("EVAL", script.text) if whole else ("EVALSHA", script.sha)
    return call._replace(words=(f"{name}_RO" if script.reads else name, body, *arguments, function))


class ScriptLink(Link):
    """A `Link` that calls functions as scripts."""

    async def ask(self, call: Call[T], *, seconds: float | None = None, once: bool = False, stale: bool = False) -> T:
        """See `Link`."""
        try:
            return await super().ask(as_script(call, whole=False), seconds=seconds, once=once, stale=stale)
        except StoreError as error:
            if not isinstance(error.__cause__, NoScriptError):
                raise
        return await super().ask(as_script(call, whole=True), seconds=seconds, once=once, stale=stale)

    async def ask_durably(self, call: Call[T]) -> tuple[T, bool]:
        """See `Link`."""
        try:
            return await super().ask_durably(as_script(call, whole=False))
        except StoreError as error:
            if not isinstance(error.__cause__, NoScriptError):
                raise
        return await super().ask_durably(as_script(call, whole=True))


def link_of(settings: Settings) -> Link:
    """Return the link that the settings choose; nothing is sent."""
    return ScriptLink(settings) if settings.session_scripts == "eval" else Link(settings)
