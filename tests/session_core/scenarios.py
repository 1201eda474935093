# ruff: noqa: S311 - chance picks the moment, no secret
"""What must hold under concurrency, as functions that raise AssertionError where it does not.

`clients` are managers with connections of their own, as in several processes. The same functions are run against
a naive implementation, to show that they can fail.
"""

import asyncio
import random
from collections.abc import Sequence

from session_core import RevokedAll, Session, SessionManager

AT_ONCE = 50


async def logins_leave_exactly_the_limit(clients: Sequence[SessionManager], limit: int, logins: int) -> None:
    """Any number of simultaneous logins of one user leave as many sessions as the limit says."""
    made = await asyncio.gather(*(clients[n % len(clients)].create_session("alice") for n in range(logins)))
    found = await asyncio.gather(*(clients[0].get_session(session.session_id) for session in made))
    alive = {session.handle for session in found if session is not None and session.is_active}
    listed = {session.handle for session in await clients[0].get_user_sessions("alice")}
    assert len(alive) == limit, f"{len(alive)} sessions are alive, the limit is {limit}"
    assert listed == alive
    assert await clients[0].count_user_sessions("alice") == limit
    evicted = [handle for session in made for handle in session.evicted]
    assert len(evicted) == len(set(evicted)) == logins - limit, "not every eviction was told exactly once"


async def a_revoked_session_stays_dead(clients: Sequence[SessionManager]) -> None:
    """A revocation in the middle of reads, extensions, changes and rotations leaves nothing alive."""
    session = await clients[0].create_session("alice", {"n": 0})
    ids = [session.session_id]

    async def use(client: SessionManager) -> None:
        for step in range(4):
            await client.get_session(session.session_id)
            await client.refresh_session(session.session_id)
            await client.update_metadata(session.session_id, {"n": step})

    async def rotate(client: SessionManager) -> None:
        await asyncio.sleep(random.random() / 200)
        rotated = await client.rotate_session(session.session_id)
        if rotated is not None:
            ids.append(rotated.session_id)

    async def revoke(client: SessionManager) -> None:
        await asyncio.sleep(random.random() / 200)
        await client.revoke_session(session.session_id, "stolen")

    await asyncio.gather(*(use(client) for client in clients), rotate(clients[0]), revoke(clients[-1]))
    for name in ids:
        found = await clients[0].get_session(name)
        assert found is None or not found.is_active, "a revoked session is alive"
    assert await clients[0].count_active_sessions() == 0
    assert await clients[0].get_user_sessions("alice") == []


async def revocations_win(clients: Sequence[SessionManager], races: int) -> None:
    """Each of so many revocations races with one call of another process; whoever comes first, nothing lives on."""
    made = await asyncio.gather(*(clients[n % len(clients)].create_session(f"user-{n % 8}") for n in range(races)))
    ids = [session.session_id for session in made]

    async def use(number: int) -> None:
        client, session_id = clients[number % len(clients)], ids[number]
        match random.randrange(4):
            case 0:
                found = await client.get_session(session_id)
            case 1:
                found = await client.refresh_session(session_id)
            case 2:
                found = await client.update_metadata(session_id, {"n": number})
            case _:
                found = await client.rotate_session(session_id, grace_seconds=random.randrange(2))
        if found is not None:
            ids.append(found.session_id)

    async def revoke(number: int) -> None:
        await asyncio.sleep(random.random() / 100)
        await clients[-1 - number % len(clients)].revoke_session(ids[number], "stolen")

    for first in range(0, races, AT_ONCE):
        some = range(first, min(first + AT_ONCE, races))
        await asyncio.gather(*(step(number) for number in some for step in (use, revoke)))
    states = await asyncio.gather(*(clients[0].inspect_session(session_id) for session_id in set(ids)))
    alive = sum(found is not None and found.is_active for found in states)
    assert alive == 0, f"{alive} of {races} revoked sessions are alive"
    assert await clients[0].count_active_sessions() == 0
    assert await clients[0].list_active_users() == []


async def an_expired_session_stays_dead(clients: Sequence[SessionManager]) -> None:
    """Extensions that arrive around the moment of expiry bring nothing back: once gone, it is gone."""
    session = await clients[0].create_session("alice", ttl_seconds=1)
    await asyncio.sleep(0.9)

    async def knock(client: SessionManager) -> list[bool]:
        seen = []
        for _ in range(40):
            found = await client.inspect_session(session.session_id)
            seen.append(found is not None)
            await asyncio.sleep(0.005)
        return seen

    async def touch(client: SessionManager) -> None:
        await asyncio.sleep(0.09 + random.random() / 50)
        await client.refresh_session(session.session_id)

    touching = asyncio.gather(*(touch(client) for client in clients))
    seen = await knock(clients[0])
    await touching
    first_miss = seen.index(False) if False in seen else len(seen)
    assert not any(seen[first_miss:]), "an expired session came back"


async def revoke_all_leaves_only_later_logins(clients: Sequence[SessionManager]) -> None:
    """Logins that race with "log out everywhere" either died or are younger than its cut-off."""
    logins = [client.create_session("alice") for client in clients for _ in range(5)]

    async def revoke() -> RevokedAll:
        await asyncio.sleep(random.random() / 100)
        return await clients[0].revoke_user_sessions("alice")

    coming = asyncio.gather(*logins)
    outcome = await revoke()
    await coming
    for session in await clients[0].get_user_sessions("alice"):
        assert session.created_at >= outcome.cutoff, "an older session survived"
    again = await clients[0].revoke_user_sessions("alice")
    assert await clients[0].count_user_sessions("alice") == 0, "a session could not be found to be revoked"
    assert len(again.handles) + len(outcome.handles) == len(logins)


async def updates_are_not_lost(clients: Sequence[SessionManager]) -> None:
    """Changes of different entries by different processes all arrive."""
    session = await clients[0].create_session("alice", {"start": True})
    names = [f"n{n}" for n in range(12)]
    await asyncio.gather(
        *(clients[n % len(clients)].update_metadata(session.session_id, {name: n}) for n, name in enumerate(names))
    )
    found = await clients[0].get_session(session.session_id)
    assert found is not None
    assert set(found.metadata) == {"start", *names}, "a change was lost"


async def log_in_many(sessions: SessionManager, number: int) -> list[Session]:
    """Log so many users in at once; each session holds its number."""
    return await asyncio.gather(*(sessions.create_session(f"user-{n}", {"n": n}) for n in range(number)))


async def is_that_of(sessions: SessionManager, session: Session, number: int) -> None:
    """Read a session; it has to be that of the user with this number."""
    found = await sessions.get_session(session.session_id)
    assert found is not None
    assert (found.user_id, found.metadata) == (f"user-{number}", {"n": number})


async def cancelled_calls_take_no_reply_of_others(sessions: SessionManager, cancellations: int) -> None:
    """Cancel calls before they are sent, under way, and when the reply is there, until so many ended by it."""
    made = await log_in_many(sessions, 100)
    cancelled = 0
    for _ in range(cancellations):
        tasks = [asyncio.create_task(is_that_of(sessions, made[n % 100], n % 100)) for n in range(400)]
        victims = random.sample(tasks, 200)
        while victims:
            await asyncio.sleep(random.choice((0, 0, 0, 0.0005)))
            for task in victims[:20]:
                task.cancel()
            del victims[:20]
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [one for one in outcomes if isinstance(one, Exception)] == []
        cancelled += sum(isinstance(one, asyncio.CancelledError) for one in outcomes)
        if cancelled >= cancellations:
            return
    raise AssertionError(f"only {cancelled} calls ended by their cancellation: the storm was none")
