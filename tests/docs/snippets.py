"""The fenced snippets of README and docs, each with what it needs.

A comment before the fence says so: `<!-- needs: stack -->` a running deployment, `<!-- needs: hands -->` somebody who
means it (it changes the machine, or stops something), `cluster` a
deployment on Kubernetes (run by tests/cluster), `old` a database of the former system, `keycloak` a
Keycloak (run by tests/service). Without one it is run by tests/docs.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^(?:<!-- needs: (\w+) -->\n+)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """A fenced block. In a `console` block the lines after `$ ` are commands, the others what they print."""

    path: Path
    line: int
    needs: str
    language: str
    text: str

    def __str__(self) -> str:
        """`docs/operations.md:12`, for the name of a test."""
        return f"{self.path.relative_to(ROOT)}:{self.line}"

    @property
    def script(self) -> str:
        """What a shell is to run."""
        lines = self.text.splitlines()
        console = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        return "\n".join(console if self.language == "console" else lines)

    @property
    def printed(self) -> str:
        """What a `console` block says that is printed; `...` stands for anything."""
        lines = self.text.splitlines(keepends=True)
        return "".join(line for line in lines if self.language == "console" and not line.startswith("$ "))

    def of(self, stack: str) -> "Snippet":
        """The same for another stack than `dev`."""
        return replace(self, text=re.sub(r"(redis-session-kit-|\.state/|Pulumi\.)dev\b", rf"\g<1>{stack}", self.text))


def documents() -> list[Path]:
    """README and all that is written by hand in docs/ (reports are not)."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    return sorted(path for path in found if path.parent.name != "reports")


def snippets(path: Path) -> list[Snippet]:
    """The snippets of one document, in order."""
    text = path.read_text()
    return [
        Snippet(path, text.count("\n", 0, match.start()) + 1, match[1] or "", match[2], match[3])
        for match in FENCE.finditer(text)
    ]


def stack_snippets() -> list[Snippet]:
    """The `bash`, `console` and `python` snippets that need a running deployment, for a test that has one."""
    return [each for path in documents() for each in snippets(path) if each.needs == "stack"]


def cluster_snippets() -> list[Snippet]:
    """The `bash` snippets that need a deployment on Kubernetes."""
    return [each for path in documents() for each in snippets(path) if each.needs == "cluster"]
