"""MANAGED: a failover of a service that others run, by the command that its user gives."""

import asyncio
from collections.abc import Sequence

from conformance.checkers.gaps import gap_figures, longest_gap
from conformance.checkers.sets import returns
from conformance.experiments.load import (
    AFTER,
    BITE_SECONDS,
    bitten,
    dropped,
    loaded,
    nothing_confirmed_is_lost,
    recovery_bound,
)
from conformance.finding import Finding, violated, worst
from conformance.history import History
from conformance.lab import Lab
from conformance.requirements import judges
from conformance.waiting import until


async def managed_failover(lab: Lab) -> None:
    """Load, and the command; it bit if the endpoint drops a connection that was open."""
    node = lab.target.nodes[0]
    with await asyncio.to_thread(lab.target.wire.connect, node) as connection:
        async with loaded(lab):
            lab.recorder.fault("begin", node=node.host, bound=lab.recovery_seconds)
            async with lab.fault("failover", node):
                if await until(lambda: dropped(connection), BITE_SECONDS):
                    lab.recorder.fault("bit", what="an open connection was dropped")
            lab.recorder.fault("healed")
            await asyncio.sleep(AFTER + lab.recovery_seconds)


@judges(managed_failover, "MAN-FAIL-001")
def logins_are_accepted_again(histories: Sequence[History]) -> Finding:
    """The longest time without an accepted login is within the bound."""
    gaps, bound = [longest_gap(history) for history in histories], recovery_bound(histories)
    wrong = [f"nothing was accepted for {gap:.1f} s" for gap in gaps if gap > bound]
    expected = f"logins are accepted again within {bound:g} s"
    return bitten(histories, violated(expected, wrong, gap_figures(gaps), looked=len(gaps)))


@judges(managed_failover, "MAN-FAIL-002")
def what_was_confirmed_is_kept(histories: Sequence[History]) -> Finding:
    """No login that was confirmed is lost, and no logout undone; what nobody confirmed is counted."""
    back = [handle for history in histories for handle in returns(history, faults=True).back]
    undone = violated(
        "no confirmed logout is undone", [f"{each} is alive after a confirmed logout" for each in back], {}, looked=1
    )
    return worst([nothing_confirmed_is_lost(histories), undone])
