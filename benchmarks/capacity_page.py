"""Writes docs/reports/capacity.json and docs/capacity.md from what `benchmarks.capacity` has measured."""

import json
from pathlib import Path
from typing import Any, Final

from loadtests.sizing import BUSY, MEMORY_FACTOR, SHARD_GIB, Costs, table

DOCS: Final = Path(__file__).parents[1] / "docs"
REPORT: Final = DOCS / "reports" / "capacity.json"
ROWS: Final = [
    (10_000, 100.0),
    (100_000, 1000.0),
    (1_000_000, 10_000.0),
    (5_000_000, 50_000.0),
    (20_000_000, 100_000.0),
]


def write(found: dict[str, Any]) -> None:
    """Write both files."""
    REPORT.write_text(json.dumps(found, indent=1) + "\n")
    (DOCS / "capacity.md").write_text(page(found))
    print(page(found))


def page(found: dict[str, Any]) -> str:
    """The page."""
    node, cluster = found["node"], found["cluster"]
    shards = cluster["us"]
    together = sum(shards.values())
    costs = Costs(node["session_bytes"], node["redis"]["store_us"], together, node["http"]["service_us"])
    best = node["highest"]
    rate = cluster["generator"]["rate"]
    return f"""# Capacity

Written by `python -m benchmarks.capacity` ([all figures](reports/capacity.json)), {node["date"]},
{found["machine"]}; load average {_load(node)}, for the cluster {_load(cluster)}. Generator, Redis and service share the
machine: the highest rates are of all three together; the costs are processor time and depend less on the others.
For a deployment of your own: `make capacity LEVEL=http`.

## What an operation costs

Mix of the workload `steady` (85 % validate, 10 % touch, 4 % create, 1 % revoke), metadata of 290 bytes, TLS.

| | |
|---|---|
| memory of Redis for a live session (with its tombstones and events) | {costs.session_bytes:,.0f} bytes |
| Redis, an operation | {costs.redis_us:.0f} µs of one core |
| Redis, an operation of `login_storm` (90 % logins) | {node["login"]["store_us"]:.0f} µs |
| a shard of a Redis Cluster with a replica, an operation | {costs.shard_us:.0f} µs |
| session service, an operation | {costs.service_us:.0f} µs of one core |

## Highest rate within the thresholds of `steady`, on this machine

| level | operations a second | limit |
|---|---|---|
| Redis, TLS | {best["redis"]["rate"]:,.0f} | {best["redis"]["limit"]} |
| HTTP, one service process, TLS | {best["http"]["rate"]:,.0f} | {best["http"]["limit"]} |

## Sizes

Costs from above, linearly: one shard by the cost of the one node, several by that of a shard. Planned with
{BUSY:.0%} of a core, memory of {MEMORY_FACTOR:g} times the data (`maxmemory` is half of it: a snapshot copies pages
that change), and at most {SHARD_GIB} GiB for a shard. A primary runs commands on one core, so more than one core of
Redis means shards: a Redis Cluster, which the library knows by its own kind of URL (`rediss-cluster://`).

{table(ROWS, costs)}

## Three shards, measured

{rate:,.0f} operations a second on a Redis Cluster of three shards, each with a replica: as many for each shard as the
one node had. An operation takes {together:.0f} µs of the primaries ({_each(shards)} of the three), their replicas'
streams and the bus of the cluster included; of the one node, which has neither, it takes {costs.redis_us:.0f} µs
({together / costs.redis_us:.2f} times). For this point the one node predicts {rate * costs.redis_us / 1e6:.2f} cores of
all primaries, and {rate * together / 1e6:.2f} are measured. The busiest shard has
{max(shards.values()) / together:.0%} of the work; a third is {1 / 3:.0%}.
"""


def _load(part: dict[str, Any]) -> str:
    before, after = part["load"]
    return f"{before:.1f} before and {after:.1f} after"


def _each(values: dict[str, float]) -> str:
    return ", ".join(f"{each:.0f}" for each in values.values())
