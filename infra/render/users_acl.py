"""ACL files: each user with the least it needs, `default` off, passwords as SHA-256 only (redis.io: ACL)."""

import hashlib
from collections.abc import Mapping

from session_core.acl import APP_RULE, DEPLOY_RULE, SENTINEL_RULE

CONNECTION = "+auth +hello +ping +client|setname +client|setinfo +client|getname +client|id"

DEFAULT_USER = "user default off resetpass resetchannels ~* +@all"
"""Off: nobody can sign in as `default`, and a connection without a user may run nothing.

It keeps its rights all the same, because Redis replays the AOF as this user, and a function's writes are a transaction
there: without them EXEC is refused with NOPERM, which is logged and passed over, and a restart loses the sessions.
"""

REDIS_RULES: Mapping[str, str] = {
    "sessions": APP_RULE,
    "deploy": DEPLOY_RULE,
    # redis.io: ACL, "ACL rules for Sentinel and Replicas".
    "replication": "resetchannels -@all +psync +replconf +ping",
    "sentinel": (
        "resetchannels &__sentinel__:hello -@all +multi +slaveof +ping +exec +subscribe +config|rewrite +role +publish"
        " +info +client|setname +client|kill +script|kill"
    ),
    # No CONFIG GET: it would show `masterauth`.
    "exporter": f"resetchannels -@all {CONNECTION} +info +slowlog|len +slowlog|get +latency|latest +latency|histogram",
    # Health checks, the entrypoints' questions, and the handover before a planned stop of the primary.
    "node": "resetchannels -@all +ping +info +client|pause +client|unpause +replicaof",
    "admin": "~* &* +@all",
}
"""Users of the Redis nodes and their rules."""

SENTINEL_RULES: Mapping[str, str] = {
    # Sentinel to Sentinel (redis.io: Sentinel, "Sentinel Access Control List authentication"; redis#9772, redis#13192).
    "sentinel": (
        "resetchannels &* -@all +auth +ping +hello +info +publish +subscribe +client|setname"
        " +sentinel|is-master-down-by-addr"
    ),
    "sessions": SENTINEL_RULE,
    "exporter": (
        f"resetchannels -@all {CONNECTION} +info +sentinel|masters +sentinel|master +sentinel|replicas +sentinel|slaves"
        " +sentinel|sentinels +sentinel|ckquorum"
    ),
    "node": (
        "resetchannels -@all +ping +info +sentinel|get-master-addr-by-name +sentinel|masters +sentinel|replicas"
        " +sentinel|sentinels +sentinel|ckquorum +sentinel|failover"
    ),
    "admin": "~* &* +@all",
}
"""Users of the Sentinels and their rules."""


def users_acl(rules: Mapping[str, str], passwords: Mapping[str, str], *others: Mapping[str, str]) -> str:
    """The ACL file with `rules`; `passwords` by user name, and `others` that are valid beside them."""
    lines = [
        " ".join(["user", user, "on", *(f"#{_digest(each[user])}" for each in (passwords, *others)), rule])
        for user, rule in rules.items()
    ]
    return "\n".join([DEFAULT_USER, *lines]) + "\n"


def _digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()
