"""Judges of outages: what is a violation, what is no evidence, what is only reported."""

from typing import Any

import pytest

import conformance.experiments  # noqa: F401 - fills TESTS
from conformance.finding import Finding
from conformance.requirements import TESTS
from tests.conformance.made import CREATED, Story


def outage(*, bit: bool = True) -> Story:
    story = Story().fault(1.5, "begin", node="redis-1", bound=8)
    return story.fault(5, "bit") if bit else story


def find(requirement: str, *stories: Story) -> Finding:
    return TESTS[requirement].judge([story.history for story in stories])


def test_a_fault_that_never_bit_proves_nothing() -> None:
    quiet = outage(bit=False).create("s1", 0, 1).audit("s1", 9, 10, alive=True)

    assert find("HA-KILL-002", quiet).status == "unknown"
    assert find("HA-KILL-002", outage().create("s1", 0, 1).audit("s1", 9, 10, alive=True), quiet).status == "unknown"


def test_a_violation_counts_whether_the_fault_bit_or_not() -> None:
    lost = outage(bit=False).create("s1", 0, 1).audit("s1", 9, 10, alive=False)

    assert find("HA-KILL-002", lost).status == "fail"


def test_without_a_single_durable_login_nothing_is_proven() -> None:
    story = outage().create("s1", 0, 1, durable=False).audit("s1", 9, 10, alive=False)
    found = find("HA-KILL-002", story)

    assert found.status == "unknown"
    assert found.evidence["lost_unconfirmed"] == 1


def test_what_the_client_without_wait_loses_is_counted_apart() -> None:
    story = outage().create("s1", 0, 1).create("s2", 0, 1, "hasty", durable=False).create("s3", 0, 1, durable=False)
    story.audit("s1", 9, 10, alive=True).audit("s2", 9, 10, alive=False).audit("s3", 9, 10, alive=True)
    found = find("HA-KILL-002", story)

    assert found.status == "pass"
    assert [found.evidence[name] for name in ("without_wait", "lost_without_wait", "unconfirmed")] == [1, 1, 1]


def test_a_session_that_nobody_looked_at_afterwards_leaves_it_open() -> None:
    story = outage().create("s1", 0, 1).create("s2", 1, 2).audit("s1", 9, 10, alive=True)

    assert find("HA-KILL-002", story).status == "unknown"


@pytest.mark.parametrize(("until", "status"), [(9.9, "pass"), (10.1, "fail")])
def test_the_longest_gap_is_held_against_the_bound(until: float, status: str) -> None:
    found = find("HA-KILL-001", outage().create("s1", 1, 2).create("s2", 2, until))

    assert found.status == status
    assert found.evidence["gap_max_s"] == round(until - 2, 2)


@pytest.mark.parametrize(("turns", "status"), [(20, "pass"), (19, "fail")])
def test_one_late_turn_in_twenty_is_reported_and_no_violation(turns: int, status: str) -> None:
    late, quick = (outage().create("s1", 0, 1).create("s2", 1, end) for end in (20, 3))
    found = find("HA-KILL-001", late, *([quick] * (turns - 1)))

    assert (found.status, found.evidence["gap_max_s"]) == (status, 19)


def test_figures_are_of_all_repeats() -> None:
    quick, slow = (outage().create("s1", 0, 1).create("s2", 1, end) for end in (3, 7))

    assert find("HA-KILL-001", quick, slow).evidence == {"faults": 2, "gap_p50_s": 2, "gap_p95_s": 6, "gap_max_s": 6}


def test_a_durable_logout_that_is_undone_is_a_violation_and_another_one_is_reported() -> None:
    back = outage().create("s1", 0, 1).revoke("s1", 2, 3).audit("s1", 9, 10, alive=True)
    unconfirmed = outage().create("s1", 0, 1).revoke("s1", 2, 3, durable=False).audit("s1", 9, 10, alive=True)

    assert find("HA-KILL-003", back).status == "fail"
    found = find("HA-KILL-003", unconfirmed)
    assert (found.status, found.evidence["back_unconfirmed"]) == ("pass", 1)


def test_what_never_settles_does_not_heal() -> None:
    assert (
        find("HA-KILL-005", outage().fault(9, "healed").fault(99, "unsettled", problem="redis-1 waits")).status
        == "fail"
    )
    found = find("HA-KILL-005", outage().fault(9, "healed").fault(12, "settled"))
    assert (found.status, found.evidence["settled_max_s"]) == ("pass", 3)


@pytest.mark.parametrize(("start", "kind", "status"), [(13, "ok", "pass"), (14, "ok", "fail"), (14, "fail", "pass")])
def test_a_primary_that_is_cut_off_has_some_seconds_to_notice(start: float, kind: str, status: str) -> None:
    told: dict[str, Any] = {"kind": kind, "session": "s1", "durable": False, "created": CREATED, "expires": CREATED + 9}
    late: dict[str, Any] = {"kind": "fail", "error": "StoreUnavailable"}
    story = outage().fault(1.5, "cut").call("create", (start, start + 0.1), {"user": "u"}, told, "stranded")
    story.call("create", (20, 20.1), {"user": "u"}, late, "stranded")

    assert find("HA-CUT-006", story).status == status


def test_memory_that_never_became_full_proves_nothing_of_logouts() -> None:
    story = Story().create("s1", 0, 1).revoke("s1", 2, 3)
    assert find("OPS-MEM-003", story).status == "unknown"
    assert find("OPS-MEM-003", story.fault(1, "bit")).status == "pass"


def test_a_login_that_is_refused_for_another_reason_is_not_refused_as_full() -> None:
    refused: dict[str, Any] = {"kind": "fail", "error": "StoreUnavailable", "message": "no answer"}
    story = Story().call("create", (0, 1), {"user": "u"}, refused)

    assert find("OPS-MEM-002", story).actual == "StoreUnavailable: no answer"
    assert find("OPS-MEM-002", Story()).actual == "600 logins were taken"


def test_a_port_that_answers_default_is_a_violation() -> None:
    story = (
        Story()
        .probe("nobody", address="redis-1:1", answer="NOAUTH")
        .probe("default", address="redis-1:1", answer="PONG")
    )

    assert find("SEC-ACL-001", story).actual == "redis-1:1 answers PONG"


@pytest.mark.parametrize(
    ("seen", "actual"),
    [
        ({"verified": False, "problem": "self-signed", "version": "", "days": 0.0}, "redis-1:1: self-signed"),
        ({"verified": True, "problem": "", "version": "TLSv1.1", "days": 99.0}, "redis-1:1: TLSv1.1"),
        ({"verified": True, "problem": "", "version": "TLSv1.3", "days": 13.0}, "redis-1:1: ends in 13.0 days"),
    ],
)
def test_a_certificate_has_to_be_verified_new_and_strong(seen: dict[str, Any], actual: str) -> None:
    assert find("SEC-TLS-002", Story().probe("certificate", address="redis-1:1", **seen)).actual == actual
