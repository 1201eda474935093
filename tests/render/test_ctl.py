"""What health checks, planned stops and operators ask of a node."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.render.box import HANGS, HELD_UP, REFUSED, Box, Shell, node_called

FAILOVER, REPLICAS = "SENTINEL FAILOVER mymaster", "SENTINEL REPLICAS mymaster"
PAUSE, QUIET, UNPAUSE = "CLIENT PAUSE 30000 WRITE", "CLIENT PAUSE 120000 WRITE", "CLIENT UNPAUSE"
FOLLOW = "REPLICAOF redis-2 6380"
NewCtl = Callable[[str], Box]


def info(role: str, own: int, *offsets: int) -> str:
    """INFO replication of a node with replicas at `offsets`."""
    replicas = [
        f"slave{n}:ip=redis-{n + 2},port={6380 + n},state=online,offset={offset},lag=0"
        for n, offset in enumerate(offsets)
    ]
    return "\n".join([f"role:{role}", f"connected_slaves:{len(offsets)}", *replicas, f"master_repl_offset:{own}"])


@pytest.fixture(name="ctl")
def _ctl(tmp_path: Path, shell: Shell) -> NewCtl:
    """The container of a node by its name."""
    return lambda name: Box(tmp_path / name, shell, node_called(name), "ctl")


@pytest.fixture(name="primary")
def _primary(ctl: NewCtl) -> Box:
    """The primary with two replicas in step, every Sentinel ready to fail over, which takes 3 s."""
    box = ctl("redis-1")
    sentinels_say(box, "OK", "OK", "OK")
    box.world(4, named="redis-2")
    for second in (0, 4):
        itself(box, info("master", 100, 100, 100), second)
    return box


def itself(box: Box, answer: str, at: int = 0) -> None:
    """Let the node say about itself, from second `at` on, what a handover asks."""
    box.answers(box.itself, {"INFO replication": answer, PAUSE: "OK", QUIET: "OK", UNPAUSE: "OK", FOLLOW: "OK"}, at)


def sentinels_say(box: Box, *answers: str | None) -> None:
    """Let the Sentinels name redis-1 and answer so when asked to fail over."""
    box.world(named="redis-1")
    for number, answer in enumerate(answers, 1):
        box.answers(node_called(f"sentinel-{number}"), {FAILOVER: answer})


def commands(box: Box) -> list[str]:
    """What was done to any server, in order, questions left out."""
    calls = [line.partition("--no-auth-warning ")[2] for line in box.noted("argv").splitlines()]
    return [call for call in calls if call.split()[0] in {"CLIENT", "REPLICAOF"} or call == FAILOVER]


def asked_to_fail_over(box: Box) -> list[str]:
    return [line.split()[2] for line in box.noted("argv").splitlines() if line.endswith(FAILOVER)]


@pytest.mark.parametrize("name", ["redis-2", "sentinel-3"])
@pytest.mark.parametrize(
    ("answer", "exit_code"), [("PONG", 0), ("LOADING Redis is loading the dataset in memory", 1), (REFUSED, 1)]
)
def test_ping_succeeds_where_the_node_itself_answers(ctl: NewCtl, name: str, answer: str, exit_code: int) -> None:
    box = ctl(name)
    box.answers(box.itself, {"PING": answer})
    assert box.run("ping").exit_code == exit_code


def test_a_ping_that_hangs_fails_in_bounded_time(ctl: NewCtl) -> None:
    box = ctl("redis-1")
    box.answers(box.itself, {"PING": HANGS})
    assert box.run("ping").exit_code == 1


def test_info_prints_a_section_of_this_node(ctl: NewCtl) -> None:
    box = ctl("redis-2")
    box.answers(box.itself, {"INFO replication": "role:slave", "INFO default": "everything"})
    assert box.run("info", "replication").output == "role:slave\n"
    assert box.run("info").output == "everything\n"


def test_sentinel_passes_its_words_on_to_this_sentinel(ctl: NewCtl) -> None:
    box = ctl("sentinel-2")
    box.answers(box.itself, {"SENTINEL ckquorum mymaster": "OK 3 usable Sentinels"})
    assert box.run("sentinel", "ckquorum", "mymaster").output == "OK 3 usable Sentinels\n"


@pytest.mark.parametrize("words", [(), ("flushall",)])
def test_anything_else_is_refused_with_the_usage(ctl: NewCtl, words: tuple[str, ...]) -> None:
    outcome = ctl("redis-1").run(*words)
    assert outcome.exit_code == 64
    assert "usage: ctl.sh ping | info" in outcome.log


def test_a_handover_pauses_writes_asks_for_one_failover_waits_for_it_and_follows(primary: Box) -> None:
    assert primary.run("handover").output == "done\n"
    assert commands(primary) == [PAUSE, FAILOVER, FOLLOW, UNPAUSE]
    assert asked_to_fail_over(primary) == ["sentinel-1"]


@pytest.mark.parametrize("answer", [HANGS, "NOPERM this user has no permissions"])
def test_a_primary_that_does_not_become_a_replica_lets_no_write_in(primary: Box, answer: str) -> None:
    primary.answers(primary.itself, {FOLLOW: answer}, 4)
    assert primary.run("handover").output == "done\n", "another is primary all the same"
    assert UNPAUSE not in commands(primary)


def test_a_replica_has_nothing_to_hand_over(ctl: NewCtl) -> None:
    box = ctl("redis-2")
    itself(box, info("slave", 100))
    assert box.run("handover").output == "done\n"
    assert commands(box) == []


@pytest.mark.parametrize("answer", [REFUSED, "NOAUTH Authentication required.", HANGS])
def test_a_node_that_does_not_say_what_it_is_has_not_handed_over(ctl: NewCtl, answer: str | None) -> None:
    box = ctl("redis-1")
    box.answers(box.itself, {"INFO replication": answer})
    assert box.run("handover").output == "failed\n"
    assert commands(box) == []


@pytest.mark.parametrize("offsets", [(), (99,), (100, 99)], ids=["no replica", "one behind", "one of two behind"])
def test_no_failover_begins_before_every_replica_has_everything(primary: Box, offsets: tuple[int, ...]) -> None:
    itself(primary, info("master", 100, *offsets), 0)
    assert primary.run("handover").output == "failed\n"
    assert commands(primary) == [PAUSE, UNPAUSE]


def test_a_failover_begins_as_soon_as_the_last_replica_has_everything(primary: Box) -> None:
    itself(primary, info("master", 100, 90, 100), 0)
    primary.world(1, named="redis-1")
    primary.answers(node_called("sentinel-1"), {FAILOVER: "OK"}, 1)
    itself(primary, info("master", 100, 100, 100), 1)
    assert primary.run("handover").output == "done\n"


def test_no_failover_is_asked_for_where_sentinels_were_quicker(primary: Box) -> None:
    itself(primary, info("master", 100, 90, 100), 0)
    primary.world(1, named="redis-2")
    for second in (1, 4):
        itself(primary, info("master", 100, 100, 100), second)
    assert primary.run("handover").output == "done\n"
    assert commands(primary) == [PAUSE, FOLLOW, UNPAUSE]


@pytest.mark.parametrize("command", ["handover", "quiesce"])
@pytest.mark.parametrize("answer", [HANGS, "NOPERM this user has no permissions"])
def test_without_the_servers_word_for_the_pause_nothing_follows(primary: Box, command: str, answer: str) -> None:
    replication = {"INFO replication": info("master", 100, 100, 100)}
    primary.answers(primary.itself, {**replication, PAUSE: answer, QUIET: answer, UNPAUSE: "OK"})
    assert primary.run(command).output == "failed\n"
    assert asked_to_fail_over(primary) == []


def test_a_primary_is_quiet_once_every_replica_has_every_write_and_no_failover_is_asked_for(primary: Box) -> None:
    assert primary.run("quiesce").output == "done\n"
    assert commands(primary) == [QUIET]


def test_a_primary_with_a_replica_behind_goes_on_accepting_writes(primary: Box) -> None:
    itself(primary, info("master", 100, 100, 99), 0)
    assert primary.run("quiesce").output == "failed\n"
    assert commands(primary) == [QUIET, UNPAUSE]


def heard(*replicas: tuple[str, str]) -> str:
    """What a Sentinel says of replicas with these flags and roles that they have told it."""
    return "\n".join(f"name\nmaster\nflags\n{flags}\nrole-reported\n{role}" for flags, role in replicas)


def test_a_handover_waits_until_every_sentinel_has_heard_of_the_last_demotion(primary: Box) -> None:
    replica, demoted = ("slave", "slave"), ("slave", "master")
    primary.answers(node_called("sentinel-2"), {REPLICAS: heard(demoted, replica)})
    primary.world(2, named="redis-1")
    primary.answers(node_called("sentinel-2"), {REPLICAS: heard(replica, replica), FAILOVER: "OK"}, 2)
    itself(primary, info("master", 100, 100, 100), 2)
    assert primary.run("handover").output == "done\n"
    asked = [line.split()[2] for line in primary.noted("argv").splitlines() if line.endswith(REPLICAS)]
    assert asked.count("sentinel-2") > 1, "asked again until it knew"
    assert commands(primary) == [PAUSE, FAILOVER, FOLLOW, UNPAUSE]


def test_no_handover_begins_where_a_sentinel_would_demote_the_new_primary(primary: Box) -> None:
    for second in (0, 4):
        primary.answers(node_called("sentinel-3"), {REPLICAS: heard(("slave", "slave"), ("slave", "master"))}, second)
    assert primary.run("handover", until=60).output == "failed\n"
    assert PAUSE not in commands(primary), "writes go on meanwhile"
    assert asked_to_fail_over(primary) == []


@pytest.mark.parametrize("flags", ["s_down,slave", "slave,disconnected"])
def test_a_replica_that_is_out_of_reach_delays_no_handover(primary: Box, flags: str) -> None:
    for second in (0, 4):
        primary.answers(node_called("sentinel-1"), {REPLICAS: heard((flags, "master"), ("slave", "slave"))}, second)
    assert primary.run("handover").output == "done\n"


@pytest.mark.parametrize("first", [REFUSED, HANGS])
def test_another_sentinel_is_asked_only_where_one_cannot_be_reached(primary: Box, first: str | None) -> None:
    (primary.root / "world/0/sentinel-1:26379" / FAILOVER.replace(" ", "_")).unlink()
    sentinels_say(primary, first, "OK", "OK")
    assert primary.run("handover").output == "done\n"
    assert asked_to_fail_over(primary) == ["sentinel-1", "sentinel-2"]


def test_a_sentinel_that_is_away_holds_up_no_write(primary: Box) -> None:
    (primary.root / "world/0/sentinel-1:26379" / "SENTINEL_GET-MASTER-ADDR-BY-NAME_mymaster").unlink()
    (primary.root / "world/4/sentinel-1:26379" / "SENTINEL_GET-MASTER-ADDR-BY-NAME_mymaster").unlink()
    for second, named in ((0, "redis-1"), (4, "redis-2")):
        primary.world(second, named=(HELD_UP, named, named))
        for number in (2, 3):
            primary.answers(node_called(f"sentinel-{number}"), {REPLICAS: heard(("slave", "slave"))}, second)
    assert primary.run("handover").output == "done\n"
    assert asked_to_fail_over(primary) == ["sentinel-2"], "of those that answered before the pause"


def test_a_failover_that_is_under_way_is_not_asked_for_again(primary: Box) -> None:
    sentinels_say(primary, "INPROG Failover already in progress", "OK", "OK")
    assert primary.run("handover").output == "done\n"
    assert asked_to_fail_over(primary) == ["sentinel-1"]


def test_a_failover_that_is_refused_ends_the_pause_and_asks_nobody_else(primary: Box) -> None:
    sentinels_say(primary, "NOGOODSLAVE No suitable replica to promote", "OK", "OK")
    outcome = primary.run("handover")
    assert outcome.output == "failed\n"
    assert "NOGOODSLAVE" in outcome.log
    assert commands(primary) == [PAUSE, FAILOVER, UNPAUSE]


@pytest.mark.parametrize(
    "named",
    ["redis-1", ("redis-2", "redis-1", "redis-1"), ("redis-2", REFUSED, REFUSED), REFUSED],
    ids=["this one still", "another one by a minority", "another one by the only one there", "nobody"],
)
def test_a_handover_fails_where_no_majority_comes_to_name_another_node(
    primary: Box, named: str | tuple[str | None, ...] | None
) -> None:
    primary.world(4, named="redis-1")
    for number in (1, 2, 3):
        for path in (primary.root / "world/4" / f"sentinel-{number}:{26378 + number}").glob("*GET-MASTER*"):
            path.unlink()
    primary.world(4, named=named)
    assert primary.run("handover", until=60).output == "failed\n"
    assert commands(primary) == [PAUSE, FAILOVER, UNPAUSE]


def test_a_handover_has_no_secret_among_its_arguments(primary: Box) -> None:
    primary.note_every_command()
    primary.run("handover")
    assert "password-of-node" not in primary.noted("argv")
