"""The order of a rolling change, seen at the command line of Docker by a project that notes what it is asked."""

import time
from pathlib import Path

import pytest

from infra.targets.compose import rollout
from infra.targets.compose.engine import EngineError, Project, docker
from infra.targets.compose.wanted import Parts

PARTS = Parts(
    redis=("redis-1:6379", "redis-2:6380", "redis-3:6381"),
    sentinels=("sentinel-1:26379", "sentinel-2:26380", "sentinel-3:26381"),
    services=("session-1", "session-2"),
    others=("gateway", "exporter"),
    master_name="mymaster",
)


@pytest.fixture(name="asked")
def _asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of the project in which redis-2 is primary until it has handed over to redis-1."""
    asked: list[str] = []
    primary = ["redis-2"]

    def compose(_project: Project, *words: str, timeout: float = 0) -> str:
        asked.append(" ".join(words))
        return ""

    def ctl(_project: Project, service: str, *words: str) -> str:
        asked.append(f"{service}: {words[0]}")
        primary[0] = "redis-1"
        return "done"

    monkeypatch.setattr(Project, "compose", compose)
    monkeypatch.setattr(Project, "ctl", ctl)
    monkeypatch.setattr(rollout, "settle", lambda _project, _parts: primary[0])
    monkeypatch.setattr(rollout, "load_functions", lambda _project, _say: asked.append("functions"))
    monkeypatch.setattr(rollout, "wait_healthy", lambda _project, service: asked.append(f"{service} healthy"))
    return asked


def states(**altered: str) -> dict[str, str]:
    return dict.fromkeys(PARTS.all_names, "running") | {
        name.replace("_", "-"): state for name, state in altered.items()
    }


def roll(**altered: str) -> None:
    rollout.roll(Project("p", Path()), PARTS, states(**altered), lambda _text: None)


def test_sentinels_go_first_then_replicas_then_the_primary_after_a_handover_then_the_service(asked: list[str]) -> None:
    roll(**{name.replace("-", "_"): "altered" for name in PARTS.all_names})

    one = "up --detach --no-deps"
    assert asked == [
        *(f"{one} sentinel-{number}" for number in (1, 2, 3)),
        f"{one} redis-1",
        f"{one} redis-3",
        "redis-2: handover",
        f"{one} redis-2",
        "functions",
        f"{one} session-1",
        "session-1 healthy",
        f"{one} session-2",
        "session-2 healthy",
        "up --detach --remove-orphans",
        "gateway healthy",
    ]


def test_a_replica_alone_is_replaced_without_a_handover(asked: list[str]) -> None:
    roll(redis_3="altered")

    assert "redis-2: handover" not in asked
    assert "up --detach --no-deps redis-3" in asked


def test_a_node_that_was_down_is_started_as_rendered_and_not_replaced_once_more(asked: list[str]) -> None:
    roll(redis_2="exited")

    assert "redis-2: handover" not in asked
    assert asked.count("up --detach --no-deps redis-2") == 1


def answers(replica_flags: str, link: str) -> dict[tuple[str, str], str]:
    """What nodes answer to ctl.sh, by kind of node and question: redis-1 leads, each Sentinel sees so of the others."""
    replica = f"flags\n{replica_flags}\nmaster-link-status\n{link}\nslave-priority\n100\n"
    return {
        ("sentinel", "get-master-addr-by-name"): "redis-1\n6379",
        ("sentinel", "ckquorum"): "OK 3 usable Sentinels. Quorum and failover authorization can be reached",
        ("sentinel", "masters"): "name\nmymaster\nflags\nmaster\n",
        ("sentinel", "replicas"): replica * 2,
        ("redis-1", "replication"): "role:master\nconnected_slaves:2\nmaster_repl_offset:5",
        ("redis", "replication"): "role:slave\nmaster_link_status:up\nslave_priority:100\nslave_repl_offset:5",
    }


@pytest.mark.parametrize(
    ("flags", "link", "settled"),
    [
        ("slave", "ok", True),
        ("slave,disconnected", "err", False),
        ("s_down,slave", "ok", False),
        ("slave", "err", False),
    ],
)
def test_what_a_sentinel_that_has_just_started_assumes_does_not_count(
    monkeypatch: pytest.MonkeyPatch, flags: str, link: str, *, settled: bool
) -> None:
    said = answers(flags, link)

    def ctl(_project: Project, service: str, *words: str) -> str:
        kind = service if (service, words[1]) in said else service.partition("-")[0]
        return said[kind, words[1]]

    monkeypatch.setattr(Project, "ctl", ctl)
    primary, problem = rollout.look(Project("p", Path()), PARTS)

    assert (primary == "redis-1") is settled
    assert (problem == "") is settled


@pytest.mark.parametrize(("sync", "link", "priority"), [("1", "down", "0"), ("0", "up", "0")])
def test_a_node_that_copies_much_data_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, sync: str, link: str, priority: str
) -> None:
    """In memory first, then in its append-only file."""
    copying = f"role:slave\nmaster_link_status:{link}\nmaster_sync_in_progress:{sync}\nslave_priority:{priority}"
    said = answers("slave", "ok")
    clock = iter(range(0, 10_000, 100))

    def ctl(_project: Project, service: str, *words: str) -> str:
        if (service, words[1]) == ("redis-2", "replication") and next(clock) < 1000:
            return copying
        kind = service if (service, words[1]) in said else service.partition("-")[0]
        return said[kind, words[1]]

    monkeypatch.setattr(Project, "ctl", ctl)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)

    assert rollout.settle(Project("p", Path()), PARTS) == "redis-1"


@pytest.mark.parametrize("quiesced", ["done", "failed", ""])
def test_nothing_is_stopped_before_the_primary_has_given_every_write_to_its_replicas(
    monkeypatch: pytest.MonkeyPatch, quiesced: str
) -> None:
    asked: list[str] = []

    def ctl(_project: Project, service: str, *words: str) -> str:
        if words[0] == "info":
            return f"role:{'master' if service == 'redis-2' else 'slave'}"
        asked.append(f"{service}: {words[0]}")
        return quiesced

    def compose(_project: Project, *words: str, **_more: object) -> str:
        asked.append(" ".join([words[0], *(word for word in words if word.startswith(("redis-", "sentinel-")))]))
        return ""

    sentinels = "sentinel-1 sentinel-2 sentinel-3"
    monkeypatch.setattr(Project, "ctl", ctl)
    monkeypatch.setattr(Project, "compose", compose)

    if quiesced == "done":
        rollout.stop(Project("p", Path()), PARTS, lambda _text: None)
        assert asked == [f"stop {sentinels}", "redis-2: quiesce", "stop redis-2", "down"]
    else:
        with pytest.raises(rollout.RolloutError, match="redis-2 is primary and has no replica in step"):
            rollout.stop(Project("p", Path()), PARTS, lambda _text: None)
        assert asked == [f"stop {sentinels}", "redis-2: quiesce", f"start {sentinels}"]


def test_a_stopped_node_is_started_and_a_paused_one_goes_on_before_anything_is_replaced(asked: list[str]) -> None:
    roll(redis_1="exited", sentinel_2="paused", redis_3="altered")

    assert asked[:2] == ["unpause sentinel-2", "up --detach --no-deps redis-1"]


def test_a_command_that_fails_says_which_and_why() -> None:
    with pytest.raises(EngineError, match=r"docker no-such-command: .*no-such-command"):
        docker("no-such-command")
