"""A whole deployment of its own for tests: driven through the Pulumi command line, gone afterwards."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import redis

from infra.outputs import StackOutputs, parse
from infra.targets.compose.wanted import directory
from session_core.settings import Settings

ROOT = Path(__file__).parents[2]
PULUMI = ("bash", "-c", f'. "{ROOT}/ci/env.sh" && exec pulumi --non-interactive "$@"', "pulumi")
"""The Pulumi that the kit uses, which need not be on the PATH."""
PASSPHRASE = "only for tests"
PULUMI_TIMEOUT = 420  # s
T = TypeVar("T")


def eventually(what: str, look: Callable[[], T], timeout: float = 60) -> T:
    """Return the first true value of `look`; fail with `what` after `timeout` s."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.1)
    message = f"not in {timeout} s: {what}"
    raise AssertionError(message)


def docker(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=check, timeout=120)
    return done.stdout.strip()


@dataclass(frozen=True)
class Stack:
    """A stack with a name, ports and a Pulumi state of its own."""

    name: str
    state: Path
    ports: Mapping[str, int]

    @property
    def file(self) -> Path:
        return ROOT / "stacks" / f"Pulumi.{self.name}.yaml"

    @property
    def directory(self) -> Path:
        return directory(self.name)

    @property
    def project(self) -> str:
        return f"redis-session-kit-{self.name}"

    def container(self, service: str) -> str:
        return f"{self.project}-{service}-1"

    def pulumi(self, *arguments: str, check: bool = True, env: Mapping[str, str] | None = None) -> str:
        """Run Pulumi on this stack; its output, and its errors behind it."""
        done = subprocess.run(
            [*PULUMI, *arguments, "--stack", self.name],
            cwd=ROOT,
            env={**self.environment(), **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=PULUMI_TIMEOUT,
        )
        if check and done.returncode:
            message = f"pulumi {' '.join(arguments)} failed:\n{done.stdout}"
            raise AssertionError(message)
        return done.stdout if check else f"exit {done.returncode}\n{done.stdout}"

    def make(self, target: str) -> str:
        """Run `make` for this stack, as a user would; its output."""
        done = subprocess.run(
            ["make", target, f"STACK={self.name}"],
            cwd=ROOT,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=PULUMI_TIMEOUT,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_CONFIG")}
        inherited["PULUMI_BACKEND_URL"] = f"file://{self.state}"
        inherited["PULUMI_CONFIG_PASSPHRASE"] = PASSPHRASE
        return inherited

    def create(self) -> None:
        """Make the empty stack."""
        self.file.write_text("config:\n  redis-session-kit:target: compose\n")
        self.pulumi("stack", "init")
        for key, port in self.ports.items():
            self.set(f"compose.{key}", str(port))

    def set(self, key: str, value: str) -> None:
        self.pulumi("config", "set", *(["--path"] if "." in key else []), f"redis-session-kit:{key}", value)

    @contextmanager
    def setting(self, key: str, value: str) -> Iterator[None]:
        """Set a value for a while; afterwards the stack file is what it was, whatever happens."""
        before = self.file.read_text()
        self.set(key, value)
        try:
            yield
        finally:
            self.file.write_text(before)

    def up(self, *arguments: str) -> str:
        return self.pulumi("up", "--yes", "--skip-preview", "--suppress-outputs", *arguments)

    def outputs(self) -> StackOutputs:
        text = self.pulumi("stack", "output", "--json", "--show-secrets")
        return parse(json.loads(text), self.name)

    def remove(self) -> None:
        """Remove everything this stack may have left, whatever state it is in."""
        subprocess.run(
            ["docker", "compose", "--project-name", self.project, "down", "--remove-orphans", "--timeout", "5"],
            capture_output=True,
            check=False,
            timeout=120,
        )
        label = f"label=com.docker.compose.project={self.project}"
        removals = (("ps --all", "rm --force --volumes"), ("volume ls", "volume rm"), ("network ls", "network rm"))
        for kind, remove in removals:
            if ids := docker(*kind.split(), "--quiet", "--filter", label).split():
                docker(*remove.split(), *ids, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self.state, ignore_errors=True)
        self.file.unlink(missing_ok=True)


@dataclass(frozen=True)
class Access:
    """The deployment from this host, as its outputs describe it."""

    stack: Stack
    outputs: StackOutputs
    ca_file: Path

    @classmethod
    def to(cls, stack: Stack) -> "Access":
        outputs = stack.outputs()
        ca_file = stack.state / "ca.pem"
        ca_file.write_text(outputs.ca_pem)
        return cls(stack, outputs, ca_file)

    @property
    def settings(self) -> Settings:
        """For the session library, as an application on this host would have them."""
        secret = self.outputs.sentinel_password
        return Settings(
            _env_file=None,
            redis_url=f"rediss-sentinel://{','.join(self.outputs.sentinels)}/{self.outputs.master_name}/0",
            redis_username=self.outputs.users.sessions,
            redis_password=self.outputs.sessions_password,
            redis_sentinel_username=self.outputs.users.sentinel,
            redis_sentinel_password=secret,
            redis_ca_file=self.ca_file,
            redis_address_map=self.outputs.address_map,
            session_max_concurrent=5,
        )

    def connect(self, address: str, username: str | None = None, password: str | None = None) -> Any:
        """Connect to an announced address (redis-py types its commands for two kinds of client at once)."""
        return redis.Redis(
            host="127.0.0.1",
            port=int(address.rpartition(":")[2]),
            username=username,
            password=password,
            ssl=True,
            ssl_ca_certs=str(self.ca_file),
            decode_responses=True,
            protocol=2,
            socket_timeout=2,
            socket_connect_timeout=2,
        )

    def address(self, name: str) -> str:
        addresses = (*self.outputs.redis_nodes, *self.outputs.sentinels)
        return next(address for address in addresses if address.startswith(f"{name}:"))

    def node(self, name: str) -> Any:
        """Connect to a Redis node or Sentinel as `admin`."""
        assert self.outputs.admin_password
        return self.connect(self.address(name), "admin", self.outputs.admin_password.get_secret_value())

    def names(self, kind: str) -> list[str]:
        addresses = self.outputs.redis_nodes if kind == "redis" else self.outputs.sentinels
        return [address.partition(":")[0] for address in addresses]

    def primary(self) -> str:
        """The node that a majority of the Sentinels names; empty while none is."""
        named = []
        for sentinel in self.names("sentinels"):
            try:
                answer = self.node(sentinel).execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")
            except redis.RedisError:
                continue
            named.append(answer[0])
        best = max(set(named), key=named.count, default="")
        return str(best) if named.count(best) > len(self.outputs.sentinels) // 2 else ""

    def settled(self) -> bool:
        """One primary, every other node in step with it and electable, known so to each Sentinel."""
        try:
            primary = self.primary()
            leading = self.node(primary).info("replication") if primary else {}
            if leading.get("role") != "master" or leading["connected_slaves"] != len(self.outputs.redis_nodes) - 1:
                return False
            others = [self.node(name).info("replication") for name in self.names("redis") if name != primary]
            if any(one["master_link_status"] != "up" or one["slave_priority"] == 0 for one in others):
                return False
            return all(self._knows(sentinel) for sentinel in self.names("sentinels"))
        except (redis.RedisError, KeyError):
            return False

    def _knows(self, sentinel: str) -> bool:
        replies = self.node(sentinel).execute_command("SENTINEL", "REPLICAS", "mymaster")
        states = [one if isinstance(one, dict) else dict(zip(one[::2], one[1::2], strict=True)) for one in replies]
        usable = [one for one in states if one["slave-priority"] == "100" and one["flags"] == "slave"]
        return len(usable) == len(self.outputs.redis_nodes) - 1

    def wait_settled(self) -> str:
        eventually("one primary with every replica in step", self.settled, 90)
        return self.primary()
