"""The directory that a run leaves: report.json, junit.xml, report.html and the histories."""

import hashlib
from pathlib import Path

from conformance.report.html import page
from conformance.report.junit import junit
from conformance.report.model import Report

HISTORIES = "histories"
JSON = "report.json"


FORMS = (JSON, "junit.xml", "report.html")


def write(report: Report, directory: Path) -> None:
    """Write the three forms of a report beside its histories, and into it the digests of these."""
    files = dict.fromkeys(file for line in report.requirements for file in line.histories)
    sealed = report.model_copy(
        update={"schema_version": 2, "histories": {file: digest(directory / HISTORIES / file) for file in files}}
    )
    texts = (sealed.model_dump_json(indent=2) + "\n", junit(sealed), page(sealed, directory / HISTORIES))
    for name, text in zip(FORMS, texts, strict=True):
        (directory / name).write_text(text, encoding="utf-8")


def clear(directory: Path) -> None:
    """Remove what an earlier run has left, so that nothing there is taken for what comes of this one."""
    (directory / HISTORIES).mkdir(parents=True, exist_ok=True)
    for left in (*(directory / name for name in FORMS), *(directory / HISTORIES).glob("*.jsonl")):
        left.unlink(missing_ok=True)


def digest(history: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(history.read_bytes()).hexdigest()
