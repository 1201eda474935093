"""The register of requirements, and which experiment and judge each has."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from conformance.finding import Finding, without_failures
from conformance.history import History
from conformance.lab import Lab

FILE = Path(__file__).with_name("requirements.yaml")
Experiment = Callable[[Lab], Awaitable[None]]
"""Does something to a target and records it. Its name is that of its histories."""
Judge = Callable[[Sequence[History]], Finding]
"""Says whether a requirement held in all repeats of its experiment."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Profile(_Frozen):
    """A group of requirements that a deployment claims as a whole."""

    about: str
    needs: frozenset[str] = frozenset()
    """Features without which none of it can be examined."""
    disruptive: bool = False
    """Whether its experiments hurt whoever else uses the target."""


class Requirement(_Frozen):
    """One promise."""

    id: str = Field(pattern=r"^[A-Z]{2,4}-[A-Z]{2,6}-\d{3}$")
    level: Literal["MUST", "SHOULD"]
    sentence: str
    profile: str
    features: frozenset[str] = frozenset()
    """Needed beside those of the profile; without them the requirement is `not_supported`."""
    source: str
    """Where the promise is made: a section of the kit's documents, redis.io, ASVS."""


class Register(_Frozen):
    """The whole file."""

    profiles: Mapping[str, Profile]
    requirements: tuple[Requirement, ...]

    def needs(self, requirement: Requirement) -> frozenset[str]:
        """All features without which the requirement cannot be examined."""
        return requirement.features | self.profiles[requirement.profile].needs


@dataclass(frozen=True)
class Test:
    """How a requirement is examined."""

    experiment: Experiment
    judge: Judge

    @property
    def name(self) -> str:
        """Of the experiment, and of its histories."""
        return self.experiment.__name__


TESTS: dict[str, Test] = {}
"""By requirement; filled when `conformance.experiments` is imported."""


def judges(experiment: Experiment, *ids: str) -> Callable[[Judge], Judge]:
    """Let a function judge requirements by the histories of an experiment.

    Raises:
        ValueError: one of them has a judge already.
    """

    def keep(judge: Judge) -> Judge:
        for each in ids:
            if each in TESTS:
                raise ValueError(f"{each} has two judges")
            TESTS[each] = Test(experiment, judge)
        return judge

    return keep


def judges_in_peace(experiment: Experiment, *ids: str) -> Callable[[Judge], Judge]:
    """As `judges`, where nothing is done to the target: calls that failed leave unknown what they would have shown."""

    def keep(judge: Judge) -> Judge:
        @wraps(judge)
        def answered(histories: Sequence[History]) -> Finding:
            return without_failures(histories, judge(histories))

        judges(experiment, *ids)(answered)
        return judge

    return keep


@cache
def register() -> Register:
    """The register as it is in `requirements.yaml`."""
    return Register.model_validate(yaml.safe_load(FILE.read_text(encoding="utf-8")))
