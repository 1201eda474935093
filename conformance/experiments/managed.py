"""MANAGED: a failover of a service that others run, by the command that its user gives."""

import asyncio
from collections.abc import Sequence

from conformance.checkers.gaps import gap_figures, longest_gap
from conformance.checkers.sets import returns, survival
from conformance.experiments.load import AFTER, BITE_SECONDS, loaded
from conformance.finding import Finding, violated
from conformance.history import History
from conformance.lab import Lab
from conformance.requirements import judges
from conformance.waiting import until
from conformance.wire import WireError, converse


async def managed_failover(lab: Lab) -> None:
    """Load, and the command; it bit if the endpoint drops a connection that was open."""
    node = lab.target.nodes[0]
    with await asyncio.to_thread(lab.target.wire.connect, node) as connection:

        def dropped() -> bool:
            try:
                converse(connection, [("PING",)])
            except (WireError, OSError):
                return True
            return False

        async with loaded(lab):
            lab.recorder.fault("begin", node=node.host, bound=lab.recovery_seconds)
            async with lab.fault("failover", node):
                if await until(dropped, BITE_SECONDS):
                    lab.recorder.fault("bit", what="an open connection was dropped")
            lab.recorder.fault("healed")
            await asyncio.sleep(AFTER + lab.recovery_seconds)


@judges(managed_failover, "MAN-FAIL-001")
def logins_are_accepted_again(histories: Sequence[History]) -> Finding:
    """The longest time without an accepted login is within the bound."""
    gaps, wrong, bit = [], [], 0
    for history in histories:
        begin = history.fault("begin")
        bound = float(begin.fields["bound"]) if begin else 0.0
        gaps.append(longest_gap(history))
        bit += history.fault("bit") is not None
        if gaps[-1] > bound:
            wrong.append(f"nothing was accepted for {gaps[-1]:.1f} s, and {bound:g} s are allowed")
    evidence = {"faults": len(gaps), **gap_figures(gaps)}
    return violated("logins are accepted again in time", wrong, evidence, looked=bit if bit == len(gaps) else 0)


@judges(managed_failover, "MAN-FAIL-002")
def what_was_confirmed_is_kept(histories: Sequence[History]) -> Finding:
    """No login that was confirmed is lost, and no logout undone; what nobody confirmed is counted."""
    survived, ended = [survival(each) for each in histories], [returns(each, faults=True) for each in histories]
    wrong = [f"{handle} was confirmed and is gone" for each in survived for handle in each.lost]
    wrong += [f"{handle} is alive after a confirmed logout" for each in ended for handle in each.back]
    evidence = {
        "durable": sum(each.durable for each in survived),
        "lost": sum(len(each.lost) for each in survived),
        "unconfirmed": sum(each.unconfirmed for each in survived),
        "lost_unconfirmed": sum(len(each.lost_unconfirmed) for each in survived),
    }
    bit = all(history.fault("bit") for history in histories)
    return violated("what was confirmed is kept", wrong, evidence, looked=evidence["durable"] * bit)
