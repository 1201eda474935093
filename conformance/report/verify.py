"""Computes the verdict of a report again, from its histories."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from conformance.history import History
from conformance.report import HISTORIES, JSON
from conformance.report.model import Line, Report, rejudged
from conformance.run import Result, judge

JUDGED = {"pass", "fail", "unknown"}


class ReportError(ValueError):
    """The directory holds no report that can be checked."""


@dataclass(frozen=True)
class Verified:
    """What came out: the exit code that the histories give, and where the report says otherwise."""

    exit_code: int
    differences: tuple[str, ...]


def read(directory: Path) -> Report:
    """Read a report without its histories.

    Raises:
        ReportError: there is none, or one of another schema.
    """
    try:
        return Report.model_validate_json((directory / JSON).read_bytes())
    except (OSError, ValidationError) as error:
        raise ReportError(f"{directory}: not a report that can be checked: {error}") from error


def verify(directory: Path) -> Verified:
    """Judge every requirement of a report again.

    Raises:
        ReportError: no report, of another schema, or its histories are missing or broken.
    """
    report = read(directory)
    now = _judged_again(report, directory)
    differences = [
        f"{line.requirement.id}: the report says {line.status}, the histories say {seen.status} ({seen.actual})"
        for line, seen in zip(report.requirements, now.requirements, strict=True)
        if line.status != seen.status
    ]
    if now.exit_code != report.exit_code and not differences:
        differences.append(f"the report says exit code {report.exit_code}, its results say {now.exit_code}")
    return Verified(now.exit_code, tuple(differences))


def judged_again(directory: Path) -> Report:
    """The report as the judges of this version see its histories.

    Raises:
        ReportError: as `verify`.
    """
    return _judged_again(read(directory), directory)


def _judged_again(report: Report, directory: Path) -> Report:
    results = [
        again(line, {file: directory / HISTORIES / file for file in line.histories}) for line in report.requirements
    ]
    return rejudged(report, results)


def again(line: Line, files: Mapping[str, Path]) -> Result:
    """Judge a requirement by histories, if it was judged at all.

    Raises:
        ReportError: a history is missing or broken.
    """
    if line.status not in JUDGED:
        return Result(
            line.requirement, line.status, line.expected, line.actual, line.evidence, line.experiment, line.histories
        )
    try:
        return judge(line.requirement, {name: History.read(path) for name, path in files.items()})
    except FileNotFoundError as error:
        raise ReportError(
            f"{error.filename}: missing; a report that was kept without its histories cannot be checked: "
            "make both again with conformance run"
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise ReportError(f"{line.requirement.id}: its histories cannot be judged: {error!r}") from error
