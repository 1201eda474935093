"""Several runs of one target side by side, and the histories of all of them judged as those of one long run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.report import HISTORIES
from conformance.report.model import Line, Report, line_of
from conformance.report.outages import HEAD, outages
from conformance.report.verify import ReportError, again, read, verify
from conformance.requirements import Requirement
from conformance.verdict import EXIT_CODES


@dataclass(frozen=True)
class Comparison:
    """What came out.

    Attributes:
        reports: by the name of the directory.
        differences: where they disagree.
        kept: those that were kept without their histories, which nothing was computed again from.
        together: what all histories together say of what was done to the targets.
    """

    reports: dict[str, Report]
    differences: tuple[str, ...]
    kept: tuple[str, ...]
    together: tuple[Line, ...]

    @property
    def agree(self) -> bool:
        """All have the same verdict, and the same word on each MUST that they could examine."""
        return len({report.verdict for report in self.reports.values()}) == 1 and not self.differences

    @property
    def exit_code(self) -> int:
        """That of all runs; that of an inconclusive one where they disagree."""
        return next(iter(self.reports.values())).exit_code if self.agree else EXIT_CODES["inconclusive"]


def compare(directories: Sequence[Path]) -> Comparison:
    """Read the reports, and check each by its histories where it has them.

    Raises:
        ReportError: one of them cannot be read or checked, or does not say what its histories say.
    """
    whole = {str(each): each for each in directories if (each / HISTORIES).is_dir()}
    reports = {str(each): _checked(each) if str(each) in whole else read(each) for each in directories}
    said: dict[str, dict[str, list[str]]] = {}
    for name, report in reports.items():
        for line in report.requirements:
            if line.requirement.level == "MUST" and line.status != "not_supported":
                said.setdefault(line.requirement.id, {}).setdefault(line.status, []).append(name)
    differences = tuple(
        f"{each}: " + ", ".join(f"{status} in {' '.join(names)}" for status, names in statuses.items())
        for each, statuses in said.items()
        if len(statuses) > 1
    )
    struck = {
        line.requirement.id: line.requirement
        for name in whole
        for line in reports[name].requirements
        if "faults" in line.evidence
    }
    together = tuple(line_of(again(each, _histories(whole, reports, each))) for each in struck.values())
    return Comparison(reports, differences, tuple(name for name in reports if name not in whole), together)


def _checked(directory: Path) -> Report:
    found = verify(directory)
    if found.differences:
        raise ReportError(f"{directory}: {found.differences[0]}; see: conformance verify-report {directory}")
    return found.report


def _histories(whole: dict[str, Path], reports: dict[str, Report], requirement: Requirement) -> dict[str, Path]:
    return {
        f"{name}/{file}": directory / HISTORIES / file
        for name, directory in whole.items()
        for line in reports[name].requirements
        if line.requirement.id == requirement.id
        for file in line.histories
    }


def page(found: Comparison) -> str:
    """The comparison as Markdown."""
    versions = sorted({text for report in found.reports.values() for text in report.implementation.versions.values()})
    dates = sorted(report.date for report in found.reports.values())
    lines = [
        "# Several runs side by side",
        "",
        f"Made by `conformance compare` from {len(found.reports)} runs, {dates[0]} to {dates[-1]}.",
        f"Examined: {', '.join(versions)}.",
        "",
        "| run | asked for | verdict | s | requirements |",
        "|---|---|---|---|---|",
        *(_row(name, report) for name, report in found.reports.items()),
        "",
        "Every run has the same verdict, and the same word on each MUST that all could examine."
        if found.agree
        else "The runs disagree:",
        "",
        *(f"* {each}" for each in found.differences),
    ]
    if found.kept:
        lines += ["", f"Kept without histories, and therefore taken as they are: {', '.join(found.kept)}."]
    if found.together:
        lines += [
            "",
            "Judged by the histories of all of them together:",
            "",
            f"| {' | '.join(HEAD)} |",
            "|---" * len(HEAD) + "|",
            *(f"| {' | '.join(row)} |" for row in outages(found.together)),
        ]
    return "\n".join(lines) + "\n"


def _row(name: str, report: Report) -> str:
    statuses = [line.status for line in report.requirements]
    counts = ", ".join(f"{statuses.count(each)} {each}" for each in dict.fromkeys(statuses))
    asked = f"{report.config['profiles']} {report.config['ids']}".strip() or "all"
    return f"| {name} | {asked} | {report.verdict} | {report.seconds:g} | {counts} |"
