"""The programs that read what is rendered accept it: Redis, Sentinel, nginx, compose."""

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.components.pki import issue_authority, issue_node
from infra.render.project import plain_files, secret_files
from infra.render.topology import Node, topology
from infra.targets.compose import files
from tests.render.deployments import GIVEN, NAME, PASSWORDS, SPECS

pytestmark = pytest.mark.engine
IMAGES = ("redis:8", "valkey/valkey:8")


def docker(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *words], env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )


def present(image: str) -> bool:
    return docker("image", "inspect", image).returncode == 0


@pytest.fixture(name="project", scope="module", params=SPECS)
def _project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Name and directory of a rendered project with real certificates."""
    spec, tomorrow = SPECS[request.param], (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    authority = issue_authority("test", tomorrow)
    certificates = {}
    for part, names in topology(spec).certified.items():
        issued = issue_node(authority, part, names, tomorrow)
        certificates[part] = issued.cert_pem, issued.key_pem
    directory = tmp_path_factory.mktemp(request.param) / "project"
    rendered = plain_files(spec, NAME) | secret_files(spec, PASSWORDS, authority.cert_pem, certificates, GIVEN)
    files.write(directory, rendered)
    return request.param, directory


@pytest.fixture(name="container", scope="module", params=IMAGES)
def _container(request: pytest.FixtureRequest, project: tuple[str, Path]) -> Iterator[str]:
    """A container with the servers' programs, the project's files, and names for all its nodes."""
    if not present(request.param):
        pytest.skip(f"{request.param} is not on this machine")
    name, directory = project
    parts = topology(SPECS[name])
    hosts = [f"--add-host={node.name}:127.0.0.1" for node in (*parts.redis, *parts.sentinels)]
    container = f"rt-accepted-{name}-{os.getpid()}"
    # The directory is for its owner alone, who is nobody in there: folders are mounted one by one, as compose does.
    mounts = [f"--volume={folder}:/files/{folder.name}:ro" for folder in directory.iterdir() if folder.is_dir()]
    words = ["run", "--detach", "--rm", "--init", "--name", container, "--user=999:999", *hosts, *mounts]
    tmpfs = [f"--tmpfs={path}:uid=999,gid=999,mode=0700" for path in ("/run", "/data")]
    started = docker(*words, *tmpfs, "--entrypoint=sleep", request.param, "300")
    assert started.returncode == 0, started.stderr
    try:
        yield container
    finally:
        docker("rm", "--force", "--volumes", container)


def start(container: str, node: Node, kind: str, program: str) -> subprocess.CompletedProcess[str]:
    """Start a node's server with its files where the container would have them."""
    text = f"""
      set -e
      if command -v valkey-server >/dev/null; then engine=valkey; else engine=redis; fi
      ln -sfn /files/{node.name} /run/kit
      mkdir -p /run/redis
      cat /run/kit/users.acl >/run/redis/users.acl
      sed 's/@PRIMARY@/redis-1 6379/' /run/kit/{kind}.conf /run/kit/auth.conf >/run/redis/{node.name}.conf
      $engine-{program} /run/redis/{node.name}.conf --daemonize yes --logfile /run/redis/{node.name}.log
      for try in 1 2 3 4 5 6 7 8 9 10; do
        ! $engine-cli -p {node.port} --tls --cacert /run/kit/tls/ca.crt PING >/dev/null 2>&1 || exit 0
        sleep 0.2
      done
      cat /run/redis/{node.name}.log >&2
      exit 1
    """
    return docker("exec", container, "sh", "-c", text)


def ask(container: str, node: Node, user: str, password: str, *words: str) -> str:
    """A server's answer over TLS, with its certificate checked for the node's name."""
    text = """
      if command -v valkey-cli >/dev/null; then engine=valkey; else engine=redis; fi
      user=$1 host=$2 port=$3; shift 3
      [ "$user" ] && set -- --user "$user" "$@"
      set -- --tls --sni "$host" --cacert /run/kit/tls/ca.crt --no-auth-warning "$@"
      exec $engine-cli -h "$host" -p "$port" "$@" 2>&1
    """
    address = [user, node.name, str(node.port)]
    # Without a value of its own, `-e` takes the variable from here: the password is in no argv.
    environment = ["-e", "REDISCLI_AUTH"] if user else []
    return docker(
        "exec", *environment, container, "sh", "-c", text, "sh", *address, *words, REDISCLI_AUTH=password
    ).stdout


def stop(container: str, node: Node) -> None:
    ask(container, node, "admin", PASSWORDS["admin"], "SHUTDOWN", "NOSAVE")


@pytest.mark.parametrize(("kind", "program"), [("redis", "server"), ("sentinel", "sentinel")])
def test_a_real_server_starts_with_the_files_of_each_node(
    project: tuple[str, Path], container: str, kind: str, program: str
) -> None:
    parts = topology(SPECS[project[0]])
    for node in parts.redis if kind == "redis" else parts.sentinels:
        started = start(container, node, kind, program)
        assert started.returncode == 0, started.stderr
        assert ask(container, node, "node", PASSWORDS["node"], "PING") == "PONG\n"
        assert "WRONGPASS" in ask(container, node, "node", "wrong", "PING")
        assert "NOAUTH" in ask(container, node, "", "", "PING"), "a connection without a user may run nothing"
        for password in ("", "anything", PASSWORDS["admin"]):
            assert "WRONGPASS" in ask(container, node, "", "", "AUTH", "default", password)
        assert "NOPERM" in ask(container, node, "node", PASSWORDS["node"], "ACL", "LIST")
        stop(container, node)


def test_redis_runs_with_what_was_asked_for(project: tuple[str, Path], container: str) -> None:
    spec = SPECS[project[0]]
    node = topology(spec).redis[0]
    assert start(container, node, "redis", "server").returncode == 0
    wanted = {
        "maxmemory": str(spec.redis.maxmemory),
        "maxmemory-policy": spec.redis.maxmemory_policy,
        "appendonly": "yes",
        "appendfsync": spec.redis.appendfsync,
        "save": spec.redis.save,
        "port": "0",
        "tls-replication": "yes",
        "min-replicas-to-write": str(spec.redis.min_replicas_to_write),
        "masteruser": "replication",
        "repl-backlog-size": str(16 * 1024 * 1024),
    }
    for setting, value in wanted.items():
        answer = ask(container, node, "admin", PASSWORDS["admin"], "CONFIG", "GET", setting)
        assert answer.splitlines() == [setting, value] or (not value and answer.split() == [setting]), setting
    stop(container, node)


def test_sentinel_watches_by_name_with_what_was_asked_for(project: tuple[str, Path], container: str) -> None:
    spec = SPECS[project[0]]
    node = topology(spec).sentinels[0]
    assert start(container, node, "sentinel", "sentinel").returncode == 0
    answer = ask(container, node, "admin", PASSWORDS["admin"], "SENTINEL", "MASTER", spec.sentinel.master_name).split(
        "\n"
    )
    told = dict(zip(answer[::2], answer[1::2], strict=False))
    assert (told["ip"], told["port"], told["quorum"]) == ("redis-1", "6379", str(spec.sentinel.quorum))
    assert told["down-after-milliseconds"] == str(spec.sentinel.down_after_ms)
    assert told["failover-timeout"] == str(spec.sentinel.failover_timeout_ms)
    stop(container, node)


def test_nginx_accepts_the_gateways_configuration(project: tuple[str, Path]) -> None:
    gateway = project[1] / "gateway"
    hardened = ["--read-only", "--cap-drop=ALL", "--user=101:101", "--tmpfs=/tmp:uid=101,gid=101,mode=0700"]
    words = ["run", "--rm", "--network=none", *hardened, f"--volume={gateway}:/run/kit:ro", "--entrypoint=nginx"]
    checked = docker(*words, "nginx:stable", "-t", "-c", "/run/kit/nginx.conf", "-g", "daemon off;")
    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr


def test_compose_accepts_the_project(project: tuple[str, Path]) -> None:
    checked = docker("compose", "--project-directory", str(project[1]), "config", "--quiet")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
