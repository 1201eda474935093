"""SESSION_SCRIPTS=eval: the contract where the server refuses functions. Its core tests, run on such a server."""

import inspect
import subprocess
import sys
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any, Final

import pytest
from redis.exceptions import NoPermissionError

from session_core import SessionManager, acl, library
from session_core.deploy import load_functions
from session_core.errors import StoreFull
from session_core.scripts import script_of
from tests.session_core import (
    scenarios,
    test_change,
    test_input,
    test_lifecycle,
    test_limit,
    test_revocation,
    test_views,
)
from tests.session_core.conftest import APP_PASSWORD, DEPLOY_PASSWORD, Make, prepare, redis_settings
from tests.session_core.servers import Server

pytestmark = pytest.mark.engine
SUITE: Final[tuple[ModuleType, ...]] = (
    test_change,
    test_input,
    test_lifecycle,
    test_limit,
    test_revocation,
    test_views,
)
for _module in SUITE:
    for _name, _test in inspect.getmembers(_module, inspect.isfunction):
        # Those that wait for an expiry cost seconds, and time is not what is other here.
        if (
            _name.startswith("test_")
            and "make" in inspect.signature(_test).parameters
            and "sleep(" not in inspect.getsource(_test)
        ):
            globals()[_name] = _test


@pytest.fixture(params=["redis", "valkey"])
async def without_functions(request: pytest.FixtureRequest) -> Server:
    """The server with users that may call no function, without library and scripts."""
    redis = await prepare(request.getfixturevalue(f"shared_{request.param}"))
    with redis.admin() as admin:
        for user, password, rule in (
            ("sessions", APP_PASSWORD, acl.EVAL_APP_RULE),
            ("deploy", DEPLOY_PASSWORD, acl.EVAL_DEPLOY_RULE),
        ):
            admin.execute_command("ACL", "SETUSER", user, "reset", "on", f">{password}", *rule.split())
        admin.execute_command("FUNCTION", "FLUSH")
        admin.script_flush()
        admin.delete("session_meta")
    assert "needs no library" in await load_functions(redis_settings(redis, session_scripts="eval"))
    return redis


@pytest.fixture
async def make(without_functions: Server) -> AsyncIterator[Make]:
    made: list[SessionManager] = []

    def make_one(**settings: Any) -> SessionManager:
        made.append(SessionManager(redis_settings(without_functions, session_scripts="eval", **settings)))
        return made[-1]

    yield make_one
    for manager in made:
        await manager.aclose()


async def test_the_suite_runs_here_and_functions_are_refused(without_functions: Server) -> None:
    assert sum(name.startswith("test_") for name in globals()) > 40
    with without_functions.admin(username="sessions", password=APP_PASSWORD) as app:
        for command in (
            ("FCALL_RO", "session_library_v1", 0),
            ("SCRIPT", "FLUSH"),
            ("FUNCTION", "LIST"),
            ("KEYS", "*"),
        ):
            with pytest.raises(NoPermissionError):
                app.execute_command(*command)


async def test_a_script_of_the_application_reaches_no_foreign_key(without_functions: Server) -> None:
    with without_functions.admin(username="sessions", password=APP_PASSWORD) as app:
        for text in ("return redis.call('HSET', 'other', 'a', 1)", "return redis.call('KEYS', '*')"):
            with pytest.raises(Exception, match=r"NOPERM|permission|ACL"):
                app.execute_command("EVAL", text, 0)


async def test_scripts_that_the_server_forgot_are_sent_again(make: Make, without_functions: Server) -> None:
    sessions = make()
    session = await sessions.create_session("alice")
    with without_functions.admin() as admin:
        admin.script_flush()
        assert await sessions.refresh_session(session.session_id) is not None
        admin.script_flush()
        assert await sessions.get_user_sessions("alice") != []
        before = admin.info("commandstats")["cmdstat_eval_ro"]["calls"]
        for _ in range(5):
            await sessions.get_user_sessions("alice")
        assert admin.info("commandstats")["cmdstat_eval_ro"]["calls"] == before


async def test_a_full_server_still_ends_sessions(make: Make, without_functions: Server) -> None:
    sessions = make()
    session = await sessions.create_session("alice")
    await sessions.revoke_session("0." + "x" * 43)  # the script is there
    with without_functions.admin() as admin:
        admin.config_set("maxmemory", "1")
        try:
            with pytest.raises(StoreFull):
                await sessions.create_session("bob")
            assert await sessions.revoke_session(session.session_id)
            assert await sessions.count_active_sessions() == 0
        finally:
            admin.config_set("maxmemory", "0")


async def test_the_limit_holds_under_concurrent_logins(make: Make) -> None:
    clients = [make(session_max_concurrent=3) for _ in range(4)]
    await scenarios.logins_leave_exactly_the_limit(clients, 3, 40)


def test_each_script_has_the_flags_of_its_function() -> None:
    assert script_of("session_create_v1").text.startswith("#!lua flags=\n")
    assert script_of("session_revoke_v1").text.startswith("#!lua flags=allow-oom\n")
    assert script_of("session_count_v1").reads
    flagged = library.source().count("flags = {")
    names = [line.split("'")[1] for line in library.source().splitlines() if "function_name = '" in line]
    assert (
        sum(bool(script_of(name).text.partition("\n")[0] != "#!lua flags=") for name in names) == flagged == len(names)
    )


def test_the_command_prints_the_rules() -> None:
    for options, rule in (((), acl.EVAL_APP_RULE), (("--deploy",), acl.EVAL_DEPLOY_RULE)):
        command = [sys.executable, "-m", "session_core", "acl", "--eval", *options]
        assert subprocess.run(command, capture_output=True, text=True, check=True, env={}).stdout.strip() == rule
