"""The application's user may do what the library declares and nothing else (S13).

That the rule suffices is shown by every other test here: they all run as that user.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from redis.exceptions import NoPermissionError, ResponseError

from session_core import acl, protocol
from tests.session_core.conftest import APP_PASSWORD, DEPLOY_PASSWORD, Make
from tests.session_core.servers import Server

pytestmark = pytest.mark.engine
ALWAYS = {"auth", "hello", "quit", "reset"}
"""Commands before the login; Redis grants them to everybody."""


async def test_every_other_command_is_refused(redis: Server) -> None:
    with redis.admin() as admin:
        commands = dict(_all_commands(admin))
        allowed = {name for name, arguments in commands.items() if _may_run(admin, name, arguments)}
    assert len(commands) > 300
    assert allowed == {*acl.CALLED, *acl.INSIDE, *ALWAYS}
    everywhere = acl.APP_RULE.removesuffix(f" {acl.EPHEMERAL}")
    assert {word[1:] for word in everywhere.split() if word.startswith("+")} == {*acl.CALLED, *acl.INSIDE}


@pytest.mark.parametrize("command", ["GET", "SET", "INCR", "PEXPIRE", "DEL"])
async def test_what_logins_need_between_processes_touches_no_session(redis: Server, command: str) -> None:
    words = {"SET": ["x"], "PEXPIRE": ["1000"]}.get(command, [])
    with redis.admin() as admin:
        for key in ("session:{1}:x", "session_meta", "other"):
            assert _allows(admin, command, [key, *words]) == (command == "DEL" and key == "session:{1}:x")
        assert _allows(admin, command, ["session_ephemeral:{1}:x", *words])


async def test_the_deploy_user_can_load_functions_and_sees_no_session(redis: Server) -> None:
    with redis.admin(username="deploy", password=DEPLOY_PASSWORD) as deploy:
        for command in (("GET", "session:{1}:x"), ("HMGET", "session:{1}:x", "user"), ("KEYS", "*"), ("FLUSHALL",)):
            with pytest.raises(NoPermissionError):
                deploy.execute_command(*command)


@pytest.mark.parametrize(
    "command",
    [
        ("FUNCTION", "LOAD", "REPLACE", "#!lua name=x\nredis.register_function('x', function() end)"),
        ("FUNCTION", "FLUSH"),
        ("EVAL", "return 1", 0),
        ("CONFIG", "GET", "*"),
        ("KEYS", "*"),
        ("SCAN", 0),
        ("FLUSHDB",),
        ("PUBLISH", "__sentinel__:hello", "x"),
        ("SUBSCRIBE", "x"),
        ("ACL", "LIST"),
        ("SHUTDOWN",),
        ("REPLICAOF", "NO", "ONE"),
        ("CLIENT", "LIST"),
        ("MONITOR",),
    ],
)
async def test_what_an_intruder_would_try_is_refused(redis: Server, command: tuple[str | int, ...]) -> None:
    with redis.admin(username="sessions", password=APP_PASSWORD) as app, pytest.raises(NoPermissionError):
        app.execute_command(*command)


@pytest.mark.parametrize(
    "key",
    ["other", "session:plain", "session", "xsession:{1}:a", "user_sessions:alice", "session_index", "sessions:{1}:a"],
)
async def test_keys_outside_of_the_patterns_are_refused(redis: Server, key: str) -> None:
    with redis.admin(username="sessions", password=APP_PASSWORD) as app:
        for command in (("HSET", key, "a", "b"), ("HMGET", key, "a"), ("DEL", key)):
            with pytest.raises(NoPermissionError):
                app.execute_command(*command)


async def test_every_command_of_the_rule_is_refused_on_any_other_key(redis: Server) -> None:
    keyed = {*acl.CALLED, *acl.INSIDE} - {"role", "time", "wait"}
    with redis.admin() as admin:
        needed = dict(_all_commands(admin))
        for name in keyed:

            def may(key: str, name: str = name) -> bool:
                words: dict[str, list[str]] = {"xread": ["STREAMS", key, "0"]} | {
                    called: ["function", "1", key] for called in ("fcall", "fcall_ro")
                }
                return _allows(admin, name, words.get(name, [key] * needed[name]))

            assert may("session:{1}:x"), name
            assert not [
                key for key in ("other", "session:plain", "session_index", "*", "session_meta:x") if may(key)
            ], name
            assert may("session_meta") == (
                name in {"hmget", "exists", "zcard", "zcount", "zrange", "xread", "fcall_ro"}
            )


async def test_the_layout_of_the_data_is_read_only_for_the_application(redis: Server) -> None:
    with redis.admin(username="sessions", password=APP_PASSWORD) as app:
        assert app.hmget("session_meta", "buckets") == [b"256"]
        with pytest.raises(NoPermissionError):
            app.hset("session_meta", "buckets", 1)
        with pytest.raises(NoPermissionError):
            app.delete("session_meta")


async def test_functions_give_no_way_around_the_key_patterns(redis: Server) -> None:
    with redis.admin() as admin, redis.admin(username="sessions", password=APP_PASSWORD) as app:
        admin.zadd("foreign", {"x": 1})
        with pytest.raises(ResponseError):
            app.execute_command("FCALL_RO", "session_count_v1", 1, "foreign")


async def test_all_keys_are_of_the_declared_patterns_and_hold_no_id(redis: Server, on_redis: Make) -> None:
    sessions = on_redis(session_max_concurrent=2)
    made = [await sessions.create_session("alice", {"access_token": "very-secret"}) for _ in range(3)]
    rotated = await sessions.rotate_session(made[2].session_id)
    await sessions.ephemeral.count("tries", "alice", 60)
    assert rotated is not None
    await sessions.revoke_session(made[1].session_id, "x")
    secrets = [one.session_id.partition(".")[2] for one in (*made, rotated)]
    with redis.admin() as admin:
        keys = [key.decode() for key in admin.keys("*")]
        dump = b"".join(admin.dump(key) or b"" for key in keys) + "".join(keys).encode()
    patterns = (*acl.WRITABLE, acl.PASSING)
    prefixes = tuple(pattern.rstrip("*") for pattern in patterns)
    assert all(key.startswith(prefixes) or key in acl.READABLE for key in keys)
    assert {key.split("{")[0] for key in keys} == {*(pattern.split("{")[0] for pattern in patterns), *acl.READABLE}
    assert not any(secret.encode() in dump for secret in [*secrets, "very-secret"])


async def test_every_key_but_streams_and_indexes_ends_by_itself(redis: Server, on_redis: Make) -> None:
    sessions = on_redis(session_max_concurrent=2)
    for _ in range(4):
        session = await sessions.create_session("alice")
    await sessions.rotate_session(session.session_id)
    with redis.admin() as admin:
        lasting = {key.decode().split("{")[0] for key in admin.keys("*") if admin.pttl(key) == -1}
    assert lasting == {"session_index:", "session_events:", "session_meta"}
    assert protocol.index_keys()[0] == "session_index:{0}"


def _all_commands(admin: Any) -> Iterator[tuple[str, int]]:
    """Every command and subcommand of the server (``config|get``), with how many arguments it needs."""
    connection = admin.connection_pool.get_connection()
    connection.send_command("COMMAND")
    for row in connection.read_response():
        for name, arity, *_ in row[9] or [row]:
            yield name.decode(), abs(arity) - 1 - name.count(b"|")
    admin.connection_pool.release(connection)


def _may_run(admin: Any, name: str, arguments: int) -> bool:
    return _allows(admin, name, ["session:{1}:x"] * arguments)


def _allows(admin: Any, name: str, arguments: list[str]) -> bool:
    try:
        answer = admin.execute_command("ACL", "DRYRUN", "sessions", *name.split("|"), *arguments)
    except ResponseError:  # allowed, and then it found the arguments to be nonsense
        return True
    return answer == b"OK" or b"no permissions to" not in answer
