"""OPERATIONS: everything restarts, one by one or all at once; memory is full; many clients connect at once."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from conformance.checkers.gaps import quantile
from conformance.checkers.sets import AUDITOR, returns
from conformance.experiments.durable import administer, administer_all
from conformance.experiments.load import FULL, Load, bites, bitten, in_order, nothing_confirmed_is_lost, outage, settle
from conformance.finding import Finding, violated
from conformance.history import History
from conformance.lab import Lab
from conformance.requirements import judges
from conformance.waiting import finished, gather_limited
from session_core.address import Address

LOGINS, LOGOUTS = 100, 20
FSYNC_SECONDS = 2
"""appendfsync everysec may be a second late once more (redis.io: Persistence)."""
CLIENTS, PATIENCE_SECONDS = 100, 30
"""All of them run in one process here, beside the nodes: what is promised is a login, and how long it took is told."""
SPARE_BYTES = 2 * 1024 * 1024
BALLAST = "x" * 8000
TRIES = 600
"""Logins that would fill SPARE_BYTES more than twice over."""


async def rolling_restart(lab: Lab) -> None:
    """Every Sentinel, every replica, and after a handover the former primary, one by one, under load."""

    async def strike(primary: Address, _load: Load) -> None:
        for node in (*lab.target.sentinels, *(each for each in lab.target.nodes if each != primary)):
            async with lab.fault("restart", node):
                await settle(lab)
        async with lab.fault("handover", primary):
            await bites(lab, primary)
        async with lab.fault("restart", primary):
            await settle(lab)

    await outage(lab, strike)


async def stop_everything(lab: Lab) -> None:
    """A planned stop of all nodes, and a start."""
    await _all_at_once(lab, "stop")


async def kill_everything(lab: Lab) -> None:
    """All nodes die at once (SIGKILL), some time after the last write, and start again."""
    await _all_at_once(lab, "kill")


async def _all_at_once(lab: Lab, fault: str) -> None:
    await in_order(lab)
    users = [lab.user(f"kept-{number}") for number in range(LOGINS)]
    async with lab.client("writer") as writer:
        made = [each for each in await gather_limited(writer.create(user) for user in users) if each]
        await gather_limited(writer.revoke(each) for each in made[:LOGOUTS])
        await asyncio.sleep(FSYNC_SECONDS)
    lab.recorder.fault("begin", bound=0)
    async with AsyncExitStack() as stack:
        nodes = (*lab.target.sentinels, *lab.target.nodes)
        await asyncio.gather(*(stack.enter_async_context(lab.fault(fault, node)) for node in nodes))
        if all(not lab.view.role(node) for node in lab.target.nodes):
            lab.recorder.fault("bit", what="no node answers")
    lab.recorder.fault("healed")
    await settle(lab)
    async with lab.client(AUDITOR) as auditor:
        await gather_limited(auditor.inspect(each) for each in made)


async def full_memory(lab: Lab) -> None:
    """Logins until memory is full; then sessions that were there are read, and one is ended."""
    used = [await asyncio.to_thread(_used_memory, lab, node) for node in lab.target.nodes]
    before = await asyncio.to_thread(administer, lab, lab.target.nodes[0], "CONFIG", "GET", "maxmemory")
    async with lab.client("writer", session_deadline_seconds=2) as writer:
        kept = [each for each in [await writer.create(lab.user(f"first-{n}")) for n in range(20)] if each]
        try:
            await _set_maxmemory(lab, str(max(used) + SPARE_BYTES))
            for number in range(TRIES):
                if not await writer.create(lab.user(f"ballast-{number}"), metadata={"ballast": BALLAST}):
                    lab.recorder.fault("bit", what="a login was refused")
                    break
            await writer.revoke(kept[0])
            async with lab.client(AUDITOR) as auditor:
                await gather_limited(auditor.inspect(each) for each in kept)
        finally:
            await _set_maxmemory(lab, before[1])


async def storm(lab: Lab) -> None:
    """Many applications connect at once, and each logs a user in."""
    async with AsyncExitStack() as stack:
        patient = {"session_deadline_seconds": PATIENCE_SECONDS}
        clients = [await stack.enter_async_context(lab.client(f"client-{n}", **patient)) for n in range(CLIENTS)]
        await asyncio.gather(*(each.create(lab.user(f"storm-{n}")) for n, each in enumerate(clients)))


def _used_memory(lab: Lab, node: Address) -> int:
    text = administer(lab, node, "INFO", "memory")
    return int(next(line for line in text.splitlines() if line.startswith("used_memory:")).partition(":")[2])


async def _set_maxmemory(lab: Lab, value: str) -> None:
    await finished(administer_all, lab, "CONFIG", "SET", "maxmemory", value)


@judges(stop_everything, "OPS-STOP-001")
@judges(kill_everything, "OPS-CRASH-001")
def durable_logins_are_on_disk(histories: Sequence[History]) -> Finding:
    """Every login that was confirmed is there after all nodes were away."""
    return nothing_confirmed_is_lost(histories)


@judges(stop_everything, "OPS-STOP-002")
@judges(kill_everything, "OPS-CRASH-002")
@judges(rolling_restart, "OPS-ROLL-002")
def durable_logouts_are_on_disk(histories: Sequence[History]) -> Finding:
    """No logout that was confirmed is undone."""
    found = [returns(history, faults=True) for history in histories]
    wrong = [f"{handle} is alive again" for each in found for handle in each.back]
    judged = sum(each.judged for each in found)
    return bitten(histories, violated("no confirmed logout is undone", wrong, {"judged": judged}, looked=judged))


@judges(rolling_restart, "OPS-ROLL-001")
def durable_logins_survive_a_rolling_restart(histories: Sequence[History]) -> Finding:
    """Every login that was confirmed is there after each node was restarted."""
    return nothing_confirmed_is_lost(histories)


@judges(full_memory, "OPS-MEM-001")
def a_full_store_keeps_its_sessions(histories: Sequence[History]) -> Finding:
    """Every session that was there before memory was full is read and alive, unless it was ended."""
    looked, wrong = 0, []
    for history in histories:
        ended = {op.asked["session"] for op in history.calls("revoke", None)}
        for op in history.calls("inspect", None):
            if op.client == AUDITOR and op.asked["session"] not in ended:
                looked += 1
                if not op.told.get("alive"):
                    wrong.append(f"{op.asked['session']} is gone: {op.told.get('message', 'not found')}")
    expected = "no session makes room for another user's"
    return bitten(histories, violated(expected, wrong, {"sessions": looked}, looked=looked))


@judges(full_memory, "OPS-MEM-002")
def a_full_store_refuses_logins_visibly(histories: Sequence[History]) -> Finding:
    """The login that finds no room fails with an error that says so."""
    refused = [op for history in histories for op in history.calls("create", "fail")]
    wrong = [f"{op.told['error']}: {op.told['message']}" for op in refused if op.told["error"] != FULL]
    wrong += [] if refused else [f"{TRIES} logins were taken"]
    return violated("a login is refused as full", wrong, {"refused": len(refused)}, looked=len(refused))


@judges(full_memory, "OPS-MEM-003")
def a_session_can_be_ended_when_memory_is_full(histories: Sequence[History]) -> Finding:
    """Revocation needs no memory that is not there."""
    ops = [op for history in histories if history.fault("bit") for op in history.calls("revoke", None)]
    wrong = [
        f"{op.told.get('error')}: {op.told.get('message')}" for op in ops if op.outcome != "ok" or not op.told["found"]
    ]
    return violated("a logout is done", wrong, {"logouts": len(ops)}, looked=len(ops))


@judges(storm, "OPS-STORM-001")
def many_can_connect_at_once(histories: Sequence[History]) -> Finding:
    """Every first login of many new clients is answered."""
    ops = [op for history in histories for op in history.calls("create", None)]
    wrong = [f"{op.client}: {op.outcome} {op.told.get('message', '')}" for op in ops if op.outcome != "ok"]
    slow = quantile([op.end - op.start for op in ops], 1)
    return violated("every client logs in", wrong, {"clients": len(ops), "slowest_s": round(slow, 2)}, looked=len(ops))
