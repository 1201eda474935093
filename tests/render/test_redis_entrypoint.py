"""Who becomes primary: the entrypoint of a Redis node, decision by decision."""

from collections.abc import Callable

import pytest

from tests.render.box import HANGS, NOAUTH, NOBODY, PRIMARY, REFUSED, Box, replica, shells, waiting

NewBox = Callable[[str], Box]
# What a decision is made of is the same text everywhere; that bash reads it as well is shown by the other files.
pytestmark = pytest.mark.parametrize(
    "shell", [each for each in shells() if each.name != "bash"], ids=str, indirect=True
)
EMPTY = waiting(0)
VOTING = {"redis_2": waiting(0, votes="redis-1"), "redis_3": waiting(0, votes="redis-1")}
"""The other nodes of a fresh install, as redis-1 sees them."""

# A fresh install.


def test_the_first_node_of_a_fresh_install_seeds(redis: NewBox) -> None:
    box = redis("redis-1")
    box.world(**VOTING)
    outcome = box.run()
    assert outcome.role == "primary"
    assert outcome.second == 1, "nobody is missing, so there is nothing to wait for but its own vote to be seen"


@pytest.mark.parametrize("name", ["redis-2", "redis-3"])
def test_the_other_nodes_of_a_fresh_install_vote_for_the_first(redis: NewBox, name: str) -> None:
    box = redis(name)
    box.world(**{f"redis_{n}": EMPTY for n in (1, 2, 3) if name != f"redis-{n}"})
    assert box.run(until=3).role == "waiting"
    assert box.votes == [NOBODY, "redis-1"]


def test_the_first_node_does_not_seed_before_every_other_one_votes_for_it(redis: NewBox) -> None:
    box = redis("redis-1")
    box.world(redis_2=waiting(0, votes="redis-1"), redis_3=EMPTY)
    assert box.run(until=4).role == "waiting"
    assert box.votes == [NOBODY, "redis-1"]


def test_nobody_seeds_while_a_node_is_missing_since_the_data_may_be_there(redis: NewBox) -> None:
    box = redis("redis-1")
    box.world(redis_2=waiting(0, votes="redis-1"), redis_3=REFUSED)
    outcome = box.run(until=4)
    assert outcome.role == "waiting"
    assert box.votes == [NOBODY]
    assert "the data may be there" in outcome.log


def test_the_first_node_seeds_as_soon_as_the_last_one_is_there(redis: NewBox) -> None:
    box = redis("redis-1")
    box.world(redis_2=waiting(0, votes="redis-1"))
    box.world(3, **VOTING)
    outcome = box.run()
    assert (outcome.role, outcome.second) == ("primary", 4)


def test_nobody_seeds_while_a_replica_that_has_not_synced_may_hold_data(redis: NewBox) -> None:
    box = redis("redis-1")
    box.world(redis_2=waiting(0, votes="redis-1"), redis_3=replica(0))
    assert box.run(until=4).role == "waiting"


def test_an_interrupted_fresh_install_goes_on_with_the_node_that_was_seeded(redis: NewBox) -> None:
    box = redis("redis-1")
    box.world(redis_2=waiting(1000), redis_3=EMPTY)
    box.world(2, named="redis-2", redis_2=PRIMARY, redis_3=EMPTY)
    assert box.run().role == "replica of redis-2 6380"
    assert box.votes == [NOBODY, "redis-2"]


# The Sentinels' word.


@pytest.mark.parametrize("held", [0, 5000], ids=["empty", "with data"])
def test_a_node_follows_the_running_primary_that_a_majority_names(redis: NewBox, held: int) -> None:
    box = redis("redis-3")
    if held:
        box.holds(held)
    box.world(named="redis-1", redis_1=PRIMARY, redis_2=replica())
    outcome = box.run()
    assert outcome.role == "replica of redis-1 6379"
    assert outcome.conf
    assert "\nreplica-priority 0\n" in outcome.conf, "no Sentinel may promote it before it has synced"
    assert (box.data / "kit-unsynced").read_text().strip() == str(held), "until then it counts with what it held before"


def test_two_of_three_sentinels_are_enough(redis: NewBox) -> None:
    box = redis("redis-3")
    box.world(named=("redis-1", REFUSED, "redis-1"), redis_1=PRIMARY)
    assert box.run().role == "replica of redis-1 6379"


@pytest.mark.parametrize("others", [(REFUSED, REFUSED), (HANGS, NOAUTH), ("redis-2", REFUSED)])
def test_the_word_of_a_minority_is_ignored(redis: NewBox, others: tuple[str | None, str | None]) -> None:
    box = redis("redis-3")
    box.world(named=("redis-1", *others), redis_1=PRIMARY, redis_2=replica())
    outcome = box.run(until=4)
    assert outcome.role == "waiting"
    assert "named: none" in outcome.log


def test_a_named_node_that_is_not_primary_is_not_followed(redis: NewBox) -> None:
    box = redis("redis-3")
    box.world(named="redis-1", redis_1=replica(), redis_2=PRIMARY)
    assert box.run(until=4).role == "waiting"


def test_a_running_primary_that_nobody_names_is_not_followed(redis: NewBox) -> None:
    box = redis("redis-3")
    box.world(redis_1=PRIMARY, redis_2=waiting(9000))
    assert box.run(until=4).role == "waiting"


def test_a_named_node_that_was_killed_and_is_back_at_once_waits_for_the_failover(redis: NewBox) -> None:
    box = redis("redis-1")
    box.holds(5000)
    box.world(named="redis-1", redis_2=replica(), redis_3=replica())
    box.world(3, named="redis-2", redis_2=PRIMARY, redis_3=replica())
    outcome = box.run()
    assert outcome.role == "replica of redis-2 6380"
    assert outcome.second >= 3


def test_a_named_node_becomes_primary_again_where_no_replica_can_be_promoted(redis: NewBox) -> None:
    box = redis("redis-1")
    box.holds(5000)
    box.world(named="redis-1", redis_2=replica(0), redis_3=replica(0))
    outcome = box.run()
    assert outcome.role == "primary"
    assert outcome.second == 0


def test_a_named_node_waits_where_one_of_the_replicas_can_be_promoted(redis: NewBox) -> None:
    box = redis("redis-1")
    box.holds(5000)
    box.world(named="redis-1", redis_2=replica(0), redis_3=replica(100))
    assert box.run(until=4).role == "waiting"


# An empty node.


def test_a_named_node_that_has_lost_its_data_waits_while_a_peer_can_be_promoted(redis: NewBox) -> None:
    box = redis("redis-1")
    box.world(named="redis-1", redis_2=replica(), redis_3=replica())
    assert box.run(until=4).role == "waiting"


def test_a_named_node_that_has_lost_its_data_waits_for_replicas_that_have_not_synced(redis: NewBox) -> None:
    box = redis("redis-1")
    box.world(named="redis-1", redis_2=replica(0), redis_3=replica(0))
    assert box.run(until=4).role == "waiting"


def test_a_named_node_that_has_lost_its_data_gives_way_to_a_waiting_one_that_holds_some(redis: NewBox) -> None:
    box = redis("redis-1")
    box.world(named="redis-1", redis_2=waiting(10, votes="redis-1"), redis_3=waiting(0, votes="redis-1"))
    assert box.run(until=4).role == "waiting"
    assert box.votes == [NOBODY, "redis-2"]


def test_an_empty_node_waits_while_anybody_holds_data(redis: NewBox) -> None:
    box = redis("redis-1")
    box.world(redis_2=waiting(0, votes="redis-1"), redis_3=waiting(10, votes="redis-1"))
    assert box.run(until=4).role == "waiting"
    assert box.votes == [NOBODY, "redis-3"]


def test_a_restarted_primary_with_a_new_disk_does_not_wipe_its_replicas(redis: NewBox) -> None:
    """Its replicas would copy its emptiness (kubeblocks#10753, redis#1297)."""
    box = redis("redis-1")
    box.world(named="redis-1", redis_2=replica(), redis_3=replica(0))
    box.world(3, named="redis-2", redis_2=PRIMARY, redis_3=replica(0))
    assert box.run().role == "replica of redis-2 6380"


# A cold start: every node waits.


def test_the_named_node_wins_though_anothers_last_write_is_a_little_later(redis: NewBox) -> None:
    box = redis("redis-2")
    box.holds(1000)
    box.world(named="redis-2", redis_1=waiting(1010, votes="redis-2"), redis_3=waiting(900, votes="redis-2"))
    outcome = box.run()
    assert (outcome.role, outcome.second) == ("primary", 1)


def test_the_newest_wins_over_a_named_node_whose_disk_was_set_back(redis: NewBox) -> None:
    named = redis("redis-2")
    named.holds(1000)
    named.world(named="redis-2", redis_1=waiting(1011, votes="redis-2"), redis_3=waiting(900, votes="redis-2"))
    assert named.run(until=3).role == "waiting"
    assert named.votes == [NOBODY, "redis-1"]
    newest = redis("redis-1")
    newest.holds(1011)
    newest.world(named="redis-2", redis_2=waiting(1000, votes="redis-1"), redis_3=waiting(900, votes="redis-1"))
    assert newest.run().role == "candidate for redis-2 6380"


def test_a_majority_elects_without_a_node_that_stays_away(redis: NewBox) -> None:
    box = redis("redis-3")
    box.holds(2000)
    box.world(named="redis-1", redis_2=waiting(1999, votes="redis-3"))
    outcome = box.run()
    assert outcome.role == "candidate for redis-1 6379"
    assert outcome.second >= 3, "2 s of grace, and one for the vote"


def test_an_elected_node_that_the_sentinels_do_not_name_lets_them_promote_it(redis: NewBox) -> None:
    """As a primary it would keep the priority that they saw last: 0, if it had not synced, and then for ever."""
    box = redis("redis-2")
    box.holds(2000)
    (box.data / "kit-unsynced").write_text("1990\n")
    box.world(named="redis-1", redis_1=waiting(0, votes="redis-2"), redis_3=waiting(0, votes="redis-2"))
    box.answers(box.itself, {"INFO everything": "role:slave\nmaster_link_status:down"})
    box.world(3)
    box.answers(box.itself, {"INFO everything": "role:master"}, 3)
    assert box.run(serve=True, SYNC_GRACE="9").role == "candidate for redis-1 6379"
    assert not (box.root / "stopped").exists()
    assert not (box.data / "kit-unsynced").exists(), "what it holds is what counts from here on"


def test_an_elected_node_that_nobody_promotes_goes_back_to_the_waiting_room(redis: NewBox) -> None:
    box = redis("redis-2")
    box.holds(2000)
    box.world(named="redis-1", redis_1=waiting(0, votes="redis-2"), redis_3=waiting(0, votes="redis-2"))
    box.answers(box.itself, {"INFO everything": "role:slave\nmaster_link_status:down"})
    assert box.run(serve=True).role == "candidate for redis-1 6379"
    assert (box.root / "stopped").exists()
    assert not (box.data / "kit-unsynced").exists()


def test_a_node_that_comes_in_time_takes_part_in_the_election(redis: NewBox) -> None:
    box = redis("redis-3")
    box.holds(2000)
    box.world(named="redis-1", redis_2=waiting(1999, votes="redis-3"))
    box.world(1, named="redis-1", redis_2=waiting(1999, votes="redis-3"), redis_1=waiting(2001, votes="redis-3"))
    assert box.run().role == "waiting"
    assert box.votes == [NOBODY, "redis-1"]


def test_the_wait_for_a_missing_node_begins_when_a_majority_is_there(redis: NewBox) -> None:
    """Not when this node began to wait: the others may come one after the other, the newest data last."""
    box = redis("redis-1")
    box.holds(1000)
    box.world()
    box.world(3, redis_2=waiting(500, votes="redis-1"))
    box.world(5, redis_2=waiting(500, votes="redis-1"), redis_3=waiting(9000, votes="redis-1"))
    assert box.run(until=8).role == "waiting"
    assert box.votes == [NOBODY, "redis-3"]


def test_an_elected_node_is_not_passed_over_while_its_server_starts(redis: NewBox) -> None:
    """It has left the waiting room, and does not answer as a primary yet."""
    box = redis("redis-2")
    box.holds(1000)
    box.world()
    box.world(3, named="redis-1", redis_1=waiting(1000), redis_3=waiting(900, votes="redis-1"))
    box.world(4, named="redis-1", redis_3=waiting(900, votes="redis-2"))
    box.world(6, named="redis-1", redis_1=PRIMARY, redis_3=waiting(900))
    assert box.run(until=8).role == "replica of redis-1 6379"
    assert box.votes == [NOBODY, "redis-1", NOBODY]


def test_a_single_node_waits_for_ever(redis: NewBox) -> None:
    box = redis("redis-1")
    box.holds(9000)
    box.world(named="redis-1")
    outcome = box.run(until=6)
    assert outcome.role == "waiting"
    assert "wait for a majority of the nodes (missing: redis-2:6380 redis-3:6381)" in outcome.log


def test_an_election_waits_for_the_word_of_sentinels_that_are_silent_at_first(redis: NewBox) -> None:
    box = redis("redis-3")
    box.holds(2000)
    box.world(redis_1=waiting(1995, votes="redis-3"), redis_2=waiting(1990, votes="redis-3"))
    box.world(1, named="redis-1", redis_1=waiting(1995, votes="redis-3"), redis_2=waiting(1990, votes="redis-3"))
    outcome = box.run(until=4)
    assert outcome.role == "waiting"
    assert "wait up to 1 s for the Sentinels" in outcome.log
    assert box.votes == [NOBODY, "redis-1"]


def test_the_newest_wins_where_the_sentinels_stay_silent(redis: NewBox) -> None:
    box = redis("redis-3")
    box.holds(2000)
    box.world(redis_1=waiting(1995, votes="redis-3"), redis_2=waiting(1990, votes="redis-3"))
    outcome = box.run()
    assert (outcome.role, outcome.second) == ("primary", 2), "1 s of grace, and one for the vote"


@pytest.mark.parametrize("named", [None, "redis-4"], ids=["nobody named", "a node named that is no more"])
def test_nodes_with_the_same_last_write_vote_for_the_same_one(redis: NewBox, named: str | None) -> None:
    """The usual case: the last write reached all of them in the same second."""
    for n in (1, 2, 3):
        box = redis(f"redis-{n}")
        box.holds(2000)
        box.world(named=named, **{f"redis_{other}": waiting(2000) for other in (1, 2, 3) if other != n})
        assert box.run(until=4).role == "waiting"
        assert box.votes == [NOBODY, "redis-1"]


def test_a_winner_does_not_start_on_votes_that_were_given_before_it_stood(redis: NewBox) -> None:
    """Its own vote is published first: a node that votes for it then is one that may have seen it."""
    box = redis("redis-1")
    box.holds(2000)
    box.world(named="redis-1", redis_2=waiting(1, votes="redis-1"), redis_3=waiting(1, votes="redis-1"))
    box.world(1, named="redis-1", redis_2=waiting(1, votes="redis-1"), redis_3=waiting(1, votes="redis-2"))
    assert box.run(until=4).role == "waiting"


def test_of_two_nodes_that_do_not_see_each_other_only_the_one_with_the_thirds_vote_starts(redis: NewBox) -> None:
    roles = []
    for name in ("redis-1", "redis-2"):
        box = redis(name)
        box.holds(2000)
        box.world(redis_3=waiting(1000, votes="redis-1"))
        roles.append(box.run().role)
    assert roles == ["primary", "waiting"]


@pytest.mark.parametrize("answer", [NOAUTH, "NOPERM this user has no permissions", "BUSY Redis is busy"])
def test_a_peer_that_does_not_say_what_it_is_blocks_an_election(redis: NewBox, answer: str) -> None:
    box = redis("redis-1")
    box.holds(2000)
    box.world(named="redis-1", redis_2=waiting(1000, votes="redis-1"), redis_3=answer)
    outcome = box.run(until=4)
    assert outcome.role == "waiting"
    assert "running: redis-3:6381" in outcome.log


def test_a_peer_that_hangs_counts_as_missing(redis: NewBox) -> None:
    box = redis("redis-1")
    box.holds(2000)
    box.world(named="redis-1", redis_2=waiting(1000, votes="redis-1"), redis_3=HANGS)
    outcome = box.run(ABSENT_GRACE="1")
    assert (outcome.role, outcome.second) == ("primary", 2)


def test_a_peer_that_is_still_loading_its_data_blocks_an_election(redis: NewBox) -> None:
    box = redis("redis-1")
    box.holds(2000)
    box.world(redis_2=waiting(1000, votes="redis-1"), redis_3=PRIMARY)  # INFO says so from the first byte on
    assert box.run(until=4).role == "waiting"


# An operator's word.


def test_an_operator_makes_a_node_primary_whatever_the_others_say_and_once_only(redis: NewBox) -> None:
    box = redis("redis-3")
    box.holds(10)
    (box.data / "kit-force-primary").touch()
    (box.data / "kit-unsynced").write_text("10\n")
    box.world(named="redis-1", redis_1=PRIMARY, redis_2=replica())
    assert box.run().role == "primary"
    assert sorted(path.name for path in box.data.iterdir()) == ["appendonlydir", "kit-engine"]
    assert box.run().role == "replica of redis-1 6379"
