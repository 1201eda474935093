"""When the servers accepted the writes of the load test, by their event streams: none of it is the generator's word."""

from itertools import pairwise
from typing import Any

from session_core.protocol import event_keys


def longest_gap(admin: Any, since: float, until: float) -> float:
    """Longest time without an accepted login or logout of the load test between two moments, in seconds.

    Args:
        admin: a client of the primary.
        since, until: seconds since the epoch.
    """
    times = sorted(
        int(position.partition("-")[0]) / 1000
        for key in event_keys()
        for position, fields in _texts(admin.xrange(key, int(since * 1000), int(until * 1000)))
        if fields["user"].startswith("load-")
    )
    return max((later - earlier for earlier, later in pairwise(times)), default=until - since)


def _texts(entries: list[tuple[Any, dict[Any, Any]]]) -> list[tuple[str, dict[str, str]]]:
    return [
        (_text(position), {_text(name): _text(value) for name, value in each.items()}) for position, each in entries
    ]


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
