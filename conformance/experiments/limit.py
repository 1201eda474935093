"""SESSION-CORE: the limit of sessions of one user, with many logins at once."""

import asyncio
from collections.abc import Sequence

from conformance.checkers.limit import longest_list, most_at_once
from conformance.finding import Finding, violated
from conformance.history import History
from conformance.lab import Lab
from conformance.requirements import judges_in_peace

LIMIT = 3
CLIENTS = 4
LOGINS = 12


async def crowd(lab: Lab) -> None:
    """Four clients log the same users in at the same time, list what is there, and read what they made."""
    users = [lab.user(f"crowd-{number}") for number in range(4)]
    async with lab.clients(CLIENTS, session_max_concurrent=LIMIT) as clients:
        for user in users:
            for _ in range(LOGINS // 4):
                made = await asyncio.gather(*(client.create(user) for client in clients))
                await asyncio.gather(*(client.list(user) for client in clients))
                await asyncio.gather(*(client.get(one) for client, one in zip(clients, made, strict=True) if one))
        await asyncio.gather(*(clients[0].list(user) for user in users))


@judges_in_peace(crowd, "SES-LIMIT-001")
def never_more_than_the_limit(histories: Sequence[History]) -> Finding:
    """Sweep over the lifetimes that are certain, and look at every listing."""
    most = max((most_at_once(history) for history in histories), default=0)
    listed = max((longest_list(history) for history in histories), default=0)
    created = sum(len(history.calls("create")) for history in histories)
    problems = [
        f"{count} sessions {how}" for count, how in ((most, "lived at once"), (listed, "in one list")) if count > LIMIT
    ]
    reached = listed == LIMIT
    evidence = {"creates": created, "most_at_once": most, "longest_list": listed}
    return violated(f"at most {LIMIT} live sessions of a user", problems, evidence, looked=created * reached)


@judges_in_peace(crowd, "SES-LIMIT-002")
def who_has_to_go_is_told(histories: Sequence[History]) -> Finding:
    """Every session that is not in the last list was named by the create that evicted it, exactly once."""
    looked, wrong = 0, []
    for history in histories:
        for user in {op.asked["user"] for op in history.calls("create")}:
            creates = [op for op in history.calls("create") if op.asked["user"] == user]
            lists = sorted((op for op in history.calls("list") if op.asked["user"] == user), key=lambda op: op.start)
            if not lists:
                continue
            evicted = [handle for op in creates for handle in op.told["evicted"]]
            missing = {op.told["session"] for op in creates} - set(lists[-1].told["sessions"])
            looked += len(missing)
            if sorted(evicted) != sorted(missing):
                wrong.append(f"{len(missing)} are gone, and {len(evicted)} were told")
    return violated("each evicted session is told once", wrong, {"evicted": looked}, looked=looked)
