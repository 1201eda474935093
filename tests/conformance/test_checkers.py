"""The checkers find what is wrong in a history, and nothing in one that is right."""

import math

import pytest

from conformance.checkers.gaps import longest_gap, quantile
from conformance.checkers.limit import Lifetime, longest_list, most_at_once, overlap
from conformance.checkers.register import Action, linearizable, not_linearizable
from conformance.checkers.sets import returns, survival
from tests.conformance.made import CREATED, Story

S1 = {"session": "s1", "user": "u"}


def test_a_durable_login_that_nothing_is_left_of_is_lost() -> None:
    found = survival(Story().create("s1", 0, 1).create("s2", 1, 2).audit("s1", 9, 10, alive=False).history)

    assert (found.durable, found.lost, found.unread) == (2, ("s1",), 1)


def test_a_login_that_nobody_confirmed_is_counted_apart() -> None:
    found = survival(Story().create("s1", 0, 1, durable=False).audit("s1", 9, 10, alive=False).history)

    assert (found.durable, found.unconfirmed, found.lost, found.lost_unconfirmed) == (0, 1, (), ("s1",))


def test_the_logins_of_one_client_are_counted_alone() -> None:
    story = Story().create("s1", 0, 1, durable=False).create("s2", 1, 2, client="hasty", durable=False)
    found = survival(story.audit("s1", 9, 10, alive=False).audit("s2", 9, 10, alive=False).history, "hasty")

    assert (found.unconfirmed, found.lost_unconfirmed) == (1, ("s2",))


def test_a_session_that_may_have_expired_is_not_lost() -> None:
    assert survival(Story().create("s1", 0, 1).audit("s1", 59, 61, alive=False).history).lost == ()


def test_a_session_that_ended_although_nobody_ended_it_is_lost() -> None:
    story = Story().create("s1", 0, 1).call("inspect", (9, 10), S1, {"session": "s1", "alive": False}, "auditor")
    assert survival(story.history).lost == ("s1",)
    assert survival(story.call("revoke", (3, 4), S1, None).history).lost == ()


def test_a_login_without_an_answer_may_have_ended_a_session() -> None:
    story = Story().create("s1", 0, 1).call("inspect", (9, 10), S1, {"session": "s1", "alive": False}, "auditor")
    assert survival(story.call("create", (3, 4), {"user": "u"}, None).history).lost == ()


def test_only_what_the_auditor_sees_decides_whether_a_login_is_lost() -> None:
    story = Story().create("s1", 0, 1).read("s1", 2, 3, alive=False).audit("s1", 9, 10, alive=True)

    assert survival(story.history).lost == ()


def test_a_revoked_session_that_a_later_read_shows_alive_has_come_back() -> None:
    story = Story().create("s1", 0, 1).revoke("s1", 2, 3).read("s1", 4, 5, alive=True)

    assert returns(story.history, faults=True).back == ("s1",)
    assert returns(Story().create("s1", 0, 1).revoke("s1", 2, 3).list(["s1"], 4, 5).history, faults=True).back == (
        "s1",
    )


def test_a_read_that_began_before_the_logout_was_answered_proves_nothing() -> None:
    found = returns(Story().create("s1", 0, 1).revoke("s1", 2, 4).read("s1", 3, 5, alive=True).history, faults=True)

    assert (found.back, found.judged) == ((), 0)


def test_a_logout_that_nobody_confirmed_may_be_undone_by_a_failover_and_by_nothing_else() -> None:
    story = Story().create("s1", 0, 1).revoke("s1", 2, 3, durable=False).read("s1", 4, 5, alive=True)

    assert returns(story.history, faults=True).back_unconfirmed == ("s1",)
    assert returns(story.history, faults=False).back == ("s1",)


def test_only_lifetimes_that_are_certain_are_counted_together() -> None:
    assert overlap([Lifetime(1, 4), Lifetime(2, 5), Lifetime(3, 6)]) == 3
    assert overlap([Lifetime(1, 4), Lifetime(4, 5), Lifetime(2, 0)]) == 1
    assert overlap([]) == 0


def test_sessions_that_were_seen_alive_together_are_more_than_the_limit() -> None:
    story = Story().create("s1", 0, 1).create("s2", 1, 2).create("s3", 2, 3).list(["s1", "s2", "s3"], 4, 5)

    assert most_at_once(story.history) == 3
    assert longest_list(story.history) == 3


def test_with_faults_only_durable_sessions_count_towards_the_limit() -> None:
    story = Story().create("s1", 0, 1).create("s2", 1, 2, durable=False).list(["s1", "s2"], 4, 5)

    assert most_at_once(story.history) == 2
    assert most_at_once(story.history, faults=True) == 1


def test_an_evicted_session_lives_until_the_login_that_evicted_it_began() -> None:
    story = Story().create("s1", 0, 1).list(["s1"], 1, 1).create("s2", 2, 4, evicted=["s1"]).list(["s2"], 5, 6)

    assert most_at_once(story.history) == 1


def test_a_session_that_nobody_saw_again_counts_for_nothing() -> None:
    assert most_at_once(Story().create("s1", 0, 1).create("s2", 1, 2).list(["s2"], 3, 4).history) == 1


def test_the_longest_time_without_a_confirmed_login_is_the_gap() -> None:
    story = Story().create("s1", 0, 1).create("s2", 1, 2).create("s3", 2, 5, durable=False).create("s4", 5, 8)

    assert longest_gap(story.history) == 6
    assert longest_gap(Story().history) == math.inf


def test_logins_that_never_come_back_are_a_gap() -> None:
    refused = {"kind": "fail", "error": "StoreUnavailable"}
    story = Story().create("s1", 0, 1).create("s2", 1, 2).call("create", (30, 31), {"user": "u"}, refused)

    assert longest_gap(story.history) == 28


def test_the_time_before_the_first_login_is_taken_is_a_gap() -> None:
    story = Story().call("create", (0, 1), {"user": "u"}, {"kind": "fail"}).create("s1", 99, 100).create("s2", 100, 101)
    assert longest_gap(story.history) == 100


def test_without_any_confirmation_every_answer_counts() -> None:
    story = Story().create("s1", 0, 1, durable=False).create("s2", 1, 4, durable=False)

    assert longest_gap(story.history) == 3


def test_a_quantile_is_a_value_that_was_seen() -> None:
    assert quantile([4, 1, 3, 2], 0.5) == 2
    assert quantile([4, 1, 3, 2], 0.95) == 4
    assert math.isnan(quantile([], 0.5))


def test_a_session_that_lives_until_its_expiry_is_explained() -> None:
    story = Story().create("s1", 0, 1).read("s1", 2, 3, alive=True, expires=CREATED + 61)
    story.read("s1", 62, 63, alive=False)

    assert not_linearizable(story.history) == ([], [])


@pytest.mark.parametrize(
    ("wrong", "story"),
    [
        ("gone too early", Story().create("s1", 0, 1).read("s1", 2, 3, alive=False)),
        ("alive too long", Story().create("s1", 0, 1).read("s1", 63, 64, alive=True, expires=CREATED + 61)),
        (
            "back from the dead",
            Story().create("s1", 0, 1).revoke("s1", 2, 3).read("s1", 4, 5, alive=True, expires=CREATED + 61),
        ),
        (
            "an expiry that moves backwards",
            Story().create("s1", 0, 1).read("s1", 2, 3, alive=True, expires=CREATED + 70)
            .read("s1", 4, 5, alive=True, expires=CREATED + 61),
        ),
        (
            "seen dead, then alive",
            Story().create("s1", 0, 1).revoke("s1", 2, 9).read("s1", 3, 4, alive=False)
            .read("s1", 5, 6, alive=True, expires=CREATED + 61),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_no_order_explains(wrong: str, story: Story) -> None:
    assert not_linearizable(story.history) == (["s1"], [])


def test_reads_beside_a_logout_may_see_it_or_not() -> None:
    story = Story().create("s1", 0, 1).revoke("s1", 2, 9).read("s1", 3, 4, alive=True, expires=CREATED + 61)
    story.read("s1", 5, 6, alive=False)

    assert not_linearizable(story.history) == ([], [])


def test_a_logout_of_which_nobody_knows_may_take_effect_late_or_never() -> None:
    asked = {"session": "s1", "user": "u", "reason": "logout"}
    story = Story().create("s1", 0, 1).call("revoke", (2, 3), asked, {"kind": "info", "error": "x"})
    story.read("s1", 10, 11, alive=True, expires=CREATED + 61)
    assert not_linearizable(story.history) == ([], [])

    story.read("s1", 12, 13, alive=False)
    assert not_linearizable(story.history) == ([], [])

    story.read("s1", 14, 15, alive=True, expires=CREATED + 61)
    assert not_linearizable(story.history) == (["s1"], [])


def test_a_search_that_becomes_too_long_does_not_decide() -> None:
    many = [Action(0, 1, number) for number in range(20)]

    assert linearizable(many, 0, lambda state, action: iter([state | 1 << action.what]), budget=100) is True
    assert (
        linearizable(
            [*many, Action(2, 3, None)], 0, lambda s, a: iter([] if a.what is None else [s | 1 << a.what]), 100
        )
        is None
    )
