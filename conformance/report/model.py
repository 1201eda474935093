"""report.json: the machine's form. A change of its fields is a new schema version."""

import math
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from conformance.requirements import Requirement
from conformance.run import Choice, Result, Status
from conformance.targets import Target
from conformance.verdict import EXIT_CODES, Summary, Verdict, by_profile, summary, verdict

HIDDEN = "[redacted]"
NEVER = "never"
"""In place of the seconds until something that did not come, which JSON has no number for."""
UNPRINTABLE = re.compile("\x1b\\[[0-9;]*[A-Za-z]|[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Colours of a terminal, and what XML 1.0 has no character for."""


def _printable(text: str) -> str:
    return UNPRINTABLE.sub("", text)


def _figure(value: object) -> object:
    """The same, or NEVER; earlier versions wrote null for that."""
    return NEVER if value is None or (isinstance(value, float) and not math.isfinite(value)) else value


Text = Annotated[str, AfterValidator(_printable)]
Figure = Annotated[float | int | Text, BeforeValidator(_figure)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Line(_Frozen):
    """One requirement and what came of it."""

    requirement: Requirement
    status: Status
    expected: Text
    actual: Text
    evidence: Mapping[str, Figure]
    experiment: str
    histories: tuple[str, ...]


class ProfileLine(_Frozen):
    """One profile: its result, and how many requirements ended how."""

    name: str
    result: Summary
    counts: Mapping[str, int]


class Implementation(_Frozen):
    """What was examined."""

    kind: str
    name: str
    features: tuple[str, ...]
    versions: Mapping[str, str]


class Report(_Frozen):
    """A whole run."""

    schema_version: Literal[1, 2] = 2
    """1 had no `histories`."""
    verdict: Verdict
    exit_code: int
    date: str
    """When the run began, UTC, ISO 8601."""
    seconds: float
    implementation: Implementation
    engine: Mapping[str, str]
    """Versions of the suite and of Python, and the machine that they ran on."""
    config: Mapping[str, str]
    """Settings of the run and of the connection, without secrets."""
    profiles: tuple[ProfileLine, ...]
    requirements: tuple[Line, ...]
    histories: Mapping[str, str] = {}
    """SHA-256 of each history by file, so that one which was cut short or changed is found out."""


@dataclass(frozen=True)
class Span:
    """When a run began, and how many seconds it took."""

    began: datetime
    seconds: float


def report(
    target: Target, software: Mapping[str, str], choice: Choice, results: Sequence[Result], span: Span
) -> Report:
    """Put a run together; `software` is name and version by node."""
    changed = dict(change.partition("=")[::2] for change in choice.changes)
    settings = {name.upper(): HIDDEN if _secret(name, value) else str(value) for name, value in target.connect.items()}
    asked = {
        "profiles": " ".join(sorted(choice.profiles)),
        "ids": " ".join(sorted(choice.ids)),
        "repeat": str(choice.repeat),
        "kills": str(choice.kills),
        "allow_disruptive": "yes" if choice.allow_disruptive else "no",
        "set": " ".join(f"{name}={HIDDEN if _secret(name, value) else value}" for name, value in changed.items()),
        "recovery_seconds": f"{choice.recovery_seconds:g}",
    }
    return Report(
        **_outcome(results, choice.profiles | choice.ids),
        date=span.began.astimezone(UTC).isoformat(timespec="seconds"),
        seconds=round(span.seconds, 1),
        implementation=Implementation(
            kind=target.kind, name=target.name, features=tuple(sorted(target.features)), versions=software
        ),
        engine={
            "conformance": version("redis-session-kit"),
            "python": platform.python_version(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        },
        config={**asked, **settings, "REDIS_CA_FILE": "given" if target.connect.get("redis_ca_file") else "none"},
    )


def rejudged(former: Report, results: Sequence[Result]) -> Report:
    """The report of the same run, as other judges see it."""
    asked = frozenset(f"{former.config['profiles']} {former.config['ids']}".split())
    return former.model_copy(update=_outcome(results, asked))


def _outcome(results: Sequence[Result], profiles: frozenset[str]) -> dict[str, Any]:
    found = verdict(results, profiles)
    return {
        "verdict": found,
        "exit_code": EXIT_CODES[found],
        "profiles": tuple(_profile(name, those) for name, those in by_profile(results).items()),
        "requirements": tuple(line_of(each) for each in results),
    }


def _profile(name: str, results: Sequence[Result]) -> ProfileLine:
    statuses = [each.status for each in results]
    return ProfileLine(
        name=name, result=summary(results), counts={each: statuses.count(each) for each in dict.fromkeys(statuses)}
    )


def line_of(result: Result) -> Line:
    """A result as the report has it."""
    return Line(
        requirement=result.requirement,
        status=result.status,
        expected=result.expected,
        actual=result.actual,
        evidence=result.evidence,
        experiment=result.experiment,
        histories=result.histories,
    )


def _secret(name: str, value: object) -> bool:
    return "password" in name.lower() or (name == "redis_url" and "@" in str(value))
