"""What a running deployment shows to whom: no secret where it can be read, nothing but TLS, nobody without a name."""

import contextlib
import json
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.exceptions import NoPermissionError

from tests.stack.kit import Access, docker

pytestmark = [pytest.mark.stack, pytest.mark.engine]

SECRETS = re.compile(r"_(password|token)$")


@pytest.fixture(name="secrets")
def _secrets(running: Access) -> dict[str, str]:
    """Every secret of the deployment by name: what is exported, and what stays in its files."""
    exported = running.outputs.model_dump()
    found = {name: value.get_secret_value() for name, value in exported.items() if SECRETS.search(name) and value}
    files = running.stack.directory
    found["node"] = (files / "redis-1" / "node.password").read_text()
    found["replication"] = (files / "redis-1" / "auth.conf").read_text().split()[-1]
    found["key"] = (files / "redis-1" / "tls" / "node.key").read_text().splitlines()[1]
    return found


def test_no_secret_is_in_clear_in_the_state(running: Access, secrets: dict[str, str]) -> None:
    running.stack.pulumi("refresh", "--yes", "--skip-preview")  # what is read back is written there as well
    places = {"stack export": running.stack.pulumi("stack", "export"), "stack file": running.stack.file.read_text()}
    places |= {str(path): path.read_text(errors="replace") for path in running.stack.state.rglob("*.json*")}
    assert len(places) > 2

    assert [(name, place) for name, value in secrets.items() for place, text in places.items() if value in text] == []


def test_no_secret_is_in_docker_inspect_in_an_argv_or_in_a_log(running: Access, secrets: dict[str, str]) -> None:
    ids = docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={running.stack.project}")
    assert len(ids.split()) >= 10
    logs = [subprocess.run(["docker", "logs", each], capture_output=True, check=True) for each in ids.split()]
    places = {
        "inspect": docker("inspect", *ids.split()),
        "processes": "".join(_command_lines()),
        "logs": "".join((log.stdout + log.stderr).decode(errors="replace") for log in logs),
    }

    assert [(name, place) for name, value in secrets.items() for place, text in places.items() if value in text] == []


def _command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # the process has ended
            yield path.read_bytes().decode(errors="replace")


def test_only_the_owner_may_enter_the_rendered_directory(running: Access) -> None:
    assert running.stack.directory.stat().st_mode & 0o777 == 0o700


def test_every_published_port_speaks_only_tls_and_listens_only_here(running: Access) -> None:
    addresses = [*running.outputs.redis_nodes, *running.outputs.sentinels]
    ports = [int(address.rpartition(":")[2]) for address in addresses]
    ports.append(int(running.outputs.url.rpartition(":")[2]))
    context = ssl.create_default_context(cafile=str(running.ca_file))

    for port in ports:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
            plain.sendall(b"PING\r\n")
            plain.settimeout(5)
            answer = b""
            with contextlib.suppress(ConnectionError):
                answer = plain.recv(1000)
            assert not answer or b"400 Bad Request" in answer
        with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
            context.wrap_socket(raw, server_hostname="localhost").close()
    for line in docker("ps", "--format", "{{.Names}} {{.Ports}}").splitlines():
        if line.startswith(running.stack.project):
            assert set(re.findall(r"(\S+):\d+->", line)) <= {"127.0.0.1"}


def test_nobody_gets_in_without_a_name_or_as_default(running: Access) -> None:
    for address in (*running.outputs.redis_nodes, *running.outputs.sentinels):
        with pytest.raises(redis.AuthenticationError):
            running.connect(address).ping()
        with pytest.raises(redis.AuthenticationError):
            running.connect(address).execute_command("AUTH", "default", "")


def test_the_application_may_not_load_functions_read_other_keys_or_change_settings(running: Access) -> None:
    password = running.outputs.sessions_password.get_secret_value()
    application = running.connect(running.address(running.wait_settled()), "sessions", password)

    for words in (
        ("FUNCTION", "LOAD", "#!lua name=x\n"),
        ("CONFIG", "GET", "*"),
        ("KEYS", "*"),
        ("FLUSHALL",),
        ("SET", "session:{1}:x", "y"),
        ("HGETALL", "other"),
        ("PUBLISH", "__sentinel__:hello", "x"),
        ("ACL", "LIST"),
    ):
        with pytest.raises(NoPermissionError):
            application.execute_command(*words)


def test_containers_run_without_root_capabilities_or_a_writable_root(running: Access) -> None:
    ids = docker("ps", "--quiet", "--filter", f"label=com.docker.compose.project={running.stack.project}").split()

    for container in json.loads(docker("inspect", *ids)):
        host = container["HostConfig"]
        assert container["Config"]["User"].split(":")[0] not in {"", "0", "root"}, container["Name"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert host["Memory"] > 0
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert host["RestartPolicy"]["Name"] == "unless-stopped"
