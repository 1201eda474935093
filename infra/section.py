"""What the sections of a spec have in common, and how a contradiction among them is told."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings that belong together."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)


@dataclass(frozen=True)
class Problem:
    """A setting that cannot be."""

    path: tuple[str, str]
    """Section and field of `DeploymentSpec`."""
    value: object
    bound: str
    """What would be right."""
    suggestion: object = None
    """A value that would be right."""
    involves: tuple[tuple[str, str], ...] = ()
    """The other settings that the bound depends on."""


class ContradictionError(ValueError):
    """Settings that are right each by itself, but not together."""

    def __init__(self, *problems: Problem) -> None:
        """Keep `problems` for whoever can say them in the user's words."""
        super().__init__("; ".join(f"{'.'.join(p.path)}: {p.value} must be {p.bound}" for p in problems))
        self.problems = problems
