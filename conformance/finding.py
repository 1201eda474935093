"""What one judge says of one requirement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from conformance.history import History

Status = Literal["pass", "fail", "unknown"]
SEVERITY: Mapping[Status, int] = {"pass": 0, "unknown": 1, "fail": 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """`unknown`: nothing speaks against it, but there is no evidence either, as when a fault never bit.

    `expected` and `actual` are sentences; `evidence` are the figures behind them.
    """

    status: Status
    expected: str
    actual: str
    evidence: Mapping[str, float | int | str] = field(default_factory=dict)


def violated(
    expected: str, problems: Sequence[str], evidence: Mapping[str, float | int | str], *, looked: int
) -> Finding:
    """Fail with the first problems; pass if there is none; unknown if nothing was looked at.

    Args:
        looked: how many things could have been a problem.
    """
    if problems:
        more = f" … and {len(problems) - 3} more" if len(problems) > 3 else ""  # noqa: PLR2004 - what fits a line
        return Finding("fail", expected, "; ".join(problems[:3]) + more, evidence)
    if not looked:
        return Finding("unknown", expected, "nothing happened that could show it", evidence)
    return Finding("pass", expected, f"held {looked} times", evidence)


def without_failures(histories: Sequence[History], finding: Finding) -> Finding:
    """Where nothing was done to the target, calls that failed leave unknown what they would have shown."""
    failed = [op for history in histories for op in history.ops if op.outcome != "ok"]
    if finding.status != "pass" or not failed:
        return finding
    first = f"{failed[0].call}: {failed[0].told.get('message', 'no answer')}"
    return Finding("unknown", finding.expected, f"{len(failed)} calls were not answered ({first})", finding.evidence)


def worst(findings: Sequence[Finding]) -> Finding:
    """The one that weighs most; the first among equals."""
    return max(findings, key=lambda finding: SEVERITY[finding.status])
