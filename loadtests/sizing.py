"""From measured costs to machines: how much memory, how many cores and shards. Pure."""

import math
from dataclasses import dataclass
from typing import Final

GIB: Final = 2**30
MEMORY_FACTOR: Final = 2.0
"""Of the data: while Redis writes a snapshot or copies to a replica, pages that change exist twice."""
SHARD_GIB: Final = 16
"""Memory of one shard beyond which a copy to a new replica takes too long."""
LEAST_SHARDS: Final = 3
"""A Redis Cluster has three primaries or more."""
BUSY: Final = 0.6
"""Share of a core that is planned with; the rest is for peaks."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured.

    Attributes:
        session_bytes: memory of Redis for a live session.
        redis_us: processor time of one Redis node for an operation, in microseconds.
        shard_us: of the primary of a Redis Cluster.
        service_us: of the session service.
    """

    session_bytes: float
    redis_us: float
    shard_us: float
    service_us: float


@dataclass(frozen=True, slots=True)
class Size:
    """What a deployment needs.

    Attributes:
        memory: of one Redis node, in bytes (`maxmemory` is half of it).
        redis_cores: of all primaries together; one primary cannot use more than one.
        service_cores: of all service processes together.
    """

    shards: int
    memory: float
    redis_cores: float
    service_cores: float


def size(sessions: int, rate: float, costs: Costs) -> Size:
    """Return what so many live sessions and operations a second need."""
    memory = sessions * costs.session_bytes * MEMORY_FACTOR
    service_cores = rate * costs.service_us / 1e6 / BUSY
    one = rate * costs.redis_us / 1e6 / BUSY
    if one <= 1 and memory <= SHARD_GIB * GIB:
        return Size(1, memory, one, service_cores)
    redis_cores = rate * costs.shard_us / 1e6 / BUSY
    shards = max(LEAST_SHARDS, math.ceil(redis_cores), math.ceil(memory / (SHARD_GIB * GIB)))
    return Size(shards, memory / shards, redis_cores, service_cores)


def table(rows: list[tuple[int, float]], costs: Costs) -> str:
    """A table in Markdown for pairs of live sessions and operations a second."""
    lines = [
        "| live sessions | operations a second | shards | memory of a node | cores, all primaries | cores, service |",
        "|---|---|---|---|---|---|",
    ]
    for sessions, rate in rows:
        need = size(sessions, rate, costs)
        lines.append(
            f"| {sessions:,} | {rate:,.0f} | {need.shards} | {_memory(need.memory)} | {need.redis_cores:.2f} |"
            f" {need.service_cores:.1f} |"
        )
    return "\n".join(lines)


def _memory(count: float) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{math.ceil(count / 2**20)} MiB"
