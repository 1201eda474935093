"""Costs become machines: memory doubles, cores are used to 60 %, and more than one shard means three."""

import pytest

from loadtests.sizing import GIB, Costs, size, table

COSTS = Costs(session_bytes=1000, redis_us=30, shard_us=36, service_us=600)


def test_a_small_deployment_has_one_shard() -> None:
    small = size(10_000, 1000, COSTS)

    assert small.shards == 1
    assert small.memory == pytest.approx(2 * 10_000_000)
    assert small.redis_cores == pytest.approx(0.05)
    assert small.service_cores == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("sessions", "rate", "shards"),
    [
        (1_000, 20_000, 1),  # a core of Redis, used to 60 %, does exactly that
        (1_000, 20_001, 3),  # two would do, a cluster has three
        (1_000, 100_000, 6),  # a shard costs more than the one node did
        (8_500_000, 10, 1),
        (9_000_000, 10, 3),  # more than 16 GiB
        (40_000_000, 10, 5),
    ],
)
def test_shards_are_for_the_rate_or_for_the_memory(sessions: int, rate: float, shards: int) -> None:
    assert size(sessions, rate, COSTS).shards == shards
    assert size(sessions, rate, COSTS).memory <= 16 * GIB


def test_the_table_has_a_line_for_each_pair() -> None:
    lines = table([(10_000, 100), (10_000_000, 100_000)], COSTS).splitlines()

    assert lines[2] == "| 10,000 | 100 | 1 | 20 MiB | 0.01 | 0.1 |"
    assert lines[3] == "| 10,000,000 | 100,000 | 6 | 3.1 GiB | 6.00 | 100.0 |"
