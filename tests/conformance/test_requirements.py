"""The register of requirements, its judges, and the verdict that they come to."""

from collections.abc import Sequence
from typing import Any, get_args

import pytest

from conformance import experiments
from conformance.requirements import TESTS, Requirement, judges, register
from conformance.run import Choice, Result, Status
from conformance.verdict import EXIT_CODES, summary, verdict
from infra.outputs import Feature
from tests.conformance.made import entries

OWN_FEATURES = {
    *("exclusive", "listening", "stop", "handover", "failover"),
    *("fill_disk", "renew_certificates", "prometheus"),
}
"""Beside those that outputs claim: what the suite finds out or can do itself."""


def test_every_requirement_has_a_judge_and_every_judge_a_requirement() -> None:
    assert experiments.__all__
    assert {each.id for each in register().requirements} == TESTS.keys()


def test_ids_are_unique_and_every_profile_is_described_and_used() -> None:
    ids = [each.id for each in register().requirements]

    assert len(ids) == len(set(ids))
    assert {each.profile for each in register().requirements} == register().profiles.keys()


@pytest.mark.parametrize("requirement", register().requirements, ids=lambda each: each.id)
def test_a_requirement_is_one_sentence_with_its_level_in_it(requirement: Requirement) -> None:
    assert f" {requirement.level} " in requirement.sentence
    assert requirement.sentence.endswith(".")
    assert register().needs(requirement) <= {*get_args(Feature), *OWN_FEATURES}


def test_every_must_has_something_that_breaks_it() -> None:
    must = {each.id for each in register().requirements if each.level == "MUST"}

    assert must - {each for broken in entries() for each in broken["fails"]} == set()


def test_a_requirement_has_one_judge() -> None:
    with pytest.raises(ValueError, match="SES-TTL-001 has two judges"):
        judges(TESTS["SES-TTL-001"].experiment, "SES-TTL-001")(TESTS["SES-TTL-001"].judge)


def results(*statuses: Status, level: str = "MUST", profile: str = "P") -> list[Result]:
    made: Any = {"profile": profile, "sentence": f"It {level} hold.", "source": "here", "level": level}
    return [Result(Requirement(id=f"AB-TEST-{number:03}", **made), status) for number, status in enumerate(statuses, 1)]


@pytest.mark.parametrize(
    ("statuses", "told"),
    [
        (["pass", "pass"], "conformant"),
        (["pass", "not_supported"], "conformant"),
        (["pass", "fail", "error", "unknown"], "violation"),
        (["pass", "error", "skipped"], "error"),
        (["pass", "skipped"], "inconclusive"),
        (["pass", "unknown"], "inconclusive"),
        (["not_supported"], "inconclusive"),
        ([], "inconclusive"),
    ],
)
def test_the_worst_requirement_decides(statuses: Sequence[Status], told: str) -> None:
    assert verdict(results(*statuses)) == told


def test_every_verdict_has_an_exit_code_of_its_own() -> None:
    assert EXIT_CODES == {"conformant": 0, "violation": 1, "inconclusive": 2, "error": 3}


def test_a_should_that_fails_is_reported_and_decides_nothing() -> None:
    found = [*results("pass"), *results("fail", level="SHOULD")]

    assert verdict(found) == "conformant"
    assert summary(found) == "pass"


@pytest.mark.parametrize("status", ["skipped", "unknown"])
def test_a_must_that_was_not_examined_leaves_its_profile_partial(status: Status) -> None:
    assert summary(results("pass", status)) == "partial"


def test_a_profile_that_was_asked_for_and_cannot_be_examined_is_no_pass() -> None:
    found = [*results("pass"), *results("not_supported", profile="HA")]

    assert verdict(found) == "conformant"
    assert verdict(found, frozenset({"HA"})) == "inconclusive"


def test_what_is_named_is_chosen() -> None:
    [one] = results("pass")

    assert Choice().has(one.requirement)
    assert Choice(profiles=frozenset({"P"})).has(one.requirement)
    assert Choice(ids=frozenset({"AB-TEST-001"})).has(one.requirement)
    assert not Choice(profiles=frozenset({"Q"})).has(one.requirement)
