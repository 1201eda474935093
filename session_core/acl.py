"""What the Redis users of this library may do. Text only: no I/O, and nothing of this package is imported.

A deployment writes these rules behind ``user <name> on #<hash of its password>`` in ``users.acl``, or prints them
with ``session-core acl``. They are complete: everything that is not listed is refused. The commands that run inside
a Redis function count, because Redis checks them against the user who called the function
(https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/).
"""

from typing import Final

CALLED: Final = ("fcall", "fcall_ro", "hmget", "role", "time", "wait", "xread")
"""Commands that the client sends."""

INSIDE: Final = (
    "del",
    "exists",
    "hdel",
    "hmget",
    "hset",
    "pexpireat",
    "rename",
    "time",
    "xadd",
    "zadd",
    "zcard",
    "zcount",
    "zrange",
    "zrem",
)
"""Commands that the function library calls on the server."""

WRITABLE: Final = (
    "session:{*",
    "user_sessions:{*",
    "user_expiry:{*",
    "session_index:{*",
    "session_events:{*",
)
"""Key patterns that are read and written; the brace keeps out keys of the same prefix that are not ours."""

READABLE: Final = ("session_meta",)
"""Keys that are read only."""


def rule(commands: tuple[str, ...], writable: tuple[str, ...], readable: tuple[str, ...] = ()) -> str:
    """Return the rule text, without user name and password, in the words of ``ACL SETUSER``."""
    words = ["resetchannels", "resetkeys", *(f"~{key}" for key in writable), *(f"%R~{key}" for key in readable)]
    return " ".join([*words, "-@all", *(f"+{name}" for name in sorted(set(commands)))])


PASSING: Final = "session_ephemeral:{*"
"""Keys of `session_core.ephemeral`."""

EPHEMERAL: Final = f"(~{PASSING} +del +get +incr +pexpire +set)"
"""A selector: these commands may touch those keys and no session
(https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/, section "Selectors")."""

APP_RULE: Final = f"{rule(CALLED + INSIDE, WRITABLE, READABLE)} {EPHEMERAL}"
"""The user of the library and the service (``REDIS_USERNAME``)."""

_SCRIPTS: Final = ("eval", "eval_ro", "evalsha", "evalsha_ro")
_WITH_SCRIPTS: Final = (*_SCRIPTS, *(name for name in CALLED if not name.startswith("fcall")), *INSIDE)
EVAL_APP_RULE: Final = f"{rule(_WITH_SCRIPTS, WRITABLE, READABLE)} {EPHEMERAL}"
"""The same with SESSION_SCRIPTS=eval: it may run Lua of its own, within these commands and keys."""

DEPLOY_RULE: Final = rule(("fcall_ro", "function|list", "function|load", "hmget", "hsetnx", "role", "wait"), READABLE)
"""The user that loads the function library (``REDIS_DEPLOY_USERNAME``); it sees no session."""

EVAL_DEPLOY_RULE: Final = rule(("hmget", "hsetnx", "role", "wait"), READABLE)
"""The deploy user with SESSION_SCRIPTS=eval: it writes ``session_meta``, and there is no library to load."""

SENTINEL_RULE: Final = rule(("sentinel|get-master-addr-by-name", "sentinel|replicas"), ())
"""The same application on the Sentinels (``REDIS_SENTINEL_USERNAME``)."""

_CLUSTER: Final = ("asking", "cluster|slots", "readonly")


def on_database(rule_text: str) -> str:
    """Return the rule for a ``REDIS_URL`` that ends in the number of a database other than 0."""
    return f"{rule_text} +select"


def on_cluster(rule_text: str) -> str:
    """Return the rule of the application's or the deploy user as the nodes of a Redis Cluster need it."""
    return " ".join([rule_text, *(f"+{name}" for name in _CLUSTER)])
