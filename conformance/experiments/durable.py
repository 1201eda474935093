"""SESSION-DURABLE: what a healthy deployment confirms, and how its nodes are set. Hurts nobody."""

import asyncio
from collections.abc import Sequence

import hiredis

from conformance.finding import Finding, violated
from conformance.history import History
from conformance.lab import EngineError, Lab
from conformance.requirements import judges
from conformance.wire import Reply, WireError, pairs
from session_core.address import Address

WAIT_MS = 1000
LOGINS = 50
KEPT = ("appendonly", "appendfsync", "min-replicas-to-write", "min-replicas-max-lag", "maxmemory-policy")
"""Settings of redis.conf that decide what outlives an accident."""


async def confirmed(lab: Lab) -> None:
    """Logins and logouts without any fault, with time for a replica to confirm each."""
    async with lab.client("writer", session_wait_replicas=1, session_wait_timeout_ms=WAIT_MS) as writer:

        async def one(number: int) -> None:
            if made := await writer.create(lab.user(f"durable-{number}")):
                await writer.revoke(made)

        await asyncio.gather(*(one(number) for number in range(LOGINS)))


async def kept(lab: Lab) -> None:
    """Ask every node for its settings."""
    await asyncio.to_thread(_ask, lab)


def _ask(lab: Lab) -> None:
    for node in lab.target.nodes:
        reply = administer(lab, node, "CONFIG", "GET", *KEPT)
        lab.recorder.probe("settings", node=node.host, **pairs(reply))


def administer(lab: Lab, node: Address, *words: str) -> Reply:
    """Send a command as the administrator; its reply.

    Raises:
        EngineError: it was refused, or there is no administrator.
    """
    if lab.target.admin is None:
        raise EngineError("admin_config is claimed, and no password of an admin is given")
    try:
        [reply] = lab.target.wire.ask(node, lab.target.admin, words)
    except WireError as error:
        raise EngineError(f"{words[0]} cannot be sent as the administrator: {error}") from error
    if isinstance(reply, hiredis.ReplyError):
        raise EngineError(f"{node}: {' '.join(words[:2])}: {reply}")  # further words may be a password
    return reply


def administer_all(lab: Lab, *words: str) -> None:
    """Send a command as the administrator to every node, whatever the others say.

    Raises:
        EngineError: it was refused by some, or there is no administrator.
    """
    problems = []
    for node in lab.target.nodes:
        try:
            administer(lab, node, *words)
        except EngineError as error:
            problems.append(str(error))
    if problems:
        raise EngineError("; ".join(problems))


@judges(confirmed, "DUR-WAIT-001")
def a_replica_confirms(histories: Sequence[History]) -> Finding:
    """Every login and logout of a healthy deployment is confirmed in time."""
    ops = [op for history in histories for call in ("create", "revoke") for op in history.calls(call, None)]
    wrong = [f"a {op.call} was not confirmed: {op.told}" for op in ops if not op.told.get("durable")]
    return violated(f"confirmed within {WAIT_MS} ms", wrong, {"writes": len(ops)}, looked=len(ops))


@judges(kept, "DUR-AOF-001")
def every_node_writes_an_append_only_file(histories: Sequence[History]) -> Finding:
    """On every node, because any of them may become primary, and at least once a second."""
    seen = [each for history in histories for each in history.seen("settings")]
    wrong = [
        f"{each['node']}: appendonly {each['appendonly']}, appendfsync {each['appendfsync']}"
        for each in seen
        if each["appendonly"] != "yes" or each["appendfsync"] == "no"
    ]
    return violated("appendonly yes, appendfsync everysec or always", wrong, {"nodes": len(seen)}, looked=len(seen))


@judges(kept, "DUR-MIN-001")
def a_primary_without_replicas_refuses_writes(histories: Sequence[History]) -> Finding:
    """What it took alone would be thrown away by the failover."""
    seen = [each for history in histories for each in history.seen("settings")]
    wrong = [
        f"{each['node']}: {name} 0"
        for each in seen
        for name in ("min-replicas-to-write", "min-replicas-max-lag")  # either one switches it off
        if each.get(name) == "0"
    ]
    return violated(
        "min-replicas-to-write and min-replicas-max-lag are at least 1", wrong, {"nodes": len(seen)}, looked=len(seen)
    )


@judges(kept, "DUR-MEM-001")
def a_full_store_throws_no_session_away(histories: Sequence[History]) -> Finding:
    """Every other policy logs users out without a word."""
    seen = [each for history in histories for each in history.seen("settings")]
    wrong = [f"{each['node']}: {each['maxmemory-policy']}" for each in seen if each["maxmemory-policy"] != "noeviction"]
    return violated("maxmemory-policy is noeviction", wrong, {"nodes": len(seen)}, looked=len(seen))
