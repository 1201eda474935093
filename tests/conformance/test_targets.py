"""Where the suite looks and what it can do there: endpoints, command hooks, containers that a run has left."""

import asyncio
import json
import os
import socketserver
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hiredis
import pytest

from conformance.cli import main
from conformance.config import Hook
from conformance.faults import FaultError, NoFaults
from conformance.faults.hooks import HookFaults
from conformance.targets import Target, containers, endpoint, probe
from conformance.view import View
from conformance.wire import Login, Reply, Wire
from session_core import Session, SessionManager, Settings
from session_core.address import Address, AddressMap
from session_core.deploy import load_functions
from session_core.errors import SessionError
from tests.session_core import sentinel_group, servers


class Answers(Wire):
    """Everything that is asked gets the same reply."""

    def __init__(self, reply: object) -> None:
        super().__init__(AddressMap(), None)
        self._reply = reply

    def ask(self, _address: Address, _login: Login, *commands: Sequence[str]) -> list[Reply]:
        return [self._reply] * len(commands)


def answering(reply: object) -> Target:
    node = (Address("redis-1", 6379),)
    url = "redis-sentinel://redis-1:26379/mymaster"
    target = Target("endpoint", "x", {"redis_url": url}, frozenset(), nodes=node, sentinels=node)
    vars(target)["wire"] = Answers(reply)
    return target


def test_a_node_that_does_not_say_what_it_is_is_left_out() -> None:
    assert View(answering(["proxy", "x"])).software() == {}
    assert View(answering(["proxy"])).software() == {}


def test_a_sentinel_that_refuses_to_name_replicas_is_told_by_its_words() -> None:
    with pytest.raises(SessionError, match="no Sentinel answers who the replicas are: NOPERM of this user"):
        endpoint.replicated(answering(hiredis.ReplyError("NOPERM of this user")))


async def test_the_probe_leaves_nothing_that_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int, int]] = []

    class Watched(SessionManager):
        async def create_session(self, user_id: str, *more: Any, **named: Any) -> Session:
            asked.append((user_id, self.settings.session_ttl_seconds, self.settings.session_tombstone_seconds))
            return await super().create_session(user_id, *more, **named)

    monkeypatch.setattr("conformance.targets.SessionManager", Watched)
    for _ in range(2):
        await probe(Target("endpoint", "x", {"session_backend": "memory"}, frozenset()))

    (first, *seconds), (second, *_) = asked
    assert first != second
    assert first.startswith("conformance-")
    assert max(seconds) <= 600


def test_a_server_that_is_no_redis_is_told_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class AlwaysOk(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while asked := self.request.recv(4096):
                self.request.sendall(b"+OK\r\n" * asked.count(b"*"))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), AlwaysOk) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{server.server_address[1]}")
        try:
            assert main(["run", "--endpoint", "--out", str(tmp_path)]) == 3
        finally:
            server.shutdown()

    assert capsys.readouterr().err.splitlines()[-1].startswith("conformance: 127.0.0.1:")


def test_a_hook_is_told_the_node_and_healed_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    faults = HookFaults({"kill": Hook(inject=f"echo kill $CONFORMANCE_NODE >> {log}", heal=f"echo heal >> {log}")})

    heal = faults.inject("kill", "redis-1")
    heal()
    heal()

    assert log.read_text() == "kill redis-1\nheal\n"
    assert faults.abilities == {"kill"}


def test_a_hook_that_fails_is_told_by_its_name_and_what_it_said_and_not_by_its_command() -> None:
    failing = "echo to whom it may concern; echo no such group >&2; exit 3 # --token s3cret"
    heal = HookFaults({"failover": Hook(inject="true", heal=failing)}).inject("failover", "")

    for _ in range(2):
        with pytest.raises(FaultError) as raised:
            heal()
        assert str(raised.value) == "faults.failover.heal: exit 3: no such group"


def test_what_a_hook_says_need_not_be_text() -> None:
    with pytest.raises(FaultError, match=r"faults\.kill\.inject: exit 1"):
        HookFaults({"kill": Hook(inject=r"printf '\377' >&2; exit 1")}).inject("kill", "")


def test_who_can_do_nothing_claims_nothing() -> None:
    assert NoFaults().abilities == frozenset()
    with pytest.raises(FaultError, match="kill of redis-1: this target has no way to do it"):
        NoFaults().inject("kill", "redis-1")


@pytest.mark.engine
def test_any_endpoint_is_examined_by_the_variables_of_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    servers.sweep()
    with servers.network() as bridge, servers.redis_server(bridge) as server:
        asyncio.run(load_functions(Settings(_env_file=None, redis_url=server.url)))
        monkeypatch.setenv("REDIS_URL", server.url)
        server.admin().set("somebody-elses", "1")
        command = ["run", "--endpoint", "--profile", "SESSION-CORE", "--profile", "HA-FAILOVER", "--out", str(tmp_path)]
        code = main(command)
        found = {
            each["requirement"]["id"]: each
            for each in json.loads((tmp_path / "report.json").read_text())["requirements"]
        }

        assert code == 2  # HA-FAILOVER was asked for, and cannot be examined
        assert {each["status"] for name, each in found.items() if name.startswith("SES")} == {"pass", "not_supported"}
        assert found["SES-COUNT-002"]["actual"] == "not claimed: exclusive"
        assert found["HA-KILL-001"]["status"] == "not_supported"
        assert server.admin().get("somebody-elses") == b"1"
        assert _alive(server.url) == 0
        assert "[1/" in capsys.readouterr().err

        monkeypatch.setenv("SESSION_WAIT_REPLICAS", "1")  # and there is none
        assert main(["run", "--endpoint", "--id", "DUR-WAIT-001", "--out", str(tmp_path / "alone")]) == 1
        monkeypatch.delenv("SESSION_WAIT_REPLICAS")

        assert main(["run", "--endpoint", "--id", "SEC-TLS-001", "--out", str(tmp_path / "open")]) == 1
        assert "fail    SEC-TLS-001" in capsys.readouterr().err


@pytest.mark.engine
def test_a_failover_by_command_is_judged_by_an_open_connection_and_by_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers.sweep()
    with servers.network() as bridge, servers.redis_server(bridge, "--appendonly", "yes") as server:
        asyncio.run(load_functions(Settings(_env_file=None, redis_url=server.url)))
        container = server.container.get_wrapped_container().id
        config = tmp_path / "managed.yaml"
        config.write_text(
            f"settings: {{REDIS_URL: '{server.url}'}}\nprofiles: [MANAGED]\nrecovery_seconds: 4\n"
            f"faults: {{failover: {{inject: 'docker restart --time 0 {container}'}}}}\n"
        )
        examine = ["run", "--endpoint", "--config", str(config), "--out", str(tmp_path / "out")]
        started = _started(container)
        assert main(examine) == 2, "what hurts was not allowed, and what is skipped is no pass"
        assert _started(container) == started, "nothing was done to it"

        command = [*examine, "--allow-disruptive"]
        assert main(command) == 0
        found = json.loads((tmp_path / "out" / "report.json").read_text())["requirements"]
        assert [each["status"] for each in found] == ["pass", "not_supported"]
        assert 0 < found[0]["evidence"]["gap_max_s"] <= 4

        config.write_text(config.read_text().replace("docker restart --time 0", "true"))
        assert main(command) == 2, "a command that does nothing proves nothing"


def _started(container: str) -> str:
    command = ["docker", "inspect", "--format", "{{.State.StartedAt}}", container]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _alive(url: str) -> int:
    async def count() -> int:
        async with SessionManager(Settings(_env_file=None, redis_url=url)) as sessions:
            return await sessions.count_active_sessions()

    return asyncio.run(count())


def test_an_endpoint_that_is_not_there_is_an_error_of_the_engine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")

    assert main(["run", "--endpoint", "--out", str(tmp_path)]) == 3
    assert "127.0.0.1:1" in capsys.readouterr().err


@pytest.mark.engine
def test_an_endpoint_that_cannot_be_used_is_told_by_what_is_wrong_with_it_in_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ours", "others"):
        (tmp_path / name).mkdir()
        sentinel_group.certificates(tmp_path / name)
    servers.sweep()
    with servers.network() as bridge, servers.redis_server(bridge, certificates=tmp_path / "ours") as server:
        server.admin().acl_setuser("sessions", enabled=True, passwords=["+right"], commands=["+@all"], keys=["*"])
        right = {name.upper(): str(value) for name, value in server.settings.items()}
        right |= {"REDIS_USERNAME": "sessions", "REDIS_PASSWORD": "right"}
        for wrong, problem in (
            ({}, "load the function library"),
            ({"REDIS_CA_FILE": str(tmp_path / "others/ca.crt")}, "the certificate of the server was refused"),
            ({"REDIS_PASSWORD": "wrong"}, "(REDIS_USERNAME, REDIS_PASSWORD, "),
            ({"REDIS_URL": "rediss://no-such-host.invalid/0"}, "no-such-host.invalid"),
        ):
            for name, value in {**right, **wrong}.items():
                monkeypatch.setenv(name, value)
            began = time.monotonic()

            assert main(["run", "--endpoint", "--out", str(tmp_path / "out")]) == 3, wrong
            assert problem in capsys.readouterr().err
            assert time.monotonic() - began < 15


def test_a_deployment_that_does_not_run_is_no_violation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ports = {key: servers.free_port() for key in ("redisPort", "sentinelPort", "httpsPort")}
    settings = [word for key, port in ports.items() for word in ("--set", f"compose.{key}={port}")]
    rendered = tmp_path / "rendered"
    subprocess.run([*containers.RENDER, "--name", "nobody", "--out", str(rendered), *settings], check=True)

    assert main(["run", "--outputs", str(rendered / "outputs.json"), "--out", str(tmp_path / "out")]) == 3
    assert "no Sentinel knows a primary of mymaster" in capsys.readouterr().err


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.engine
def test_what_a_killed_run_has_left_is_removed_by_the_next() -> None:
    gone = 4_000_000  # above the largest process id
    names = {who: f"redis-session-kit-conformance-{containers.PROCESSES}-{who}-abc" for who in (gone, os.getpid())}
    alone = names[gone].replace("abc", "def")  # of that project there is nothing else
    made = []
    try:
        for name in names.values():
            labelled = ("--label", f"{containers.LABEL}={name}")
            made.append(docker("create", *labelled, "--name", name, servers.IMAGE))
        docker("network", "create", "--label", f"{containers.LABEL}={alone}", alone)
        containers.sweep()
        left = docker("ps", "--all", "--format", "{{.Names}}").split()
        assert names[gone] not in left
        assert names[os.getpid()] in left
        assert alone not in docker("network", "ls", "--format", "{{.Name}}").split()
    finally:
        subprocess.run(["docker", "rm", "--force", *made], capture_output=True, check=False)
        subprocess.run(["docker", "network", "rm", alone], capture_output=True, check=False)
