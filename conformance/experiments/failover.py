"""What is left when a part goes away under load: kill, pause, planned handover, loss of a replica or a Sentinel, a cut.

A login or logout counts as durable when the answer says that a replica confirmed it (WAIT). What none confirmed, or was
asked to, as by one of the clients, may be lost, as Redis replicates asynchronously: measured and reported, not judged.
"""

import asyncio
from collections.abc import Callable, Sequence

from conformance.checkers.gaps import gap_figures, longest_gap, quantile
from conformance.checkers.limit import longest_list, most_at_once
from conformance.checkers.sets import returns
from conformance.experiments.load import (
    AFTER,
    BITE_SECONDS,
    LIMIT,
    SETTLE_SECONDS,
    Load,
    bites,
    bitten,
    dropped,
    nothing_confirmed_is_lost,
    outage,
    recovery_bound,
)
from conformance.finding import Finding, violated
from conformance.history import History
from conformance.lab import Lab
from conformance.requirements import judges
from conformance.waiting import until
from session_core.address import Address

MAX_LAG_SECONDS = 10
"""min-replicas-max-lag: so long a replica that says nothing still counts."""
STRANDED, NEWCOMER = "stranded", "newcomer"
TYPICAL = 0.95
"""Share of the turns for which the recovery time is promised."""
LONGEST_SECONDS = 60
"""Of any turn: two elections that nobody won, and the one after them."""
DOWN_SECONDS = 5
"""A replica or a Sentinel stays away for so long."""


async def _primary_goes(lab: Lab, fault: str) -> None:
    async def strike(primary: Address, _load: Load) -> None:
        async with lab.fault(fault, primary):
            await bites(lab, primary)
            await asyncio.sleep(AFTER)

    await outage(lab, strike)


async def _other_goes(lab: Lab, node: Callable[[Address], Address]) -> None:
    """Kill a node that is not the primary. An application starts while it is away."""

    async def strike(primary: Address, load: Load) -> None:
        victim = node(primary)
        with await asyncio.to_thread(lab.target.wire.connect, victim) as connection:
            async with lab.fault("kill", victim), lab.client(NEWCOMER) as newcomer:
                # It may be back before anybody sees that it is away: some targets start it anew by themselves.
                if await until(lambda: dropped(connection), BITE_SECONDS):
                    lab.recorder.fault("bit", what=f"an open connection to {victim.host} was dropped")
                if made := await newcomer.create(lab.user("newcomer")):  # asks the Sentinels for the first time
                    load.made.append(made)
                await asyncio.sleep(DOWN_SECONDS)

    await outage(lab, strike)


async def kill_primary(lab: Lab) -> None:
    """SIGKILL."""
    await _primary_goes(lab, "kill")


async def pause_primary(lab: Lab) -> None:
    """The process stands still: connections stay open and say nothing (grey failure)."""
    await _primary_goes(lab, "pause")


async def partition_primary(lab: Lab) -> None:
    """The primary hears no other node; clients go on reaching it, and one of them knows no other node."""

    async def strike(primary: Address, load: Load) -> None:
        async with lab.fault("partition", primary):
            cut = lab.recorder.now()
            lab.recorder.fault("cut")
            await bites(lab, primary)
            await _stranded(lab, primary, load, cut + 2 * MAX_LAG_SECONDS)

    await outage(lab, strike)


async def _stranded(lab: Lab, primary: Address, load: Load, until_then: float) -> None:
    """Log in and look at a node that is cut off, whether it refuses or not."""
    alone = {
        "redis_url": f"{'rediss' if lab.target.settings().tls else 'redis'}://{primary}/0",
        "redis_sentinel_username": "",
        "redis_sentinel_password": "",
        "session_deadline_seconds": 1,
        "session_max_concurrent": LIMIT,
    }
    latest = None
    async with lab.client(STRANDED, **alone) as client:
        while lab.recorder.now() < until_then:
            if made := await client.create(lab.user("stranded")):
                load.made.append(made)
                latest = made
            if latest:
                await client.inspect(latest)
            await asyncio.sleep(0.2)


async def hand_over(lab: Lab) -> None:
    """A planned handover, by the deployment's own means."""
    await _primary_goes(lab, "handover")


async def kill_replica(lab: Lab) -> None:
    """One replica is killed and comes back."""
    await _other_goes(lab, lambda primary: next(node for node in lab.target.nodes if node != primary))


async def kill_sentinel(lab: Lab) -> None:
    """One of the Sentinels is killed and comes back."""
    await _other_goes(lab, lambda _primary: lab.target.sentinels[0])


@judges(kill_primary, "HA-KILL-001")
@judges(pause_primary, "HA-PAUSE-001")
@judges(partition_primary, "HA-CUT-001")
@judges(hand_over, "HA-HAND-001")
@judges(kill_replica, "HA-REPL-001")
@judges(kill_sentinel, "HA-SENT-001")
def writes_are_accepted_again(histories: Sequence[History]) -> Finding:
    """The longest time without an accepted login is within the bound, in 95 of 100 turns if there are so many.

    An election that no Sentinel wins is held again after twice the failover timeout (redis.io: Sentinel).
    """
    gaps = [longest_gap(history) for history in histories]
    bound = recovery_bound(histories)
    wrong = [f"nothing was accepted for {gap:.1f} s" for gap in gaps if gap > bound]
    if quantile(gaps, TYPICAL) <= bound and quantile(gaps, 1) <= LONGEST_SECONDS:
        wrong = []
    finding = violated(f"logins are accepted again within {bound:g} s", wrong, gap_figures(gaps), looked=len(gaps))
    return bitten(histories, finding)


@judges(kill_primary, "HA-KILL-002")
@judges(pause_primary, "HA-PAUSE-002")
@judges(partition_primary, "HA-CUT-002")
@judges(hand_over, "HA-HAND-002")
@judges(kill_replica, "HA-REPL-002")
@judges(kill_sentinel, "HA-SENT-002")
def durable_logins_survive(histories: Sequence[History]) -> Finding:
    """Every login whose answer was durable is there when everything has healed."""
    return nothing_confirmed_is_lost(histories)


@judges(kill_primary, "HA-KILL-003")
@judges(pause_primary, "HA-PAUSE-003")
@judges(partition_primary, "HA-CUT-003")
@judges(hand_over, "HA-HAND-003")
@judges(kill_replica, "HA-REPL-003")
@judges(kill_sentinel, "HA-SENT-003")
def durable_logouts_stay(histories: Sequence[History]) -> Finding:
    """No session whose logout was durable is seen alive again."""
    found = [returns(history, faults=True) for history in histories]
    judged = sum(each.judged for each in found)
    evidence = {
        "judged": judged,
        "back": sum(len(each.back) for each in found),
        "back_unconfirmed": sum(len(each.back_unconfirmed) for each in found),
    }
    wrong = [f"{handle} is alive after a durable logout" for each in found for handle in each.back]
    return bitten(histories, violated("no durable logout is undone", wrong, evidence, looked=judged))


@judges(kill_primary, "HA-KILL-004")
@judges(pause_primary, "HA-PAUSE-004")
@judges(partition_primary, "HA-CUT-004")
@judges(hand_over, "HA-HAND-004")
def the_limit_holds(histories: Sequence[History]) -> Finding:
    """Neither a list nor the certain lifetimes of durable sessions show more of one user than the limit."""
    most = max((most_at_once(history, faults=True) for history in histories), default=0)
    listed = max((longest_list(history) for history in histories), default=0)
    problems = [
        f"{count} sessions {how}" for count, how in ((most, "lived at once"), (listed, "in one list")) if count > LIMIT
    ]
    evidence = {"limit": LIMIT, "most_at_once": most, "longest_list": listed}
    reached = listed == LIMIT
    return bitten(histories, violated(f"at most {LIMIT} live sessions of a user", problems, evidence, looked=reached))


@judges(kill_primary, "HA-KILL-005")
@judges(pause_primary, "HA-PAUSE-005")
@judges(partition_primary, "HA-CUT-005")
@judges(hand_over, "HA-HAND-005")
@judges(kill_replica, "HA-REPL-005")
@judges(kill_sentinel, "HA-SENT-005")
def everything_heals(histories: Sequence[History]) -> Finding:
    """One primary, every other node in step with it, all of them known to every Sentinel."""
    wrong = [str(never.fields["problem"]) for history in histories if (never := history.fault("unsettled"))]
    took = [
        settled.at - healed.at
        for history in histories
        if (settled := history.fault("settled")) and (healed := history.fault("healed"))
    ]
    figures = {f"settled_{name}_s": round(quantile(took, share), 2) for name, share in (("p50", 0.5), ("max", 1))}
    finding = violated(f"in step {SETTLE_SECONDS} s after the fault ended", wrong, figures, looked=len(took))
    return bitten(histories, finding)


@judges(kill_replica, "HA-REPL-006")
@judges(kill_sentinel, "HA-SENT-006")
def an_application_can_start_meanwhile(histories: Sequence[History]) -> Finding:
    """The first login of a client that starts while the node is away is answered."""
    ops = [op for history in histories for op in history.calls("create", None) if op.client == NEWCOMER]
    wrong = [
        f"the first login of a new client: {op.outcome} {op.told.get('message', '')}"
        for op in ops
        if op.outcome != "ok"
    ]
    return bitten(histories, violated("a new client logs in", wrong, {"clients": len(ops)}, looked=len(ops)))


@judges(partition_primary, "HA-CUT-006")
def a_primary_that_is_cut_off_stops_taking_logins(histories: Sequence[History]) -> Finding:
    """What it took would be thrown away when it comes back (redis.io: Replication; a replica reports once a second)."""
    bound = MAX_LAG_SECONDS + 2
    wrong, refused = [], 0
    for history in histories:
        cut = history.fault("cut")  # the packet filter has its last rule
        for op in history.calls("create", None):
            if op.client == STRANDED and cut and op.start > cut.at + bound:
                refused += op.outcome != "ok"
                if op.outcome == "ok":
                    wrong.append(f"a login was taken {op.start - cut.at:.1f} s after the cut")
    expected = f"no login is taken later than {bound} s after the cut"
    return bitten(histories, violated(expected, wrong, {"refused": refused}, looked=refused))


@judges(partition_primary, "HA-CUT-007")
def a_primary_that_is_cut_off_still_answers_reads(histories: Sequence[History]) -> Finding:
    """Whoever reaches only that node stays logged in."""
    ops = [op for history in histories for op in history.calls("inspect", None) if op.client == STRANDED]
    wrong = [f"a read: {op.outcome} {op.told}" for op in ops if op.outcome != "ok" or not op.told["alive"]]
    return bitten(histories, violated("every read is answered", wrong, {"reads": len(ops)}, looked=len(ops)))
