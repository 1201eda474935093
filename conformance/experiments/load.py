"""Logins under load while something is done to a target, and a look at every session when it is over."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from conformance.checkers.sets import AUDITOR, HASTY, survival
from conformance.client import Client
from conformance.finding import Finding, violated
from conformance.history import History
from conformance.lab import EngineError, Lab
from conformance.view import NotSettledError
from conformance.waiting import gather_limited, until
from conformance.wire import WireError, converse
from session_core import Session
from session_core.address import Address

LIMIT = 3
USERS = 8
CLIENTS = 3
HASTY_USERS = 2
"""Of the client that asks no replica (WAIT off): its own, so that what that costs is measured."""
PAUSE_SECONDS = 0.2
"""The longest time between two logins of one loop: a load that two cores bear beside six nodes."""
LOGOUTS = 0.3
"""Of so many logins one is logged out by its user, as a share."""
BEFORE, AFTER = 1.0, 1.0
"""Seconds of load before the fault, and at least after it has bitten and after it has ended."""
FULL = "StoreFull"
"""The error of a login that finds no room."""
BITE_SECONDS = 30
SETTLE_SECONDS = 90


@dataclass
class Load:
    """Callers that log a user in, look at the list and log some out, until they are stopped: a loop for each pair."""

    loops: list[tuple[Client, str]]
    made: list[Session]
    stopped: bool = False

    async def run(self) -> None:
        """All loops."""
        await asyncio.gather(*(self._use(client, user) for client, user in self.loops))

    async def _use(self, client: Client, user: str) -> None:
        mine: list[Session] = []
        while not self.stopped:
            await asyncio.sleep(random.random() * PAUSE_SECONDS)  # noqa: S311 - chance picks what is done
            made = await client.create(user)
            if made:
                mine.append(made)
                self.made.append(made)
            await client.list(user)
            if mine and random.random() < LOGOUTS:  # noqa: S311
                await client.revoke(mine.pop())


Strike = Callable[[Address, Load], Awaitable[None]]
"""Does something to a deployment with this primary and undoes it; what it creates itself it adds to the load."""


async def outage(lab: Lab, strike: Strike) -> None:
    """Load, a fault by `strike` on the primary, and, when everything is in step again, a look at every session."""
    primary = await in_order(lab)
    async with loaded(lab) as load:
        lab.recorder.fault("begin", node=primary.host, bound=lab.recovery_seconds)
        await strike(primary, load)
        lab.recorder.fault("healed")
        await asyncio.gather(settle(lab), asyncio.sleep(AFTER))


@asynccontextmanager
async def loaded(lab: Lab) -> AsyncIterator[Load]:
    """Load for as long as it is entered; afterwards a look at every session by the auditor."""
    users = [lab.user(f"load-{number}") for number in range(USERS)]
    hurried = [lab.user(f"hasty-{number}") for number in range(HASTY_USERS)]
    async with (
        lab.clients(CLIENTS, session_max_concurrent=LIMIT) as clients,
        lab.client(HASTY, session_max_concurrent=LIMIT, session_wait_replicas=0) as hasty,
    ):
        patient = [(clients[number % CLIENTS], user) for number, user in enumerate((*users, *users))]
        load = Load([*patient, *((hasty, user) for user in (*hurried, *hurried))], [])
        running = asyncio.create_task(load.run())
        try:
            await asyncio.sleep(BEFORE)
            yield load
        finally:
            load.stopped = True
            await running
    async with lab.client(AUDITOR, session_max_concurrent=LIMIT) as auditor:
        await gather_limited(auditor.inspect(each) for each in load.made)
        await asyncio.gather(*(auditor.list(user) for user in (*users, *hurried)))


async def in_order(lab: Lab) -> Address:
    """Wait until everything is in step before a fault; the primary.

    Raises:
        EngineError: it never was, so nothing can be said about the fault.
    """
    try:
        return await asyncio.to_thread(lab.view.wait_settled, SETTLE_SECONDS)
    except NotSettledError as error:
        raise EngineError(f"the deployment was not in order before the fault: {error}") from error


async def settle(lab: Lab) -> None:
    """Wait until everything is in step again; that it never was is for the judges."""
    try:
        await asyncio.to_thread(lab.view.wait_settled, SETTLE_SECONDS)
    except NotSettledError as error:
        lab.recorder.fault("unsettled", problem=str(error))
    else:
        lab.recorder.fault("settled")


def dropped(connection: socket.socket) -> bool:
    """Whether the server has left an open connection. Blocks."""
    try:
        converse(connection, [("PING",)])
    except (WireError, OSError):
        return True
    return False


async def bites(lab: Lab, primary: Address) -> None:
    """Wait until another node is primary."""
    if await until(lambda: lab.view.primary() not in (None, primary), BITE_SECONDS):
        lab.recorder.fault("bit", what="another node is primary")


def recovery_bound(histories: Sequence[History]) -> float:
    """Seconds in which logins had to be accepted again."""
    return min((float(begin.fields["bound"]) for each in histories if (begin := each.fault("begin"))), default=0.0)


def nothing_confirmed_is_lost(histories: Sequence[History]) -> Finding:
    """Every login whose answer was durable was found by the auditor, who looked at every session."""
    found = [survival(history) for history in histories]
    unasked = [survival(history, HASTY) for history in histories]
    durable, unread = sum(each.durable for each in found), sum(each.unread for each in found)
    without_wait = sum(each.unconfirmed for each in unasked)
    lost_without_wait = sum(len(each.lost_unconfirmed) for each in unasked)
    evidence = {
        "durable": durable,
        "lost": sum(len(each.lost) for each in found),
        "unconfirmed": sum(each.unconfirmed for each in found) - without_wait,
        "lost_unconfirmed": sum(len(each.lost_unconfirmed) for each in found) - lost_without_wait,
        "without_wait": without_wait,
        "lost_without_wait": lost_without_wait,
        "unread": unread,
    }
    wrong = [f"{handle} was durable and is gone" for each in found for handle in each.lost]
    if unread and not wrong:
        return Finding("unknown", "no durable login is lost", f"{unread} could not be looked at", evidence)
    return bitten(histories, violated("no durable login is lost", wrong, evidence, looked=durable))


def bitten(histories: Sequence[History], finding: Finding) -> Finding:
    """A fault that did nothing proves nothing."""
    idle = sum(history.fault("bit") is None for history in histories)
    if finding.status == "pass" and idle:
        return Finding(
            "unknown", finding.expected, f"the fault did not bite in {idle} of {len(histories)} runs", finding.evidence
        )
    return Finding(finding.status, finding.expected, finding.actual, {"faults": len(histories), **finding.evidence})
