"""The command line, as a process."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from session_core import acl
from session_core.ids import new_session_id
from tests.session_core.conftest import APP_PASSWORD, DEPLOY_PASSWORD, Make
from tests.session_core.servers import Server

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(redis: Server) -> Run:
    environment = {
        "PATH": os.environ["PATH"],
        "REDIS_URL": redis.url,
        "REDIS_USERNAME": "sessions",
        "REDIS_PASSWORD": APP_PASSWORD,
        "REDIS_DEPLOY_USERNAME": "deploy",
        "REDIS_DEPLOY_PASSWORD": DEPLOY_PASSWORD,
    }

    def run_one(*arguments: str, stdin: str = "", **changes: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "session_core", *arguments]
        return subprocess.run(
            command, env=environment | changes, input=stdin, capture_output=True, text=True, timeout=30, check=False
        )

    return run_one


def test_the_rules_are_printed_without_a_server() -> None:
    for option, rule in (((), acl.APP_RULE), (("--deploy",), acl.DEPLOY_RULE), (("--sentinel",), acl.SENTINEL_RULE)):
        command = [sys.executable, "-m", "session_core", "acl", *option]
        assert subprocess.run(command, capture_output=True, text=True, check=True, env={}).stdout.strip() == rule


@pytest.mark.engine
async def test_sessions_are_shown_counted_and_ended(run: Run, on_redis: Make) -> None:
    session = await on_redis().create_session("alice", {"ip": "1.2.3.4", "access_token": "very-secret"})

    def check() -> None:
        shown = run("get", "-", stdin=session.session_id + "\n")
        assert shown.returncode == 0, shown.stderr
        assert json.loads(shown.stdout)["handle"] == session.handle
        assert session.session_id not in shown.stdout
        assert "very-secret" not in shown.stdout
        assert run("get", session.handle).returncode == 0
        assert json.loads(run("list", "alice").stdout)["metadata"] == {"ip": "1.2.3.4"}
        assert run("count").stdout == "1\n"
        assert run("count", "alice").stdout == "1\n"
        assert run("users").stdout == "alice\n"
        assert run("key", "-", stdin=session.session_id).stdout.startswith("session:{")
        assert "revoked" in run("revoke", session.handle, "--reason", "test").stdout
        assert "test" in run("get", session.handle).stdout
        assert run("revoke", "--user", "alice").returncode == 0

    await asyncio.to_thread(check)


def test_a_rule_that_cannot_be_is_refused_and_a_database_needs_select() -> None:
    def rules(*options: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "session_core", "acl", *options]
        return subprocess.run(command, capture_output=True, text=True, check=False, env={})

    assert rules("--database").stdout.strip() == f"{acl.APP_RULE} +select"
    for refused in (rules("--sentinel", "--cluster"), rules("--database", "--cluster")):
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "only database 0" in refused.stderr


def test_settings_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"REDIS_URL=redis://h\nREDIS_PASSWORD=\xff\n")
    command = [sys.executable, "-m", "session_core", "count"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env={}, cwd=tmp_path)
    assert ended.returncode == 1
    assert "not UTF-8" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.engine
async def test_a_reader_that_leaves_early_is_no_error(run: Run, redis: Server, on_redis: Make) -> None:
    sessions = on_redis()
    await asyncio.gather(*(sessions.create_session(f"user-{'x' * 200}-{number}") for number in range(1000)))

    def check() -> None:
        command = [sys.executable, "-m", "session_core", "users"]
        environment = {
            "PATH": os.environ["PATH"],
            "REDIS_URL": redis.url,
            "REDIS_USERNAME": "sessions",
            "REDIS_PASSWORD": APP_PASSWORD,
        }
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout
            assert process.stderr
            process.stdout.read(1)
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 1

    await asyncio.to_thread(check)


@pytest.mark.engine
async def test_what_is_wrong_is_one_line_and_a_status(run: Run) -> None:
    def check() -> None:
        missing = run("get", new_session_id("alice"))
        assert (missing.returncode, missing.stdout) == (3, "")
        assert run("revoke", new_session_id("alice")).returncode == 3
        for bad in (run("get", "nonsense"), run("count", REDIS_PASSWORD="wrong"), run("count", REDIS_URL="")):
            assert bad.returncode == 1
            assert bad.stderr.startswith("session-core: ")
            assert bad.stderr.count("\n") == 1
            assert "Traceback" not in bad.stderr

    await asyncio.to_thread(check)


@pytest.mark.engine
async def test_functions_are_loaded_with_the_deploy_user(run: Run, redis: Server) -> None:
    with redis.admin() as admin:
        admin.execute_command("FUNCTION", "FLUSH")

    def check() -> None:
        assert "functions load" in run("doctor").stdout
        assert "loaded" in run("functions", "load").stdout
        assert "already" in run("functions", "load").stdout
        assert run("functions", "load", REDIS_DEPLOY_PASSWORD="wrong").returncode == 1
        found = run("doctor").stdout
        assert "function library present" in found
        assert "no TLS" in found

    await asyncio.to_thread(check)
