"""Computes the verdict of a report again: what was asked for by the register, what came of it by the histories."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from conformance.config import by_field
from conformance.history import History
from conformance.report import HISTORIES, JSON, digest
from conformance.report.model import Line, ProfileLine, Report, rejudged
from conformance.requirements import TESTS, Requirement, register
from conformance.run import Choice, Result, judge


class ReportError(ValueError):
    """The directory holds no report that can be checked; the message says why."""


@dataclass(frozen=True)
class Verified:
    """What came out: the exit code that the histories give, and where the report says otherwise."""

    report: Report
    exit_code: int
    differences: tuple[str, ...]


def read(directory: Path) -> Report:
    """Read a report without its histories.

    Raises:
        ReportError: there is none, or one of another schema.
    """
    try:
        return Report.model_validate_json((directory / JSON).read_bytes())
    except OSError as error:
        raise ReportError(f"{directory}: not a report that can be checked: {error}") from None
    except ValidationError as error:
        raise ReportError(f"{directory / JSON}: not a report that can be checked\n{by_field(error)}") from None


def verify(directory: Path) -> Verified:
    """Judge every requirement again that the report was asked for.

    Raises:
        ReportError: no report, of another schema, or its histories are missing, broken, or not those of the run.
    """
    report = read(directory)
    now = _judged_again(report, directory)
    told, seen = ({line.requirement.id: line for line in each.requirements} for each in (report, now))
    differences = [f"{name}: asked for, and not in the report" for name in seen if name not in told]
    more = Counter(line.requirement.id for line in report.requirements) - Counter(seen.keys())
    differences += [f"{name}: in the report, and not asked for" for name in more]
    both = [name for name in seen if name in told]
    differences += [f"{name}: {each}" for name in both for each in _differences(told[name], seen[name])]
    return Verified(report, now.exit_code, tuple(differences or _outcome(report, now)))


def _differences(told: Line, seen: Line) -> Iterator[str]:
    if told.requirement.level != seen.requirement.level:
        yield f"the report says level {told.requirement.level}, the register says {seen.requirement.level}"
    if told.status != seen.status:
        yield f"the report says {told.status}, the histories say {seen.status} ({seen.actual})"
    if told.histories != seen.histories:
        files, others = (" ".join(each.histories) or "nothing" for each in (told, seen))
        yield f"the report says judged by {files}, the histories say {others}"
    for name, value in told.evidence.items():
        if value != (now := seen.evidence.get(name, "nothing")):
            yield f"the report says {name} {value}, the histories say {now}"


def _outcome(report: Report, now: Report) -> Iterator[str]:
    for name in ("verdict", "exit_code", "profiles"):
        told, seen = (_text(getattr(each, name)) for each in (report, now))
        if told != seen:
            yield f"the report says {name.replace('_', ' ')} {told}, its results say {seen}"


def _text(value: object) -> str:
    return "; ".join(map(_profile, value)) if isinstance(value, tuple) else str(value)


def _profile(line: ProfileLine) -> str:
    return f"{line.name}: " + ", ".join([line.result, *(f"{count} {status}" for status, count in line.counts.items())])


def judged_again(directory: Path) -> Report:
    """The report as the judges of this version see its histories.

    Raises:
        ReportError: as `verify`.
    """
    return _judged_again(read(directory), directory)


def _judged_again(report: Report, directory: Path) -> Report:
    for file, recorded in report.histories.items():
        with _readable(file):
            if digest(directory / HISTORIES / file) != recorded:
                raise ReportError(f"{directory / HISTORIES / file}: not the history that the report was made from")
    profiles, ids = (frozenset(report.config.get(name, "").split()) for name in ("profiles", "ids"))
    choice = Choice(profiles, ids)
    wanted = [each for each in register().requirements if choice.has(each)]
    return rejudged(report, [_result(each, report, directory) for each in wanted])


def _result(requirement: Requirement, report: Report, directory: Path) -> Result:
    """What came of one requirement; what the report says of it decides only whether it was examined, if that can be."""
    line = next((each for each in report.requirements if each.requirement.id == requirement.id), None)
    if line and _left_out(requirement, line, report):
        return Result(requirement, line.status, line.expected, line.actual)
    recorded = report.histories or dict.fromkeys(file for each in report.requirements for file in each.histories)
    name = TESTS[requirement.id].name
    files = {file: directory / HISTORIES / file for file in recorded if re.fullmatch(rf"{name}-\d+\.jsonl", file)}
    if line is None and not files:
        return Result(requirement, "skipped", actual="not in the report")
    return again(requirement, files, line.actual if line and line.status == "error" else "")


def _left_out(requirement: Requirement, line: Line, report: Report) -> bool:
    """Whether it was not examined for a reason that the report bears out."""
    if line.status == "not_supported":
        return bool(register().needs(requirement) - set(report.implementation.features))
    allowed = report.config.get("allow_disruptive") == "yes"  # the first version does not tell
    return line.status == "skipped" and register().profiles[requirement.profile].disruptive and not allowed


def again(requirement: Requirement, files: Mapping[str, Path], broken: str = "") -> Result:
    """Judge a requirement by histories, by the names that they shall have; `broken` says why there are not all.

    Raises:
        ReportError: a history is missing or broken.
    """
    with _readable(requirement.id):
        return judge(requirement, {name: History.read(path) for name, path in files.items()}, broken)


@contextmanager
def _readable(what: str) -> Iterator[None]:
    try:
        yield
    except ReportError:
        raise
    except FileNotFoundError as error:
        raise ReportError(
            f"{error.filename}: missing; a report that was kept without its histories cannot be checked: "
            "make both again with conformance run"
        ) from error
    except Exception as error:  # whatever a judge stumbles over that was not recorded so
        raise ReportError(f"{what}: its histories cannot be judged: {error!r}") from error
