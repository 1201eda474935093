"""The directory that a run leaves: report.json, junit.xml, report.html and the histories."""

from pathlib import Path

from conformance.report.html import page
from conformance.report.junit import junit
from conformance.report.model import Report

HISTORIES = "histories"
JSON = "report.json"


def write(report: Report, directory: Path) -> None:
    """Write the three forms of a report beside its histories."""
    (directory / JSON).write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (directory / "junit.xml").write_text(junit(report), encoding="utf-8")
    (directory / "report.html").write_text(page(report, directory / HISTORIES), encoding="utf-8")
