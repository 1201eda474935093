"""Judges of outages: what is a violation, what is no evidence, what is only reported."""

from typing import Any

import pytest

import conformance.experiments  # noqa: F401 - fills TESTS
from conformance.finding import Finding
from conformance.requirements import TESTS, Requirement, register
from conformance.run import Result, judge
from conformance.verdict import verdict
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


KEPT = ["HA-KILL-002", "HA-SENT-002", "OPS-STOP-001", "OPS-ROLL-001", "OPS-DISK-004", "OPS-CERT-001", "OPS-PASS-001"]


@pytest.mark.parametrize("requirement", [*KEPT, "MAN-FAIL-002"])
def test_no_promise_about_logins_is_kept_where_nobody_looked(requirement: str) -> None:
    assert find(requirement, outage().create("s1", 0, 1)).status == "unknown"
    assert find(requirement, outage().create("s1", 0, 1).audit("s1", 9, 10, alive=True)).status == "pass"
    assert find(requirement, outage().create("s1", 0, 1).audit("s1", 9, 10, alive=False)).status == "fail"


def test_logins_that_come_back_after_minutes_are_a_violation_in_any_number_of_turns() -> None:
    never, quick = (outage().create("s1", 0, 1).create("s2", 1, end) for end in (90, 3))
    assert find("HA-KILL-001", never, *([quick] * 50)).status == "fail"


def test_a_limit_that_nobody_reached_was_not_tried() -> None:
    assert find("HA-KILL-004", outage().create("s1", 0, 1).list(["s1", "s2"], 2, 3)).status == "unknown"
    assert find("HA-KILL-004", outage().create("s1", 0, 1).list(["s1", "s2", "s3"], 2, 3)).status == "pass"


def test_a_login_without_an_answer_was_not_refused_as_full() -> None:
    assert find("OPS-DISK-002", outage().call("create", (0, 1), {"user": "u"}, None)).actual == "info None: None"


def test_certificates_that_nobody_looked_at_prove_nothing() -> None:
    logins = outage().create("s1", 0, 1).create("s2", 1, 2)
    assert find("OPS-CERT-002", logins).status == "unknown"
    assert find("OPS-CERT-002", logins.probe("certificates", renewed=5, nodes=6)).status == "fail"


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({"kind": "fail", "error": "StoreDenied"}, "pass"),
        ({"kind": "info", "error": "StoreUnavailable"}, "unknown"),
        (None, "unknown"),
    ],
)
def test_only_a_refusal_refuses_a_withdrawn_password(told: dict[str, Any] | None, status: str) -> None:
    assert find("OPS-PASS-003", outage().call("create", (0, 1), {"user": "u"}, told, "withdrawn")).status == status


def expired(*, read: bool) -> Story:
    """A session of 2 s, looked at while it lives, and after it if `read`; then one call more that fails, if it is."""
    story = Story().create("s1", 0, 0, expires=CREATED + 2).read("s1", 1, 1, alive=True, expires=CREATED + 2)
    return story.read("s1", 3, 3, alive=False) if read else story


def test_whoever_looks_at_no_expired_session_proves_no_expiry() -> None:
    assert find("SES-TTL-001", expired(read=False)).status == "unknown"
    assert find("SES-TTL-001", expired(read=True)).status == "pass"


@pytest.mark.parametrize("requirement", ["SES-TTL-001", "SES-TTL-003", "SES-REV-004", "SES-LIMIT-001"])
def test_in_peace_a_call_that_fails_leaves_open_what_it_would_have_shown(requirement: str) -> None:
    story = expired(read=True).list(["s1", "s2", "s3"], 4, 4)
    assert find(requirement, story).status == "pass"
    refused: dict[str, Any] = {"kind": "fail", "error": "StoreDenied", "message": "NOPERM"}
    found = find(requirement, story.call("get", (5, 5), {"session": "s1", "user": "u"}, refused))
    assert (found.status, found.actual) == ("unknown", "1 calls were not answered (get: NOPERM)")


def test_sliding_is_shown_by_sessions_in_use_and_by_others() -> None:
    used = Story().create("s1", 0, 0).read("s1", 1, 1, alive=True).read("s1", 3, 3, alive=True)
    assert find("SES-SLIDE-001", used).status == "unknown"
    assert find("SES-SLIDE-001", used.create("s2", 0, 0).read("s2", 3, 3, alive=False)).status == "pass"


def test_a_login_of_which_nobody_knows_is_counted_by_nobody() -> None:
    story = Story().create("s1", 0, 1).call("create", (1, 2), {"user": "u"}, None)
    for count in (1, 2):
        counted = story.call("count", (3, 4), {"user": "u"}, {"count": count})
        assert find("SES-COUNT-001", counted).status == "unknown"


def test_a_user_who_was_never_listed_is_no_evidence() -> None:
    assert find("SES-LIMIT-002", Story().create("s1", 0, 1)).status == "unknown"


def test_either_setting_switches_the_refusal_of_writes_off() -> None:
    settings = {"node": "redis-1", "min-replicas-to-write": "1", "min-replicas-max-lag": "0"}
    assert find("DUR-MIN-001", Story().probe("settings", **settings)).status == "fail"


NOPERM = "NOPERM User default has no permissions to run the 'ping' command"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("NOAUTH Authentication required.", "pass"),
        (NOPERM, "fail"),
        ("not reached: [Errno 111] Connection refused", "unknown"),
    ],
)
def test_only_who_is_asked_for_a_password_is_nobody(answer: str, status: str) -> None:
    assert find("SEC-ACL-001", Story().probe("nobody", address="redis-1:1", answer=answer)).status == status


def test_a_default_user_with_a_password_is_on() -> None:
    story = Story().probe("default", address="redis-1:1", answer="refused: WRONGPASS")
    assert find("SEC-ACL-001", story.probe("default user", address="redis-1:1", on=False)).status == "pass"
    assert find("SEC-ACL-001", story.probe("default user", address="redis-2:1", on=True)).status == "fail"


def test_every_node_has_to_refuse_what_is_dangerous() -> None:
    first = {"address": "redis-1:1", "command": "KEYS x", "answer": NOPERM}
    other = {"address": "redis-2:1", "command": "KEYS x", "answer": "[]"}
    assert find("SEC-ACL-002", Story().probe("dangerous", **first).probe("dangerous", **other)).status == "fail"
    away = {**other, "answer": "not reached: timed out"}
    assert find("SEC-ACL-002", Story().probe("dangerous", **first).probe("dangerous", **away)).status == "unknown"


def of(requirement: str) -> Requirement:
    return next(each for each in register().requirements if each.id == requirement)


def test_a_judge_that_fails_says_nothing_of_the_target() -> None:
    found = judge(of("SES-LIMIT-001"), {"crowd-01.jsonl": Story().call("create", (0, 1), {}, {}).history})
    assert found.status == "error"
    assert found.actual.startswith("the judge failed: KeyError")


def test_what_was_seen_to_be_broken_is_told_although_the_run_broke_off() -> None:
    lost, kept = (outage().create("s1", 0, 1).audit("s1", 9, 10, alive=alive).history for alive in (False, True))
    assert judge(of("HA-KILL-002"), {"kill_primary-01.jsonl": lost}, "EngineError: no docker").status == "fail"
    assert judge(of("HA-KILL-002"), {"kill_primary-01.jsonl": kept}, "EngineError: no docker").status == "error"


def test_a_requirement_that_was_asked_for_has_to_be_examined() -> None:
    results = [Result(of("SES-TTL-002"), "pass"), Result(of("HA-KILL-001"), "not_supported")]
    assert verdict(results, frozenset({"SES-TTL-002"})) == "conformant"
    assert verdict(results, frozenset({"SES-TTL-002", "HA-KILL-001"})) == "inconclusive"
