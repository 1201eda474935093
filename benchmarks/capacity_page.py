"""Writes docs/reports/capacity.json and docs/capacity.md from what `benchmarks.capacity` has measured."""

import json
from pathlib import Path
from typing import Any, Final

from loadtests.sizing import BUSY, MEMORY_FACTOR, SHARD_GIB, Costs, table

DOCS: Final = Path(__file__).parents[1] / "docs"
ROWS: Final = [
    (10_000, 100.0),
    (100_000, 1000.0),
    (1_000_000, 10_000.0),
    (5_000_000, 50_000.0),
    (20_000_000, 100_000.0),
]


def write(found: dict[str, Any]) -> None:
    """Write both files."""
    (DOCS / "reports" / "capacity.json").write_text(json.dumps(found, indent=1) + "\n")
    (DOCS / "capacity.md").write_text(page(found))
    print(page(found))


def page(found: dict[str, Any]) -> str:
    """The page."""
    costs = Costs(found["session_bytes"], found["redis"]["store_us"], found["http"]["service_us"])
    best = found["highest"]
    shards = found["cluster"]["us"]
    together = sum(shards.values())
    before, after = found["load"]
    ratio = together / costs.redis_us
    return f"""# Capacity

Written by `python -m benchmarks.capacity` ([all figures](reports/capacity.json)), {found["date"]},
{found["machine"]}; load average before and after {before:.1f}, {after:.1f}. Generator, Redis and service share the
machine: the highest rates are of all three together; the costs are processor time and depend less on the others.
For a deployment of your own: `make capacity LEVEL=http`.

## What an operation costs

Mix of the workload `steady` (85 % validate, 10 % touch, 4 % create, 1 % revoke), metadata of 290 bytes, TLS.

| | |
|---|---|
| memory of Redis for a live session (with its tombstones and events) | {costs.session_bytes:,.0f} bytes |
| Redis, an operation | {costs.redis_us:.0f} µs of one core |
| Redis, an operation of `login_storm` (90 % logins) | {found["login"]["store_us"]:.0f} µs |
| session service, an operation | {costs.service_us:.0f} µs of one core |

## Highest rate within the thresholds of `steady`, on this machine

| level | operations a second | limit |
|---|---|---|
| Redis, TLS | {best["redis"]["rate"]:,.0f} | {best["redis"]["limit"]} |
| HTTP, one service process, TLS | {best["http"]["rate"]:,.0f} | {best["http"]["limit"]} |

## Sizes

Costs from above, linearly. Planned with {BUSY:.0%} of a core, memory of {MEMORY_FACTOR:g} times the data (`maxmemory`
is half of it: a snapshot copies pages that change), and at most {SHARD_GIB} GiB for a shard. A primary runs commands
on one core, so more than one core of Redis means shards: a Redis Cluster, which the library knows by its own kind of
URL (`rediss-cluster://`).

{table(ROWS, costs)}

## Three shards, measured

The same workload at the same rate on a Redis Cluster of three shards costs its primaries {_each(shards)} µs
for an operation of the whole cluster, {together:.0f} µs together, where one node costs {costs.redis_us:.0f} µs:
{ratio:.2f} times. The busiest shard has {max(shards.values()) / together:.0%} of the work; a third is {1 / 3:.0%}.
"""


def _each(values: dict[str, float]) -> str:
    return ", ".join(f"{each:.0f}" for each in values.values())
