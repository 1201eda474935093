"""What a waiting node tells the others, what its server is started with, and when it may be promoted."""

from collections.abc import Callable

import pytest

from tests.render.box import NOBODY, PRIMARY, REFUSED, Box, replica, waiting

NewBox = Callable[[str], Box]
VOTING = {"redis_2": waiting(0, votes="redis-1"), "redis_3": waiting(0, votes="redis-1")}
"""The other nodes of a fresh install, as redis-1 sees them."""

# What a node holds.


def test_a_replica_that_never_completed_its_sync_counts_with_what_it_held_before(redis: NewBox) -> None:
    box = redis("redis-3")
    box.holds(9000)
    (box.data / "kit-unsynced").write_text("100\n")
    box.world(redis_1=waiting(500, votes="redis-3"), redis_2=waiting(400, votes="redis-3"))
    assert box.run().role == "waiting"
    assert box.votes == [NOBODY, "redis-1"]
    assert "SET kit:state 100=" in box.noted("local")


def test_the_marker_keeps_the_first_value_over_several_starts_without_a_sync(redis: NewBox) -> None:
    box = redis("redis-3")
    box.holds(100)
    box.world(named="redis-1", redis_1=PRIMARY)
    box.run()
    box.holds(9000, "appendonly.aof.2.incr.aof")
    box.run()
    assert (box.data / "kit-unsynced").read_text() == "100\n"


def test_the_time_is_that_of_the_newest_append_only_file(redis: NewBox) -> None:
    box = redis("redis-1")
    for n, time in enumerate([300, 700, 500]):
        box.holds(time, f"appendonly.aof.{n}.incr.aof")
    box.world(named="redis-2", redis_2=PRIMARY)
    box.run()
    assert "SET kit:state 700=" in box.noted("local")


@pytest.mark.parametrize("name", ["temp-appendonly.aof.incr", "temp-rewriteaof-12.aof", "appendonly.aof.manifest"])
def test_what_a_rewrite_of_the_append_only_file_left_half_made_does_not_count(redis: NewBox, name: str) -> None:
    box = redis("redis-3")
    box.holds(9000, name)
    box.world(redis_1=waiting(0), redis_2=waiting(10))
    outcome = box.run()
    assert outcome.role == "waiting"
    assert "SET kit:state 0=" in box.noted("local")


@pytest.mark.parametrize("name", ["kit-unsynced", "kit-engine"])
def test_a_marker_is_never_half_written(redis: NewBox, name: str) -> None:
    """A full disk or a power cut while it is written must leave the old one or none: it is put in place by a rename."""
    box = redis("redis-3")
    box.holds(100)
    box.world(named="redis-1", redis_1=PRIMARY)
    box.note_every_command()
    assert box.run().role == "replica of redis-1 6379"
    assert any(line.startswith("mv ") and line.endswith(f"/{name}") for line in box.noted("argv").splitlines())


def test_the_waiting_room_tells_the_others_what_the_node_holds_and_nothing_else(redis: NewBox) -> None:
    box = redis("redis-2")
    box.holds(1234)
    box.world(redis_1=waiting(9000), redis_3=waiting(1))
    assert box.run().role == "waiting"
    assert box.noted("local").splitlines()[0] == "SET kit:state 1234=nobody"
    conf, acl = box.noted("room.conf"), box.noted("room.acl")
    assert "\ntls-port 16380\n" in conf
    assert "\nport 0\n" in conf
    assert "appendonly no" in conf
    assert "user default off\n" in acl
    assert "resetchannels -@all ~kit:state +get" in acl


def test_no_server_starts_before_the_waiting_room_is_closed(redis: NewBox) -> None:
    box = redis("redis-1")
    box.world(**VOTING)
    assert box.run().role == "primary"
    assert not (box.root / "room.left").exists()


def test_a_port_near_the_end_of_the_range_has_a_waiting_room_too(redis: NewBox) -> None:
    box = redis("redis-1")
    box.world()
    nodes = "redis-1:60000 redis-2:60001 redis-3:60002"
    box.run(until=2, NODES=nodes)
    assert "\ntls-port 50000\n" in box.noted("room.conf")


def test_a_stop_while_waiting_ends_the_waiting_room(redis: NewBox) -> None:
    box = redis("redis-1")
    box.world(redis_2=waiting(0))
    outcome = box.run(until=2)
    assert outcome.exit_code == 143
    assert outcome.conf is None


# The engine.


def test_data_stays_with_the_engine_that_wrote_it(redis: NewBox) -> None:
    box = redis("redis-1")
    box.world(**VOTING)
    assert box.run().role == "primary"
    box.use_engine("valkey")
    refused = box.run()
    assert refused.exit_code == 65
    assert refused.conf is None
    assert "fatal: this is valkey, but the data was written by redis" in refused.log


def test_valkey_is_recognised_beside_links_that_carry_the_names_of_redis(redis: NewBox) -> None:
    box = redis("redis-1")
    box.use_engine("valkey")
    for name in ("cli", "server"):
        (box.root / "bin" / f"redis-{name}").symlink_to(box.root / "bin" / f"valkey-{name}")
    box.world(**VOTING)
    assert box.run().role == "primary"
    assert (box.data / "kit-engine").read_text() == "valkey\n"


def test_a_node_that_is_not_among_the_nodes_does_not_start(redis: NewBox) -> None:
    outcome = redis("redis-1").run(NODES="redis-2:6380 redis-3:6381")
    assert outcome.exit_code == 64
    assert "NODE=redis-1 is not one of NODES=redis-2:6380 redis-3:6381" in outcome.log


# What the server is started with.


def test_the_configuration_is_made_anew_at_each_start(redis: NewBox) -> None:
    box = redis("redis-1")
    box.world()
    box.world(2, named="redis-2", redis_2=PRIMARY)
    assert box.run().role == "replica of redis-2 6380"
    rewritten = "maxmemory 1\nreplicaof redis-2 6380\nreplica-priority 0\nmasterauth old\n"
    (box.run_dir / "redis.conf").write_text(rewritten)
    box.world(2, named="redis-3", redis_3=PRIMARY)
    outcome = box.run()
    assert outcome.role == "replica of redis-3 6381"
    assert outcome.conf
    rendered = (box.kit / "redis.conf").read_text() + (box.kit / "auth.conf").read_text()
    assert outcome.conf == f"{rendered}replicaof redis-3 6381\nreplica-priority 0\n"


def test_a_primary_starts_with_exactly_what_was_rendered(redis: NewBox) -> None:
    box = redis("redis-1")
    box.world(**VOTING)
    outcome = box.run()
    assert outcome.conf
    assert outcome.conf.rstrip("\n") == (
        (box.kit / "redis.conf").read_text() + (box.kit / "auth.conf").read_text()
    ).rstrip("\n")


def test_the_acl_file_is_the_rendered_one_and_a_user_whose_password_never_leaves(redis: NewBox) -> None:
    box = redis("redis-1")
    box.world(**VOTING)
    box.run()
    text = (box.run_dir / "users.acl").read_text()
    rendered = (box.kit / "users.acl").read_text()
    assert text.startswith(rendered)
    words = text.removeprefix(rendered).split()
    assert words[:3] == ["user", "local", "on"]
    assert len(words[3]) == len(">") + 64
    assert words[4:] == ["resetchannels", "-@all", "+config|set"]


def test_files_with_secrets_are_for_this_user_alone(redis: NewBox) -> None:
    box = redis("redis-1")
    box.world(**VOTING)
    box.run()
    for path in box.run_dir.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_no_secret_is_ever_an_argument_or_in_the_servers_environment(redis: NewBox) -> None:
    box = redis("redis-3")
    box.note_every_command()
    box.world(named="redis-1", redis_1=PRIMARY, redis_2=replica())
    box.answers(box.itself, {"INFO everything": "role:slave\nmaster_link_status:up\naof_rewrite_in_progress:0"})
    outcome = box.run(serve=True)
    assert "CONFIG SET replica-priority 100" in box.noted("local")
    local = (box.run_dir / "users.acl").read_text().split("user local on >")[1].split()[0]
    secrets = [(box.kit / "node.password").read_text(), "password-of-replication", local]
    argv = box.noted("argv")
    assert argv.count("\n") > 10
    for secret in secrets:
        assert secret not in argv
        assert secret not in outcome.environ
        assert secret not in outcome.log


# A replica becomes one that may be promoted.


def info(**fields: str | int) -> str:
    return "\n".join(f"{name}:{value}" for name, value in ({"role": "slave", "loading": 0} | fields).items())


IN_STEP = info(master_link_status="up", aof_rewrite_in_progress=0, aof_rewrite_scheduled=0)
SYNCING = info(master_link_status="down", master_sync_in_progress=1)
REWRITING = info(master_link_status="up", aof_rewrite_in_progress=1, aof_rewrite_scheduled=0)
SCHEDULED = info(master_link_status="up", aof_rewrite_in_progress=0, aof_rewrite_scheduled=1)
UNLINKED = info(master_link_status="down", master_sync_in_progress=0)


@pytest.fixture(name="starting")
def _starting(redis: NewBox) -> Callable[..., Box]:
    """A node that starts as a replica and then answers about itself, by second."""

    def starting(**by_second: str | None) -> Box:
        box = redis("redis-3")
        box.holds(100)
        box.world(named="redis-1", redis_1=PRIMARY)
        for second, answer in by_second.items():
            box.answers(box.itself, {"INFO everything": answer}, int(second.removeprefix("at_")))
        return box

    return starting


def test_a_replica_may_be_promoted_once_it_is_in_step(starting: Callable[..., Box]) -> None:
    box = starting(at_0=SYNCING, at_2=IN_STEP)
    box.run(serve=True)
    assert box.noted("local").splitlines()[-1] == "CONFIG SET replica-priority 100"
    assert box.noted("clock") == "2\n"
    assert not (box.data / "kit-unsynced").exists()


@pytest.mark.parametrize("state", [REWRITING, SCHEDULED], ids=["in progress", "scheduled"])
def test_a_replica_may_not_be_promoted_before_its_sync_is_on_disk(starting: Callable[..., Box], state: str) -> None:
    box = starting(at_0=state)
    box.run(serve=True)
    assert "CONFIG SET" not in box.noted("local")
    assert (box.data / "kit-unsynced").exists()
    assert not (box.root / "stopped").exists(), "it has its primary, so there is nothing to look for"


@pytest.mark.parametrize("state", [SYNCING, info(loading=1)], ids=["syncing", "loading"])
def test_a_long_sync_is_not_cut_short(starting: Callable[..., Box], state: str) -> None:
    box = starting(at_0=state)
    box.run(serve=True)
    assert not (box.root / "stopped").exists()
    assert (box.data / "kit-unsynced").exists()


@pytest.mark.parametrize("state", [UNLINKED, REFUSED], ids=["no link", "no answer"])
def test_a_replica_that_finds_no_primary_goes_back_to_the_waiting_room(
    starting: Callable[..., Box], state: str | None
) -> None:
    box = starting(at_0=state)
    outcome = box.run(serve=True)
    assert (box.root / "stopped").exists()
    assert box.noted("clock") == "3\n"
    assert "found no primary in 3 s: back to the waiting room" in outcome.log
    assert (box.data / "kit-unsynced").read_text() == "100\n"


def test_a_replica_that_somebody_has_promoted_holds_what_it_holds(starting: Callable[..., Box]) -> None:
    box = starting(at_0=UNLINKED, at_2="role:master")
    box.run(serve=True)
    assert not (box.data / "kit-unsynced").exists()
    assert not (box.root / "stopped").exists()


@pytest.mark.parametrize("engine", ["redis", "valkey"])
def test_a_broken_file_of_a_replica_that_did_not_sync_is_set_aside_until_it_has(
    starting: Callable[..., Box], engine: str
) -> None:
    box = starting(at_0=SYNCING)
    box.use_engine(engine)
    box.run(serve=True)
    box.breaks()

    outcome = box.run(serve=True)
    assert "the append-only file is broken, and set aside as" in outcome.log
    assert not (box.data / "appendonlydir").exists()
    assert (box.data / "kit-unreadable/appendonly.aof.1.incr.aof").exists()
    assert (box.data / "kit-unsynced").read_text() == "100\n", "in an election it counts with what it held"

    box.answers(box.itself, {"INFO everything": IN_STEP})
    box.run(serve=True)
    assert not (box.data / "kit-unreadable").exists()


def test_a_file_that_its_server_has_not_refused_yet_is_left_alone(starting: Callable[..., Box]) -> None:
    box = starting(at_0=SYNCING)
    box.breaks()
    box.run(serve=True)
    assert (box.data / "appendonlydir").exists()
    assert "check-aof" not in box.noted("argv"), "nor read for nothing"


def test_a_file_that_is_well_formed_is_left_alone(starting: Callable[..., Box]) -> None:
    box = starting(at_0=SYNCING)
    for _ in range(2):
        box.run(serve=True)
    assert "check-aof" in box.noted("argv")
    assert (box.data / "appendonlydir").exists()


def test_the_data_of_a_primary_is_never_set_aside(redis: NewBox) -> None:
    box = redis("redis-1")
    box.holds(100)
    (box.data / "kit-unsynced").write_text("100\n")
    (box.data / "kit-force-primary").touch()
    box.breaks()
    assert box.run().role == "primary"
    assert (box.data / "appendonlydir").exists()


def test_a_node_whose_certificate_nobody_can_verify_says_so_and_ends(redis: NewBox) -> None:
    box = redis("redis-1")
    box.does_not_hear_itself()
    outcome = box.run()
    assert (outcome.exit_code, outcome.role) == (70, "failed")
    assert "does not answer: is node.crt in" in outcome.log
