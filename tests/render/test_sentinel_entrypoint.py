"""Whom a Sentinel watches after a start, and what of its old configuration it keeps."""

from collections.abc import Sequence

import pytest

from tests.render.box import HANGS, NOAUTH, PRIMARY, REFUSED, Box, Outcome, replica

OLD = """\
port 0
tls-port 26379
sentinel myid 0000000000000000000000000000000000000001
sentinel monitor mymaster redis-2 6380 2
sentinel down-after-milliseconds mymaster 60000
sentinel auth-pass mymaster the-old-password
sentinel sentinel-pass the-old-password
sentinel config-epoch mymaster 7
sentinel leader-epoch mymaster 8
sentinel current-epoch 9
sentinel known-replica mymaster redis-1 6379
sentinel known-replica mymaster redis-9 6387
sentinel known-sentinel mymaster sentinel-2 26380 aaaa
sentinel known-sentinel mymaster sentinel-9 26387 bbbb
sentinel known-replica other redis-1 6379
latency-tracking-info-percentiles 50 99 99.9
"""


def watched(outcome: Outcome) -> str | None:
    """`host port` of the primary that a Sentinel was started with."""
    found = [line.split() for line in (outcome.conf or "").splitlines() if line.startswith("sentinel monitor ")]
    return " ".join(found[0][3:5]) if found else None


@pytest.mark.parametrize(
    "others",
    [("redis-2", REFUSED), ("redis-2", "redis-2"), ("redis-2", HANGS), (NOAUTH, "redis-2")],
)
def test_a_sentinel_without_memory_takes_the_word_of_those_that_answer(
    sentinel: Box, others: tuple[str | None, str | None]
) -> None:
    sentinel.world(named=(REFUSED, *others), redis_1=PRIMARY)
    assert watched(sentinel.run()) == "redis-2 6380"


def test_a_sentinel_without_memory_waits_while_the_others_disagree(sentinel: Box) -> None:
    sentinel.world(named=(REFUSED, "redis-1", "redis-2"), redis_1=PRIMARY)
    sentinel.world(3, named=(REFUSED, "redis-2", "redis-2"), redis_1=PRIMARY)
    outcome = sentinel.run()
    assert watched(outcome) == "redis-2 6380"
    assert "wait for exactly one primary" in outcome.log


def test_a_sentinel_never_takes_a_node_for_primary_that_is_not_configured(sentinel: Box) -> None:
    sentinel.world(named=(REFUSED, "redis-9", REFUSED))
    assert sentinel.run(until=3).stopped


def test_where_no_sentinel_has_a_word_the_only_primary_is_watched(sentinel: Box) -> None:
    sentinel.world(redis_1=replica(), redis_2=NOAUTH, redis_3=PRIMARY)
    assert watched(sentinel.run()) == "redis-3 6381"


@pytest.mark.parametrize(
    "nodes",
    [{"redis_1": PRIMARY, "redis_2": PRIMARY}, {"redis_1": replica(), "redis_2": replica(0)}, {}],
    ids=["two primaries", "none", "nobody there"],
)
def test_a_sentinel_waits_for_exactly_one_primary(sentinel: Box, nodes: dict[str, str]) -> None:
    sentinel.world(**nodes)
    outcome = sentinel.run(until=4)
    assert outcome.stopped
    assert "wait for exactly one primary among redis-1:6379 redis-2:6380 redis-3:6381" in outcome.log


def test_a_sentinel_that_remembers_asks_nobody(sentinel: Box) -> None:
    (sentinel.data / "sentinel.conf").write_text(OLD)
    sentinel.world(named=(REFUSED, "redis-1", "redis-1"), redis_1=PRIMARY)
    assert watched(sentinel.run()) == "redis-2 6380"
    assert "redis-cli" not in sentinel.noted("argv")


@pytest.mark.parametrize("memory", ["monitor mymaster redis-9 6387 2", "monitor other redis-2 6380 2", ""])
def test_a_memory_of_another_deployment_counts_for_nothing(sentinel: Box, memory: str) -> None:
    (sentinel.data / "sentinel.conf").write_text(f"sentinel {memory}\n")
    sentinel.world(redis_3=PRIMARY)
    assert watched(sentinel.run()) == "redis-3 6381"


def lines(outcome: Outcome, *kinds: str) -> Sequence[str]:
    """The `sentinel` directives of those kinds, in order."""
    return [line for line in (outcome.conf or "").splitlines() if line.split()[1:2] and line.split()[1] in kinds]


def test_epochs_and_the_configured_sentinels_that_it_knows_survive_a_restart(sentinel: Box) -> None:
    (sentinel.data / "sentinel.conf").write_text(OLD)
    learned = lines(sentinel.run(), "config-epoch", "leader-epoch", "current-epoch", "known-sentinel")
    assert learned == [
        "sentinel config-epoch mymaster 7",
        "sentinel leader-epoch mymaster 8",
        "sentinel current-epoch 9",
        "sentinel known-sentinel mymaster sentinel-2 26380 aaaa",
    ]


@pytest.mark.parametrize("old", [OLD, ""], ids=["with a memory", "without"])
def test_every_other_node_is_known_as_a_replica_from_the_start_and_once(sentinel: Box, old: str) -> None:
    """A primary that is lost before the Sentinels have learned of its replicas from it could never be replaced."""
    (sentinel.data / "sentinel.conf").write_text(old)
    sentinel.world(redis_2=PRIMARY)
    assert lines(sentinel.run(), "known-replica") == [
        "sentinel known-replica mymaster redis-1 6379",
        "sentinel known-replica mymaster redis-3 6381",
    ]


def test_everything_else_comes_from_the_rendering(sentinel: Box) -> None:
    (sentinel.data / "sentinel.conf").write_text(OLD)
    outcome = sentinel.run()
    assert outcome.conf
    rendered = (sentinel.kit / "sentinel.conf").read_text() + (sentinel.kit / "auth.conf").read_text()
    assert outcome.conf.startswith(rendered.replace("@PRIMARY@", "redis-2 6380")), "and what was learned comes after it"
    assert "the-old-password" not in outcome.conf
    assert "60000" not in outcome.conf
    assert "0000000000000000000000000000000000000001" not in outcome.conf


def test_the_second_restart_changes_nothing(sentinel: Box) -> None:
    (sentinel.data / "sentinel.conf").write_text(OLD)
    assert sentinel.run().conf == sentinel.run().conf


def test_names_are_resolved_before_the_primary_is_named(sentinel: Box) -> None:
    """Otherwise Sentinel refuses the name (redis#8300, redis#8271)."""
    sentinel.world(redis_1=PRIMARY)
    kinds = [line.split()[1] for line in (sentinel.run().conf or "").splitlines() if line.startswith("sentinel ")]
    assert kinds.index("resolve-hostnames") < kinds.index("monitor")
    assert kinds.index("announce-hostnames") < kinds.index("monitor")
    assert kinds.index("monitor") < kinds.index("auth-pass")
    assert kinds.index("monitor") < kinds.index("known-replica")


def test_a_start_that_finds_no_primary_leaves_the_old_memory_alone(sentinel: Box) -> None:
    old = "sentinel monitor mymaster redis-9 6387 2\nsentinel current-epoch 9\n"
    (sentinel.data / "sentinel.conf").write_text(old)
    assert sentinel.run(until=2).stopped
    assert (sentinel.data / "sentinel.conf").read_text() == old


def test_files_with_secrets_are_for_this_user_alone_and_can_be_replaced_at_the_next_start(sentinel: Box) -> None:
    sentinel.world(redis_1=PRIMARY)
    sentinel.run()
    for path in (sentinel.data / "sentinel.conf", sentinel.run_dir / "users.acl"):
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_no_secret_is_ever_an_argument_or_in_the_sentinels_environment(sentinel: Box) -> None:
    sentinel.note_every_command()
    sentinel.world(redis_1=PRIMARY)
    outcome = sentinel.run()
    argv = sentinel.noted("argv")
    assert argv.count("\n") > 10
    for secret in ("password-of-node", "password-of-sentinel"):
        assert secret not in argv
        assert secret not in outcome.environ
        assert secret not in outcome.log


def test_a_node_that_is_not_among_the_sentinels_does_not_start(sentinel: Box) -> None:
    assert sentinel.run(SENTINELS="sentinel-2:26380").exit_code == 64


def test_valkeys_sentinel_is_started_where_the_engine_is_valkey(sentinel: Box) -> None:
    sentinel.use_engine("valkey")
    sentinel.world(redis_1=PRIMARY)
    assert watched(sentinel.run()) == "redis-1 6379"
