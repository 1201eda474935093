"""Several runs of one target side by side, and the histories of all of them judged as those of one long run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.report import HISTORIES
from conformance.report.model import Line, Report
from conformance.report.outages import HEAD, outages
from conformance.report.verify import again, read
from conformance.run import Result
from conformance.verdict import EXIT_CODES


@dataclass(frozen=True)
class Comparison:
    """What came out: each report by name, where they disagree, and what all histories together say of what was done."""

    reports: dict[str, Report]
    differences: tuple[str, ...]
    together: tuple[Result, ...]

    @property
    def agree(self) -> bool:
        """All have the same verdict, and the same word on each MUST that they could examine."""
        return len({report.verdict for report in self.reports.values()}) == 1 and not self.differences

    @property
    def exit_code(self) -> int:
        """That of all runs; that of an inconclusive one where they disagree."""
        return next(iter(self.reports.values())).exit_code if self.agree else EXIT_CODES["inconclusive"]


def compare(directories: Sequence[Path]) -> Comparison:
    """Read the reports with their histories.

    Raises:
        ReportError: one of them cannot be checked.
    """
    reports = {str(directory): read(directory) for directory in directories}
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
        line.requirement.id: line
        for report in reports.values()
        for line in report.requirements
        if "faults" in line.evidence
    }
    together = tuple(again(line, _histories(directories, reports, line)) for line in struck.values())
    return Comparison(reports, differences, together)


def _histories(directories: Sequence[Path], reports: dict[str, Report], line: Line) -> dict[str, Path]:
    return {
        f"{directory}/{file}": directory / HISTORIES / file
        for directory in directories
        for each in reports[str(directory)].requirements
        if each.requirement.id == line.requirement.id
        for file in each.histories
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
        "Every run has the same verdict, and the same word on each MUST." if found.agree else "The runs disagree:",
        "",
        *(f"* {each}" for each in found.differences),
    ]
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
