"""Atomicity on the real server: the races that other implementations lose."""

import asyncio
from collections.abc import Sequence

import pytest

from session_core import SessionManager
from tests.session_core import scenarios
from tests.session_core.conftest import Make

pytestmark = pytest.mark.engine
PROCESSES = 4


def _clients(make: Make, **settings: object) -> Sequence[SessionManager]:
    return [make(**settings) for _ in range(PROCESSES)]


@pytest.mark.parametrize("policy", ["oldest", "idle"])
@pytest.mark.parametrize(("limit", "logins"), [(1, 20), (3, 50)])
async def test_any_number_of_simultaneous_logins_leaves_exactly_the_limit(
    on_redis: Make, limit: int, logins: int, policy: str
) -> None:
    clients = _clients(on_redis, session_max_concurrent=limit, session_limit_policy=policy)
    await scenarios.logins_leave_exactly_the_limit(clients, limit, logins)


async def test_simultaneous_logins_under_the_reject_policy_admit_exactly_the_limit(on_redis: Make) -> None:
    clients = _clients(on_redis, session_max_concurrent=3, session_limit_policy="reject")
    logins = (clients[n % PROCESSES].create_session("alice") for n in range(30))
    outcomes = await asyncio.gather(*logins, return_exceptions=True)
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 3
    assert await clients[0].count_user_sessions("alice") == 3


async def test_a_revoked_session_stays_dead_whatever_races_with_it(on_redis: Make) -> None:
    clients = _clients(on_redis, session_refresh_threshold=86_400)
    for _ in range(10):
        await scenarios.a_revoked_session_stays_dead(clients)


async def test_ten_thousand_revocations_win_their_races(on_redis: Make) -> None:
    clients = _clients(on_redis, session_refresh_threshold=86_400)
    for _ in range(20):
        await scenarios.revocations_win(clients, 500)


async def test_an_expired_session_stays_dead_whatever_extends_it(on_redis: Make) -> None:
    await scenarios.an_expired_session_stays_dead(_clients(on_redis))


async def test_revoke_all_racing_with_logins_leaves_only_later_ones(on_redis: Make) -> None:
    clients = _clients(on_redis)
    for _ in range(5):
        await scenarios.revoke_all_leaves_only_later_logins(clients)


async def test_no_update_is_lost_between_processes(on_redis: Make) -> None:
    await scenarios.updates_are_not_lost(_clients(on_redis))


async def test_simultaneous_rotations_have_one_winner(on_redis: Make) -> None:
    clients = _clients(on_redis)
    session = await clients[0].create_session("alice")
    outcomes = await asyncio.gather(
        *(client.rotate_session(session.session_id) for client in clients), return_exceptions=True
    )
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
    assert await clients[0].count_user_sessions("alice") == 1


async def test_cancelled_calls_never_leave_their_reply_to_others(on_redis: Make) -> None:
    sessions = on_redis(redis_max_connections=4)
    made = [await sessions.create_session(f"user-{n}", {"n": n}) for n in range(20)]

    async def read(number: int) -> None:
        found = await sessions.get_session(made[number].session_id)
        assert found is not None
        assert (found.user_id, found.metadata["n"]) == (f"user-{number}", number)

    for step in range(60):
        tasks = [asyncio.create_task(read(number)) for number in range(20)]
        await asyncio.sleep(step % 12 / 4000)
        for task in tasks[::2]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        wrong = [one for one in outcomes if isinstance(one, Exception)]
        assert wrong == []
