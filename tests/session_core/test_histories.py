"""A primary goes away in four ways; what was promised before holds afterwards (S4, S6, S7).

A login or logout is durable when one of two replicas has confirmed it (WAIT 1). Sentinel promotes the replica that has
received most, so nothing durable is lost with a primary that dies, hangs or is cut off alone. A planned failover
promises less: Sentinel picks the replica first, and the old primary goes on confirming with the other one for a moment
(redis/redis#6062). What is lost then is reported, not judged, unless both replicas have to confirm (WAIT 2).
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from session_core import SessionManager
from session_core.deploy import load_functions
from session_core.errors import StoreUnavailable
from tests.session_core.histories import History, judge
from tests.session_core.sentinel_group import MASTER, Group, sentinel_group

pytestmark = pytest.mark.engine
LIMIT = 3
MAX_LAG_SECONDS = 2
ROUNDS = int(os.environ.get("KIT_TEST_FAILOVERS", "1"))
"""How often each fault is injected."""
Heal = Callable[[], None]


@pytest.fixture(scope="module")
def group(bridge: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    directory: Path = tmp_path_factory.mktemp("histories")
    directory.chmod(0o755)
    with sentinel_group(
        bridge, directory, 3, f"min-replicas-to-write 1\nmin-replicas-max-lag {MAX_LAG_SECONDS}\n"
    ) as made:
        yield made


@pytest.fixture
def confirmations() -> int:
    return 1


@pytest.fixture
async def sessions(group: Group, confirmations: int) -> Any:
    await load_functions(group.settings(session_wait_timeout_ms=2000))
    settings = group.settings(session_max_concurrent=LIMIT, session_wait_replicas=confirmations)
    async with SessionManager(settings) as made:
        yield made


def kill(group: Group, primary: str) -> Heal:
    group.docker(primary, "kill")
    return lambda: group.docker(primary, "start")


def stop(group: Group, primary: str) -> Heal:
    """SIGSTOP: the connections stay open and say nothing."""
    group.docker(primary, "pause")
    return lambda: group.docker(primary, "unpause")


def hand_over(group: Group, _primary: str) -> Heal:
    with group.admin("sentinel-1") as sentinel:
        sentinel.execute_command("SENTINEL", "FAILOVER", MASTER)
    return lambda: None


def cut_off(group: Group, primary: str) -> Heal:
    """It hears no other node, and its clients go on reaching it."""
    return group.cut(primary, set(group.containers) - {primary})


@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize(
    ("fault", "confirmations"), [(kill, 1), (stop, 1), (cut_off, 1), (hand_over, 1), (hand_over, 2)]
)
async def test_what_was_durable_outlives_the_primary(
    group: Group, sessions: SessionManager, fault: Callable[[Group, str], Heal], confirmations: int, number: int
) -> None:
    await asyncio.to_thread(group.wait)
    old, history = group.primary(), History()
    recording = asyncio.create_task(history.record(sessions, 7))
    await asyncio.sleep(2)
    heal = await asyncio.to_thread(fault, group, old)
    try:
        await recording
        assert group.primary() != old, "the fault did nothing"
    finally:
        await asyncio.to_thread(heal)
    await asyncio.to_thread(group.wait)
    verdict = await judge(history, sessions)
    what, gap = f"{fault.__name__} {number}, WAIT {confirmations}", history.longest_gap()
    print(f"\n{what}: {verdict}, {gap:.1f} s without a login, {dict(history.outcomes)}")
    assert history.outcomes["create durable"] > 20  # a machine that does much else lets few through
    assert history.outcomes["revoke durable"] > 3
    assert verdict.crowd == LIMIT
    if fault is not hand_over or confirmations > 1:
        assert (verdict.lost, verdict.back) == (0, 0)
        assert verdict.overlap <= LIMIT


async def test_a_primary_that_is_cut_off_answers_reads_and_refuses_writes(
    group: Group, sessions: SessionManager
) -> None:
    await asyncio.to_thread(group.wait)
    old = group.primary()
    session = await sessions.create_session("alice")
    heal = await asyncio.to_thread(cut_off, group, old)
    try:
        straight = group.settings(
            redis_url=f"rediss://{old}:6379", redis_sentinel_username="", redis_sentinel_password="",
            session_deadline_seconds=1, session_wait_replicas=1,
        )  # fmt: skip
        async with SessionManager(straight) as stranded:
            start = time.monotonic()
            with pytest.raises(StoreUnavailable, match="NOREPLICAS"):
                await _until_refused(stranded)
            refused = time.monotonic() - start
            print(f"\nwrites refused after {refused:.1f} s, min-replicas-max-lag {MAX_LAG_SECONDS}")
            found = await stranded.get_session(session.session_id)
            assert found is not None
            assert found.is_active
    finally:
        await asyncio.to_thread(heal)


async def _until_refused(sessions: SessionManager) -> None:
    deadline = time.monotonic() + MAX_LAG_SECONDS + 5
    while time.monotonic() < deadline:
        assert (await sessions.create_session("alice")).durable is False
