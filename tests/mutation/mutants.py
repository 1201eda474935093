"""Makes the mutants: each guard of the Lua removed or negated, each comparison moved by one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from session_core import library

CONDITION = re.compile(r"\b(?P<word>if|elseif|while|until) (?P<guard>.+?)(?= then| do$|$)")
SWAPS = {" <= ": " < ", " < ": " <= ", " >= ": " > ", " > ": " >= ", " == ": " ~= ", " ~= ": " == "}
COMPARISON = re.compile("|".join(map(re.escape, sorted(SWAPS, key=len, reverse=True))))
CONNECTION = {" and ": " or ", " or ": " and "}
OTHERS = {r"math\.min\(": "math.max(", r"'\('": "''", r" \+ 1(?!\])": " + 0", " - 1": " - 0"}
"""Bounds without an `if`: caps, exclusive ends of ranges, one more or less."""


@dataclass(frozen=True)
class Mutant:
    """One change: the file, its line (from 1), what stood there and what stands there now."""

    file: str
    line: int
    before: str
    after: str

    @property
    def name(self) -> str:
        return f"{self.file}.lua:{self.line}: {self.after.strip()}"

    def source(self) -> str:
        """The library with this change."""
        original = _lines(self.file)
        changed = [*original[: self.line - 1], self.after, *original[self.line :]]
        return library.source().replace("\n".join(original), "\n".join(changed))


def mutants(file: str) -> list[Mutant]:
    """All mutants of one file of session_core/functions, without repetitions."""
    found: dict[Mutant, None] = {}
    for number, line in enumerate(_lines(file), 1):
        code = line.partition("--")[0].rstrip()
        for after in _variants(code):
            if after != code:
                found[Mutant(file, number, code, after)] = None
    return list(found)


def _variants(code: str) -> Iterator[str]:
    for match in CONDITION.finditer(code):
        head, guard, tail = code[: match.start("guard")], match["guard"], code[match.end("guard") :]
        yield f"{head}{'true' if match['word'] == 'until' else 'false'}{tail}"
        if match["word"] in {"if", "elseif"}:
            yield f"{head}true{tail}"
            yield f"{head}not ({guard}){tail}"
        for part in re.split(r" and | or ", guard) if re.search(r" and | or ", guard) else []:
            yield f"{head}{guard.replace(part, f'not ({part})', 1)}{tail}"
    for pattern, swaps in ((COMPARISON, SWAPS), (re.compile(" and | or "), CONNECTION)):
        for match in pattern.finditer(code):
            yield code[: match.start()] + swaps[match[0]] + code[match.end() :]
    for before, after in OTHERS.items():
        for match in re.finditer(before, code):
            yield code[: match.start()] + after + code[match.end() :]


def _lines(file: str) -> list[str]:
    return files("session_core").joinpath("functions", f"{file}.lua").read_text("utf-8").split("\n")
