"""Writes docs/reports/mutation.json and mutation.md."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from session_core import library
from tests.mutation.survivors import REASONS

LEAST = 0.9
Result = Mapping[str, Any]


def write(directory: Path, environment: Mapping[str, Any], file: str, results: Sequence[Result]) -> str:
    """Replace the results of one file in the report; returns what is wrong with it, or nothing."""
    path = directory / "mutation.json"
    known = json.loads(path.read_text())["mutants"] if path.exists() else []
    merged = [*(one for one in known if one["file"] != file), *results]
    merged.sort(key=lambda one: (one["file"], one["line"], one["after"]))
    path.write_text(json.dumps({"environment": environment, "mutants": merged}, indent=1) + "\n")

    survivors = [one for one in merged if not one["killed_by"]]
    unexplained = [one for one in survivors if not _reason(one)]
    killed = len(merged) - len(survivors)
    rows = [
        f"| `{_place(one)}` | `{_code(one['before'])}` | `{_code(one['after'])}` | {_reason(one)} |"
        for one in survivors
    ]
    counts = []
    for name in library.FILES:
        mine = [one for one in merged if one["file"] == name]
        counts.append(f"| {name}.lua | {len(mine) or 'not run'} | {sum(bool(one['killed_by']) for one in mine)} |")
    (directory / "mutation.md").write_text(
        f"""# Mutants of the Lua

Made by `{environment["made_by"]}` on {environment["at"]}: image {environment["image"]}, library revision
{environment["library_revision"]}. Each guard of `session_core/functions/` was removed, forced or negated, each
comparison and bound moved by one; a mutant is killed if a test of the contract fails.

**{killed} of {len(merged)} mutants killed ({killed / len(merged):.1%}).**

| file | mutants | killed |
|---|---|---|
{chr(10).join(counts)}

| survivor | was | became | why it survives |
|---|---|---|---|
{chr(10).join(rows)}
"""
    )
    if unexplained:
        return "survivors without a reason in tests/mutation/survivors.py:\n" + "\n".join(map(_place, unexplained))
    return "" if killed >= LEAST * len(merged) else f"only {killed} of {len(merged)} mutants were killed"


def _reason(result: Result) -> str:
    return REASONS.get((result["file"], result["after"]), "")


def _place(result: Result) -> str:
    return f"{result['file']}.lua:{result['line']}"


def _code(text: str) -> str:
    return text.replace("|", "\\|")
