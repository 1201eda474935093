"""Computes the verdict of a report again, from its histories."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from conformance.history import History
from conformance.report import HISTORIES, JSON
from conformance.report.model import Line, Report
from conformance.run import Result, judge
from conformance.verdict import EXIT_CODES, verdict

JUDGED = {"pass", "fail", "unknown"}


class ReportError(ValueError):
    """The directory holds no report that can be checked."""


@dataclass(frozen=True)
class Verified:
    """What came out: the exit code that the histories give, and where the report says otherwise."""

    exit_code: int
    differences: tuple[str, ...]


def verify(directory: Path) -> Verified:
    """Judge every requirement of a report again.

    Raises:
        ReportError: no report, of another schema, or its histories are missing or broken.
    """
    try:
        report = Report.model_validate_json((directory / JSON).read_bytes())
        results = [_again(directory, line) for line in report.requirements]
    except (OSError, ValidationError, ValueError, KeyError) as error:
        raise ReportError(f"{directory}: not a report that can be checked: {error}") from error
    differences = [
        f"{line.requirement.id}: the report says {line.status}, the histories say {result.status} ({result.actual})"
        for line, result in zip(report.requirements, results, strict=True)
        if line.status != result.status
    ]
    code = EXIT_CODES[verdict(results, frozenset(report.config["profiles"].split()))]
    if code != report.exit_code and not differences:
        differences.append(f"the report says exit code {report.exit_code}, its results say {code}")
    return Verified(code, tuple(differences))


def _again(directory: Path, line: Line) -> Result:
    if line.status not in JUDGED:
        return Result(line.requirement, line.status, actual=line.actual)
    histories = {file: History.read(directory / HISTORIES / file) for file in line.histories}
    return judge(line.requirement, histories)
