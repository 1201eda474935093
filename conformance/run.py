"""Runs experiments against a target and judges their histories."""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from conformance.experiments.failover import kill_primary  # with its whole package, which fills TESTS
from conformance.finding import Finding
from conformance.history import History, Recorder
from conformance.lab import TTL_SECONDS, EngineError, Lab
from conformance.requirements import TESTS, Experiment, Register, Requirement
from conformance.targets import Target
from session_core.errors import SessionError

Status = Literal["pass", "fail", "unknown", "not_supported", "skipped", "error"]
Say = Callable[[str], None]
EXPERIMENT_SECONDS = 600


@dataclass(frozen=True)
class Choice:
    """What is to be examined.

    Attributes:
        profiles, ids: those named; all, if both are empty.
        repeat: how often a disruptive experiment is done.
        kills: how often the primary is killed, if that is more.
        changes: settings of the suite's own containers, each as KEY=VALUE.
    """

    profiles: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    allow_disruptive: bool = False
    repeat: int = 1
    kills: int = 1
    recovery_seconds: float = 8.0
    changes: tuple[str, ...] = ()

    def has(self, requirement: Requirement) -> bool:
        """Whether it was named."""
        return not (self.profiles or self.ids) or requirement.profile in self.profiles or requirement.id in self.ids


@dataclass(frozen=True)
class Result:
    """The outcome for one requirement; `histories` are names of files that it was judged by."""

    requirement: Requirement
    status: Status
    expected: str = ""
    actual: str = ""
    evidence: Mapping[str, float | int | str] = field(default_factory=dict)
    experiment: str = ""
    histories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """One run: what is examined, where the histories go, and who is told how far it is."""

    register: Register
    target: Target
    choice: Choice
    directory: Path
    say: Say

    async def results(self) -> list[Result]:
        """Do every experiment that a chosen requirement needs, and judge; one result for each chosen requirement."""
        chosen = [each for each in self.register.requirements if self.choice.has(each)]
        found = {each.id: result for each in chosen if (result := self._hindrance(each))}
        plan = self._plan([each for each in chosen if each.id not in found])
        for number, (experiment, times) in enumerate(plan, 1):
            self.say(f"[{number}/{len(plan)}] {experiment.__name__}" + (f", {times} times" if times > 1 else ""))
            histories, broken = await self._record(experiment, times)
            for each in chosen:
                if each.id not in found and TESTS[each.id].experiment is experiment:
                    found[each.id] = judge(each, histories, broken)
                    self.say(f"    {found[each.id].status:7} {each.id:14} {each.sentence}")
        return [found[each.id] for each in chosen]

    def _hindrance(self, requirement: Requirement) -> Result | None:
        missing = self.register.needs(requirement) - self.target.features
        if missing:
            return Result(requirement, "not_supported", actual=f"not claimed: {', '.join(sorted(missing))}")
        if self.register.profiles[requirement.profile].disruptive and not self.choice.allow_disruptive:
            return Result(requirement, "skipped", actual="disruptive: allow it with --allow-disruptive")
        return None

    async def _record(self, experiment: Experiment, times: int) -> tuple[dict[str, History], str]:
        """The histories of an experiment by file, and why it broke off, if it did."""
        recorded: dict[str, History] = {}
        for turn in range(1, times + 1):
            file = f"{experiment.__name__}-{turn:02}.jsonl"
            recorder = Recorder(self.directory / file)
            broken = ""
            try:
                await self._perform(experiment, recorder)
            except Exception as error:  # noqa: BLE001 - whatever it was, the other experiments go on
                broken = f"{type(error).__name__}: {error}"
            recorded[file] = recorder.history()
            if broken:
                self.say(f"    broke off: {broken}")
                return recorded, broken
        return recorded, ""

    async def _perform(self, experiment: Experiment, recorder: Recorder) -> None:
        lab = Lab(self.target, secrets.token_hex(4), recorder, self.choice.recovery_seconds)
        try:
            async with asyncio.timeout(EXPERIMENT_SECONDS):
                await experiment(lab)
        except TimeoutError:
            raise EngineError(f"not over after {EXPERIMENT_SECONDS} s") from None
        finally:
            recorder.save()
            await self._tidy(lab)

    async def _tidy(self, lab: Lab) -> None:
        """What a broken deployment keeps us from ending says nothing about what was recorded."""
        try:
            await lab.tidy()
        except SessionError as error:
            self.say(f"    sessions could not be ended, and end by themselves in {TTL_SECONDS} s: {error}")

    def _plan(self, wanted: Iterable[Requirement]) -> list[tuple[Experiment, int]]:
        """Each experiment once, in the order of the register, and how often it is done."""
        plan: dict[str, tuple[Experiment, int]] = {}
        for each in wanted:
            test = TESTS[each.id]
            times = self.choice.repeat if self.register.profiles[each.profile].disruptive else 1
            if test.experiment is kill_primary:
                times = max(times, self.choice.kills)
            plan.setdefault(test.name, (test.experiment, times))
        return list(plan.values())


def judge(requirement: Requirement, histories: Mapping[str, History], broken: str = "") -> Result:
    """Judge a requirement by the histories of its experiment, by file name; `broken` says why there are not all."""
    test = TESTS[requirement.id]
    try:
        finding: Finding = test.judge(list(histories.values()))
    except Exception as error:  # noqa: BLE001 - a history that a judge did not expect; the other judges go on
        finding = Finding("unknown", "", "")
        broken = broken or f"the judge failed: {type(error).__name__}: {error}"
    if broken and finding.status != "fail":  # what was seen to be broken is, however few turns there are
        return Result(requirement, "error", actual=broken, experiment=test.name, histories=tuple(histories))
    return Result(
        requirement, finding.status, finding.expected, finding.actual, finding.evidence, test.name, tuple(histories)
    )
