"""report.html: one file for people. What failed stands first, with what was expected and what was seen."""

from collections.abc import Iterable
from html import escape
from pathlib import Path

from conformance.checkers.gaps import longest_gap
from conformance.history import History
from conformance.report.model import Line, Report
from conformance.report.outages import HEAD, outages
from conformance.report.timeline import timeline

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem }
td, th { text-align: left; vertical-align: top; padding: .25rem .6rem; border-bottom: 1px solid #ddd }
code { white-space: nowrap } small { color: #666 }
.pass, .conformant { color: #17662b } .fail, .violation, .error { color: #a40000; font-weight: 600 }
.unknown, .partial, .skipped, .inconclusive { color: #8a5a00 } .not_supported { color: #777 }
svg { width: 100%; background: #fafafa; border: 1px solid #eee } svg text { font-size: 11px; fill: #444 }
.bars rect { fill: #9db9d8 } .slow { fill: none; stroke: #b0562d } .faults line { stroke: #a40000; }
"""


def page(report: Report, histories: Path) -> str:
    """The page; timelines are drawn from the histories in that directory."""
    made = report.implementation
    failed = [line for line in report.requirements if line.status in {"fail", "error", "unknown"}]
    body = [
        f'<h1>Conformance: <span class="{report.verdict}">{report.verdict}</span></h1>',
        f"<p>{_text(made.name)} ({_text(made.kind)}), {report.date}, {report.seconds:g} s</p>",
        _table(("profile", "result", "requirements"), [_profile_row(report, n) for n in range(len(report.profiles))]),
        *_outages(report),
        *(["<h2>Not passed</h2>", *map(_failure, failed)] if failed else []),
        "<h2>Requirements</h2>",
        _table(("id", "result", "requirement", "evidence"), map(_row, report.requirements)),
        "<h2>Timelines</h2>",
        *_timelines(report, histories),
        "<h2>Run</h2>",
        _table(("what", "value"), [(_text(name), _text(value)) for name, value in _facts(report)]),
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Conformance report</title>'
        f"<style>{STYLE}</style><body>{''.join(body)}</body></html>\n"
    )


def _profile_row(report: Report, number: int) -> tuple[str, ...]:
    profile = report.profiles[number]
    counts = ", ".join(f"{count} {status}" for status, count in profile.counts.items())
    return (_text(profile.name), _status(profile.result), counts)


def _row(line: Line) -> tuple[str, ...]:
    requirement = line.requirement
    evidence = ", ".join(f"{name} {value}" for name, value in line.evidence.items()) or line.actual
    return (
        f"<code>{requirement.id}</code>",
        _status(line.status),
        f"{_text(requirement.sentence)}<br><small>{_text(requirement.source)}</small>",
        _text(evidence),
    )


def _failure(line: Line) -> str:
    return (
        f"<p><code>{line.requirement.id}</code> {_status(line.status)} {_text(line.requirement.sentence)}<br>"
        f"expected: {_text(line.expected)}<br>actual: {_text(line.actual)}<br>"
        f"<small>histories: {_text(', '.join(line.histories))}</small></p>"
    )


def _outages(report: Report) -> list[str]:
    """Nothing where nothing was done to the target."""
    rows = [tuple(map(_text, row)) for row in outages(report.requirements)]
    return ["<h2>Faults</h2>", _table(HEAD, rows)] if rows else []


def _timelines(report: Report, histories: Path) -> list[str]:
    """Of each experiment with faults, that of the turn with the longest gap."""
    found = []
    for name, files in {line.experiment: line.histories for line in report.requirements if line.histories}.items():
        read = {file: history for file in files if (history := History.read(histories / file)).faults}
        if read:
            worst = max(read, key=lambda file: longest_gap(read[file]))
            found.append(f"<h3>{_text(name)}, {_text(worst)} of {len(files)}</h3>{timeline(read[worst])}")
    return found


def _facts(report: Report) -> list[tuple[str, str]]:
    made = report.implementation
    return [
        *(("version of " + name, value) for name, value in made.versions.items()),
        *report.engine.items(),
        ("features", ", ".join(made.features)),
        *report.config.items(),
    ]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return "<table><tr>" + "".join(f"<th>{each}</th>" for each in head) + f"</tr>{lines}</table>"


def _status(status: str) -> str:
    return f'<span class="{status}">{status.replace("_", " ")}</span>'


def _text(value: object) -> str:
    return escape(str(value))
