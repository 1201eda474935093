"""Finds the highest rate that holds, in steps, and says where the limit is. Pure."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from loadtests.gate import Verdict

GROWTH: Final = 1.6
"""From one step to the next, while they hold."""
CLOSE: Final = 1.15
"""Ratio of the lowest rate that does not hold to the highest that does, at which the search ends."""
BUSY_STORE: Final = 0.85
"""Share of a core at which the one thread of Redis that runs commands counts as the limit."""


@dataclass(frozen=True, slots=True)
class Step:
    """One run at one rate.

    Attributes:
        rate: starts a second.
        generator_cpu: share of a core of the busiest generator process.
        store_cpu: share of a core of Redis; None if it does not say.
        generator_us, store_us: processor time for each operation, in microseconds.
        broken: thresholds that did not hold.
    """

    rate: float
    verdict: Verdict
    generator_cpu: float
    store_cpu: float | None
    generator_us: float
    store_us: float | None
    broken: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether it passed."""
        return self.verdict is Verdict.PASS


def search(start: float, most: int, run: Callable[[float], Step]) -> list[Step]:
    """Run steps: up while they hold, then between the last that held and the first that did not.

    Args:
        start: the first rate; if it does not hold, lower ones follow.
        most: steps at the most.
        run: does one step.
    """
    steps: list[Step] = []
    good, bad = 0.0, math.inf
    rate = start
    while len(steps) < most and bad / max(good, start / 100) > CLOSE:
        step = run(rate)
        steps.append(step)
        good, bad = (max(good, rate), bad) if step.holds else (good, min(bad, rate))
        rate = round(good * GROWTH if bad == math.inf else math.sqrt(bad * good) if good else bad / GROWTH, 1)
    return steps


def highest(steps: list[Step]) -> Step | None:
    """The step with the highest rate that holds."""
    return max((step for step in steps if step.holds), key=lambda step: step.rate, default=None)


def limit(steps: list[Step], level: str) -> str:
    """Say where the limit is: what was exhausted in the lowest step that did not hold."""
    bad = min((step for step in steps if not step.holds), key=lambda step: step.rate, default=None)
    if bad is None:
        return "not reached"
    if bad.verdict is Verdict.INCONCLUSIVE:
        return "the generator: use more processes, or more machines"
    if bad.store_cpu is not None and bad.store_cpu >= BUSY_STORE:
        return "Redis: its one thread for commands is busy; more shards"
    if level == "http":
        return "the session service, or the cores of its machine; more service processes"
    return "neither the generator nor Redis is busy: the machine's cores, or the network"
