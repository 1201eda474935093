"""What a call is in a Redis Cluster: the slot that it belongs to, and what it does while that slot moves. No I/O."""

from collections.abc import Iterable
from typing import TypeVar

from redis.crc import key_slot

from session_core.protocol import Call

T = TypeVar("T")


def slot_of(call: Call[T]) -> int:
    """Return the slot of the first key of a call, 0 to 16383. A call without any may be answered by every node: slot 0.

    Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#key-distribution-model
    """
    key = _first_key(call)
    return key_slot(key.encode()) if key else 0


def by_slot(keys: Iterable[str]) -> list[tuple[str, ...]]:
    """Group keys by their slots: one call takes keys of one slot only."""
    groups: dict[int, list[str]] = {}
    for key in keys:
        groups.setdefault(key_slot(key.encode()), []).append(key)
    return [tuple(group) for group in groups.values()]


def held_while_moving(call: Call[T]) -> Call[T]:
    """Let a function or a script declare one more key of its slot, one that never exists.

    While a slot moves to another node its keys are on two. A function also uses keys that it does not declare, and
    would break off half way where one of them has gone. With a declared key that is missing, neither node begins: the
    answer is TRYAGAIN until the slot has moved. Source:
    https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#multi-keys-operations
    """
    if not _declares_keys(call):
        return call
    command, function, number, *words = call.words
    tag = str(words[0]).partition("{")[2].partition("}")[0]
    words.insert(int(number), f"session:{{{tag}}}:")
    return call._replace(words=(command, function, int(number) + 1, *words))


def _first_key(call: Call[T]) -> str:
    command, *words = call.words
    if command in ("HMGET", "HSETNX", "GET", "SET", "DEL", "INCR", "PEXPIRE"):
        return str(words[0])
    if command == "XREAD":
        return str(words[words.index("STREAMS") + 1])
    return str(words[2]) if _declares_keys(call) else str(call.at)


def _declares_keys(call: Call[T]) -> bool:
    return str(call.words[0]).startswith(("FCALL", "EVAL")) and call.words[2] != 0
