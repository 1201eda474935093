"""How long nothing was accepted, and how fast answers came."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from conformance.history import History


def longest_gap(history: History) -> float:
    """Seconds of the longest time without a login that was confirmed; infinite if none was.

    From the first to the last one that was tried, so that logins that never come back are a gap. What a cut-off primary
    takes without a replica's word does not count. Where nothing was confirmed at all, as without WAIT, every answered
    login counts.
    """
    logins = history.calls("create")
    confirmed = [op for op in logins if op.told["durable"]] or logins
    answered = sorted(op.end for op in confirmed)
    if not answered:
        return math.inf
    tried = [op.start for op in history.calls("create", None)]
    return max(later - earlier for earlier, later in pairwise([min(tried), *answered, max(*tried, answered[-1])]))


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all values is not above; not a number if there is none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def gap_figures(gaps: Sequence[float]) -> Mapping[str, float]:
    """What is told of the longest gaps (s) of several histories."""
    shares = {"p50": 0.5, "p95": 0.95, "max": 1.0}
    return {f"gap_{name}_s": round(quantile(gaps, share), 2) for name, share in shares.items()}
