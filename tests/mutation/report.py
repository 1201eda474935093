"""docs/reports/mutation.json and mutation.md: for each file of the Lua its mutants, and the text that they are of."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from session_core import library
from tests.mutation.survivors import REASONS

REPORTS = Path(__file__).parents[2] / "docs/reports"
LEAST = 0.9
MADE_BY = "python -m tests.mutation"
Result = Mapping[str, Any]
"""line, before, after, killed_by: the test that failed, or nothing."""


@dataclass(frozen=True)
class Report:
    """By file: `sha256` of the Lua, `at`, `image`, `python`, and the results `mutants`."""

    files: dict[str, dict[str, Any]]

    @classmethod
    def read(cls) -> Self:
        """What the last runs have found."""
        path = REPORTS / "mutation.json"
        return cls(json.loads(path.read_text())["files"] if path.exists() else {})

    def is_current(self, file: str) -> bool:
        """Whether the results are of the Lua as it is now."""
        return self.files.get(file, {}).get("sha256") == _digest(file)

    def settled(self, file: str) -> list[Result]:
        """The mutants of the Lua as it is now that a test has found, or that are explained."""
        found = self.files[file]["mutants"] if self.is_current(file) else []
        return [one for one in found if one["killed_by"] or _key(file, one) in REASONS]

    def replace(self, file: str, results: Sequence[Result], environment: Mapping[str, str]) -> None:
        """Write the results of one file beside those of the others."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self.files[file] = {"sha256": _digest(file), "at": at, **environment, "mutants": list(results)}
        known = {"made_by": MADE_BY, "files": {name: self.files[name] for name in library.FILES if name in self.files}}
        (REPORTS / "mutation.json").write_text(json.dumps(known, indent=1) + "\n")
        (REPORTS / "mutation.md").write_text(self._page())

    def summary(self) -> str:
        """Return one sentence."""
        mutants = [one for file in self.files.values() for one in file["mutants"]]
        killed = sum(bool(one["killed_by"]) for one in mutants)
        return f"{killed} of {len(mutants)} mutants killed ({killed / max(len(mutants), 1):.1%})."

    def problems(self) -> str:
        """Return what is missing: results, reasons, or tests that kill; a line each."""
        found = [
            f"{file}.lua has changed since it was tried: {MADE_BY} --resume"
            for file in library.FILES
            if not self.is_current(file)
        ]
        for file, one in self._survivors():
            if _key(file, one) not in REASONS:
                found.append(f"{file}.lua:{one['line']}: no reason in tests/mutation/survivors.py: {one['after']}")
        surviving = {_key(file, one) for file, one in self._survivors()}
        found += [
            f"{reason[0]}.lua: a reason for nothing: {reason[2]}" for reason in REASONS if reason not in surviving
        ]
        total = sum(len(file["mutants"]) for file in self.files.values())
        if len(self._survivors()) > (1 - LEAST) * total:
            found.append(f"fewer than {LEAST:.0%} were killed: {self.summary()}")
        return "\n".join(found)

    def _survivors(self) -> list[tuple[str, Result]]:
        return [(name, one) for name, file in self.files.items() for one in file["mutants"] if not one["killed_by"]]

    def _page(self) -> str:
        counts = [
            f"| {name}.lua | {len(file['mutants'])} | {sum(bool(one['killed_by']) for one in file['mutants'])} "
            f"| {file['image']} | {file['at']} |"
            for name, file in self.files.items()
        ]
        survivors = [
            f"| `{name}.lua:{one['line']}` | `{_code(one['before'])}` | `{_code(one['after'])}` "
            f"| {REASONS.get(_key(name, one), '')} |"
            for name, one in self._survivors()
        ]
        return f"""# Mutants of the Lua

Made by `{MADE_BY}`. Each guard of `session_core/functions/` was removed, forced or negated, each comparison and bound
moved by one; a mutant is killed if a test of the contract fails.

**{self.summary()}**

| file | mutants | killed | image | at |
|---|---|---|---|---|
{chr(10).join(counts)}

| survivor | was | became | why it survives |
|---|---|---|---|
{chr(10).join(survivors)}
"""


def _digest(file: str) -> str:
    return sha256(files("session_core").joinpath("functions", f"{file}.lua").read_bytes()).hexdigest()


def _key(file: str, one: Result) -> tuple[str, str, str]:
    return file, one["before"], one["after"]


def _code(text: str) -> str:
    return text.replace("|", "\\|")
