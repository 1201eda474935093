"""Through Sentinel, with TLS, ACL users and an address map: the way that a deployment is used from outside."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from session_core import Session, SessionManager, acl
from session_core.deploy import load_functions
from session_core.errors import SettingsError, StoreDenied, StoreUnavailable
from session_core.route import DOUBT_SECONDS
from session_core.scripts import script_of
from tests.session_core.sentinel_group import NODES, PASSWORD, SENTINELS, Group, sentinel_group

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def group(bridge: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    directory: Path = tmp_path_factory.mktemp("sentinel")
    directory.chmod(0o755)
    with sentinel_group(bridge, directory) as made:
        yield made


@pytest.fixture
async def sessions(group: Group) -> Any:
    await load_functions(group.settings())
    async with SessionManager(group.settings()) as made:
        yield made


async def test_writes_are_durable_through_sentinel_tls_and_acl(sessions: SessionManager) -> None:
    session = await sessions.create_session("alice", {"access_token": "t"})
    assert session.durable
    found = await sessions.get_session(session.session_id)
    assert found is not None
    assert found.metadata == {"access_token": "t"}


async def test_a_certificate_for_another_name_is_refused(group: Group) -> None:
    first = f"sentinel-1:26379=127.0.0.1:{group.ports['sentinel-2']}"
    settings = group.settings(
        redis_url="rediss-sentinel://sentinel-1:26379/mymaster", redis_address_map=first, session_deadline_seconds=5
    )
    async with SessionManager(settings) as sessions:
        start = time.monotonic()
        with pytest.raises(StoreDenied, match="certificate"):
            await sessions.check()
        assert time.monotonic() - start < 2


async def test_an_authority_that_we_do_not_know_is_refused(group: Group) -> None:
    async with SessionManager(group.settings(redis_ca_file=None)) as sessions:
        with pytest.raises(StoreDenied, match="certificate"):
            await sessions.check()


async def test_a_ca_file_that_cannot_be_used_is_named(group: Group, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for path in (tmp_path / "missing.pem", tmp_path / "empty.pem"):
        with pytest.raises((StoreDenied, SettingsError), match="REDIS_CA_FILE"):
            SessionManager(group.settings(redis_ca_file=path))


async def test_a_wrong_password_for_the_sentinels_is_refused_at_once(group: Group) -> None:
    async with SessionManager(group.settings(redis_sentinel_password="wrong")) as sessions:
        start = time.monotonic()
        with pytest.raises(StoreDenied, match="REDIS_SENTINEL_PASSWORD"):
            await sessions.check()
        assert time.monotonic() - start < 2


async def test_an_unknown_master_name_is_named(group: Group) -> None:
    url = "rediss-sentinel://" + ",".join(f"{name}:26379" for name in SENTINELS) + "/other"
    async with SessionManager(group.settings(redis_url=url, session_deadline_seconds=3)) as sessions:
        with pytest.raises(StoreUnavailable, match="other"):
            await sessions.check()


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_the_same_manager_goes_on_after_the_primary_is_gone(
    group: Group, sessions: SessionManager, how: str
) -> None:
    made = [await sessions.create_session("alice", {"n": n}) for n in range(20)]
    assert all(session.durable for session in made)
    revoked = await sessions.revoke_session(made[0].session_id, "stolen")
    assert revoked.durable
    old = group.primary()
    group.docker(old, how)
    try:
        # Calls in flight wait for the new primary; none is lost, none fails.
        after = await asyncio.gather(*(sessions.get_session(session.session_id) for session in made))
        created = await sessions.create_session("bob")
        assert group.primary() != old
        assert created.durable is False  # the one replica is the old primary
        assert [found.is_active for found in after if found] == [False] + [True] * 19
        assert sessions.effort.repeats > 0
    finally:
        group.docker(old, {"kill": "start", "pause": "unpause"}[how])
    await _until_durable(sessions)


async def test_a_planned_failover_disturbs_nobody(group: Group, sessions: SessionManager) -> None:
    session = await sessions.create_session("alice")
    old = group.primary()
    with group.admin("sentinel-1") as sentinel:
        sentinel.execute_command("SENTINEL", "FAILOVER", "mymaster")
    deadline = time.monotonic() + 15
    while group.primary() == old and time.monotonic() < deadline:
        found = await sessions.get_session(session.session_id)
        assert found is not None
        await sessions.refresh_session(session.session_id)
        await asyncio.sleep(0.02)
    assert group.primary() != old
    assert (await sessions.refresh_session(session.session_id)) is not None
    await _until_durable(sessions)


async def test_a_failover_under_load_costs_no_call_and_no_durable_session(
    group: Group, sessions: SessionManager
) -> None:
    durable: list[Session] = []
    ends = asyncio.Event()

    async def use(number: int) -> int:
        turns = 0
        while not ends.is_set():
            session = await sessions.create_session(f"user-{number}", {"n": number})
            if session.durable:
                durable.append(session)
            chosen = random.choice(durable or [session])  # noqa: S311 - no secret
            found = await sessions.get_session(chosen.session_id)
            assert found is not None
            assert found.user_id == chosen.user_id
            turns += 1
            await asyncio.sleep(0.02)
        return turns

    users = asyncio.gather(*(use(number) for number in range(40)))
    await asyncio.sleep(0.5)
    old = group.primary()
    group.docker(old, "kill")
    try:
        while group.primary() == old:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
        await asyncio.sleep(2)
        ends.set()
        assert min(await users) > 1
        found = await asyncio.gather(*(sessions.get_session(session.session_id) for session in durable))
        names = [session.user_id if session else None for session in found]
        assert names == [session.user_id for session in durable]
        assert len(durable) > 40
    finally:
        group.docker(old, "start")
    await _until_durable(sessions)


@pytest.fixture
async def scripts(group: Group) -> AsyncIterator[SessionManager]:
    """A manager that runs scripts, as a user who may call no function, on servers that have none."""
    nodes = [name for name in group.containers if name not in SENTINELS]
    for rule in (acl.EVAL_APP_RULE, acl.APP_RULE):
        for node in nodes:
            with group.admin(node) as admin:
                admin.execute_command(
                    "ACL", "SETUSER", "sessions", "resetpass", f">{PASSWORD}", "nocommands", *rule.split()
                )
        if rule == acl.EVAL_APP_RULE:
            with group.admin(group.primary()) as admin:
                admin.execute_command("FUNCTION", "FLUSH")
            await load_functions(group.settings(session_scripts="eval"))
            async with SessionManager(group.settings(session_scripts="eval")) as made:
                yield made


async def test_scripts_go_on_on_a_new_primary_that_has_none_of_them(group: Group, scripts: SessionManager) -> None:
    await _until_durable(scripts)
    session, stolen = [await scripts.create_session("carol") for _ in range(2)]
    assert (await scripts.revoke_session(stolen.session_id, "stolen")).durable
    old = group.primary()
    known = [script_of(name).sha for name in ("session_create_v1", "session_revoke_v1")]
    for node, has in ((old, True), (next(name for name in NODES[:2] if name != old), False)):
        with group.admin(node) as admin:
            assert admin.script_exists(*known) == [has, has]
    group.docker(old, "kill")
    try:
        created = await scripts.create_session("bob")
        assert group.primary() != old
        assert await scripts.refresh_session(created.session_id) is not None
        assert [one.handle for one in await scripts.get_user_sessions("carol")] == [session.handle]
        assert await scripts.revoke_session(session.session_id)
        assert await scripts.count_user_sessions("carol") == 0
    finally:
        group.docker(old, "start")
        await asyncio.to_thread(group.wait)
    await _until_durable(scripts)


async def _until_durable(sessions: SessionManager) -> None:
    for _ in range(150):
        if (await sessions.create_session("probe")).durable:
            return
        await asyncio.sleep(0.2)
    pytest.fail("no replica came back")


async def test_a_primary_that_was_replaced_but_still_answers_is_left_within_seconds(
    group: Group, sessions: SessionManager
) -> None:
    # The last test here: it leaves the group split.
    await sessions.create_session("alice")
    old = group.primary()
    with group.admin(old) as admin:  # deaf to the Sentinels and to its replica, as if cut off from them alone
        admin.execute_command("ACL", "SETUSER", "admin", "resetpass", ">other")
        admin.execute_command("CLIENT", "KILL", "USER", "admin", "SKIPME", "yes")
    while group.primary() == old:
        assert await sessions.get_user_sessions("alice")
        await asyncio.sleep(0.05)
    async with SessionManager(group.settings()) as newcomer:
        await newcomer.create_session("bob")
    deadline = time.monotonic() + DOUBT_SECONDS + 1
    while not await sessions.get_user_sessions("bob"):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
