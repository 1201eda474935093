"""From results to the verdict: of each profile, and of the whole run with its exit code."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from conformance.run import Result

Summary = Literal["pass", "fail", "partial", "not_supported", "error"]
Verdict = Literal["conformant", "violation", "inconclusive", "error"]
EXIT_CODES: Mapping[Verdict, int] = {"conformant": 0, "violation": 1, "inconclusive": 2, "error": 3}


def summary(results: Iterable[Result]) -> Summary:
    """Of one profile. A MUST that was skipped, or without evidence, leaves it partial, never passed."""
    found = list(results)
    must = Counter(each.status for each in found if each.requirement.level == "MUST")
    if must["fail"]:
        return "fail"
    if any(each.status == "error" for each in found):
        return "error"
    if must["skipped"] or must["unknown"]:
        return "partial"
    return "pass" if must["pass"] else "not_supported"


def by_profile(results: Sequence[Result]) -> Mapping[str, list[Result]]:
    """Results by profile, in the order of the register."""
    names = dict.fromkeys(each.requirement.profile for each in results)
    return {name: [each for each in results if each.requirement.profile == name] for name in names}


def verdict(results: Sequence[Result], asked: frozenset[str] = frozenset()) -> Verdict:
    """Of the whole run. A profile or requirement that was asked for by name has to be one that can be examined."""
    found = {name: summary(those) for name, those in by_profile(results).items()}
    if "fail" in found.values():
        return "violation"
    if "error" in found.values():
        return "error"
    missing = any(found.get(name) == "not_supported" for name in asked)
    missing |= any(each.requirement.id in asked and each.status == "not_supported" for each in results)
    complete = "partial" not in found.values() and "pass" in found.values() and not missing
    return "conformant" if complete else "inconclusive"
