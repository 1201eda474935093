"""A deployment on a cluster, for tests: rendered by the command, applied with kubectl, watched from a pod."""

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import yaml

from conformance.faults.kubernetes import KubernetesFaults

ROOT = Path(__file__).parents[2]
MACHINE = "redis-session-kit-cluster"
"""Container of our own cluster (ci/cluster.sh)."""
CLIENT = "client"
IN_POD = (Path(__file__).parent / "in_pod.py").read_text()
MASTER = "mymaster"
WORKLOADS = ("statefulset/redis", "statefulset/sentinel", "deployment/session", "deployment/exporter")
CLUSTER = ("bash", str(ROOT / "ci" / "cluster.sh"))
BUILD = ("bash", "-c", 'ci=$1; "$ci/cluster.sh" build && "$ci/pulumi-kubernetes.sh"', "build", str(ROOT / "ci"))
"""What our own cluster consists of, and Pulumi's plugin for any; minutes, once."""
T = TypeVar("T")


def eventually(what: str, look: Callable[[], T | None], timeout: float = 90) -> T:
    """Return the first true value of `look`; fail with `what` after `timeout` s."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.5)
    message = f"not in {timeout} s: {what}"
    raise AssertionError(message)


def cluster_is_there() -> bool:
    """Whether a cluster need not be started."""
    machine = subprocess.run(["docker", "exec", MACHINE, "true"], capture_output=True, check=False)
    return "KUBECONFIG" in os.environ or machine.returncode == 0


@contextmanager
def cluster() -> Iterator[Path]:
    """The kubeconfig of a cluster, which KUBECONFIG names meanwhile; gone afterwards if it was not there before."""
    given, was_there = os.environ.get("KUBECONFIG"), cluster_is_there()
    try:
        done = subprocess.run(CLUSTER, stdout=subprocess.PIPE, text=True, check=True, timeout=890)
        os.environ["KUBECONFIG"] = done.stdout.strip()
        yield Path(done.stdout.strip())
    finally:
        if given is None:
            os.environ.pop("KUBECONFIG", None)
        if not was_there:
            subprocess.run([*CLUSTER, "down"], check=True)


@dataclass(frozen=True)
class Deployment:
    """A deployment in a namespace of its own."""

    kubeconfig: Path
    name: str
    out: Path

    @property
    def namespace(self) -> str:
        return f"redis-session-kit-{self.name}"

    def command(self, *words: str) -> list[str]:
        tool = ("bash", "-c", f'. "{ROOT}/ci/env.sh" && exec kubectl "$@"', "kubectl")
        return [*tool, "--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace, *words]

    def kubectl(self, *words: str, text: str | None = None, check: bool = True, timeout: float = 120) -> str:
        """Run kubectl in the namespace; its output."""
        done = subprocess.run(
            self.command(*words), input=text, capture_output=True, text=True, check=False, timeout=timeout
        )
        if check and done.returncode:
            message = f"kubectl {' '.join(words)[:200]} failed:\n{done.stdout}{done.stderr}"
            raise AssertionError(message)
        return done.stdout

    def render(self, *settings: str, checkout: Path = ROOT) -> None:
        """Write the manifests, with KEY=VALUE in place of settings of the stack kind, as the kit in `checkout` does."""
        options = [word for each in settings for word in ("--set", each)]
        words = ["--stack", "kind", "--name", self.name, "--out", str(self.out), *options]
        command = [sys.executable, "-m", "infra.targets.kubernetes", *words]
        subprocess.run(command, cwd=checkout, check=True, capture_output=True)

    @property
    def files(self) -> list[str]:
        return ["-f", str(self.out / "manifests"), "-f", str(self.out / "secrets")]

    def apply(self) -> None:
        self.kubectl("apply", "--server-side", *self.files)

    @contextmanager
    def brought_up(self) -> Iterator[Self]:
        """It runs as it is rendered, with a client; gone afterwards."""
        try:
            self.apply()
            self.rolled_out()
            self.start_client()
            yield self
        finally:
            self.remove()

    def remove(self) -> None:
        """Remove the namespace. Pods go first: Kubernetes looks late again for those that may take long to stop."""
        self.kubectl("delete", "statefulset,deployment,replicaset", "--all", "--cascade=orphan")
        self.kubectl("delete", "pod", "--all", "--grace-period=1")
        self.kubectl("delete", "namespace", self.namespace, "--ignore-not-found", timeout=180)

    def objects(self, file: str) -> list[dict[str, Any]]:
        """The objects of a rendered file."""
        return list(yaml.safe_load_all((self.out / "manifests" / file).read_text()))

    def rolled_out(self, timeout: int = 240) -> None:
        """Wait until every pod is there, in its newest form."""
        for part in WORKLOADS:
            self.kubectl("rollout", "status", part, f"--timeout={timeout}s", timeout=timeout + 10)

    def start_client(self) -> None:
        """A pod with the session library, and the credentials and settings of the session service."""
        service = json.loads(self.kubectl("get", "deployment", "session", "--output", "json"))
        spec = service["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        for field_ in ("readinessProbe", "livenessProbe", "lifecycle", "ports"):
            del container[field_]
        container |= {"name": CLIENT, "command": ["sleep", "infinity"]}
        container["env"] += [{"name": "SERVICE_URL", "value": f"https://session.{self.namespace}.svc.cluster.local"}]
        del spec["initContainers"], spec["affinity"], spec["topologySpreadConstraints"]
        labels = {"redis-session-kit/client": "true"}
        metadata = {"name": CLIENT, "namespace": self.namespace, "labels": labels}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {**spec, "terminationGracePeriodSeconds": 0},
        }
        self.kubectl("apply", "--server-side", "-f", "-", text=json.dumps(pod))
        self.kubectl("wait", "--for=condition=Ready", f"pod/{CLIENT}", "--timeout=120s", timeout=130)

    def in_client(self, *words: str, text: str = "") -> str:
        """Run in_pod.py in the client's pod."""
        return self.kubectl("exec", "-i", CLIENT, "--", "python3", "-c", IN_POD, *words, text=text, timeout=180)

    def ctl(self, pod: str, *words: str) -> str:
        return self.kubectl("exec", pod, "--", "sh", "/run/kit/ctl.sh", *words, check=False)

    def primaries(self) -> list[str]:
        """Pods that say that they are primary."""
        return [pod for pod in self.pods("redis") if "role:master" in self.ctl(pod, "info", "replication")]

    @staticmethod
    def pods(kind: str) -> list[str]:
        return [f"{kind}-{i}" for i in range(3)]

    def primary(self) -> str:
        """The primary of a deployment that has settled: exactly one, two replicas in step, named by every Sentinel."""
        return eventually("one primary with two replicas, named by every Sentinel", self._settled, 120)

    def _settled(self) -> str | None:
        if [self._available(kind) for kind in ("redis", "sentinel")] != ["3", "3"]:
            return None
        replication = {pod: self.ctl(pod, "info", "replication") for pod in self.pods("redis")}
        primaries = [pod for pod, said in replication.items() if "role:master" in said]
        linked = [pod for pod, said in replication.items() if "master_link_status:up" in said]
        if len(primaries) != 1 or len(linked) != len(replication) - 1:
            return None
        named = {self.ctl(pod, "sentinel", "get-master-addr-by-name", MASTER) for pod in self.pods("sentinel")}
        return primaries[0] if len(named) == 1 and named.pop().startswith(f"{primaries[0]}.") else None

    def _available(self, kind: str) -> str:
        """How many pods have been ready for as long as a rolling update waits for that."""
        return self.kubectl("get", "statefulset", kind, "--output", "jsonpath={.status.availableReplicas}")

    def warnings(self, reason: str) -> list[str]:
        """Events of the namespace with a reason, as text."""
        events = json.loads(self.kubectl("get", "events", "--field-selector", f"reason={reason}", "--output", "json"))
        return [f"{each['involvedObject']['name']}: {each['message']}" for each in events["items"]]

    @property
    def faults(self) -> KubernetesFaults:
        """What can be done to its nodes."""
        return KubernetesFaults({"namespace": self.namespace}, [*self.pods("redis"), *self.pods("sentinel")])


@dataclass
class Stream:
    """What a program says that runs in the client's pod while things break: an object for each try."""

    deployment: Deployment
    program: str = "write"
    environment: Sequence[str] = ()
    """NAME=VALUE, of the program."""
    said: list[dict[str, Any]] = field(default_factory=list)

    def __enter__(self) -> Self:
        program = ("env", *self.environment, "python3", "-c", IN_POD, self.program)
        command = self.deployment.command("exec", "-i", CLIENT, "--", *program)
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_for(50)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(60)
        finally:
            self._process.kill()
        self._reader.join(10)

    def _read(self) -> None:
        assert self._process.stdout
        self.said.extend(json.loads(line) for line in self._process.stdout)

    @property
    def succeeded(self) -> Sequence[dict[str, Any]]:
        return [each for each in list(self.said) if "failure" not in each]

    @property
    def failures(self) -> list[str]:
        return [each["failure"] for each in list(self.said) if "failure" in each]

    @property
    def longest_gap(self) -> float:
        """Longest time in s between two that succeeded."""
        times = sorted(each["at"] for each in self.succeeded)
        return max((b - a for a, b in itertools.pairwise(times)), default=0)

    def wait_for(self, more: int, timeout: float = 90) -> None:
        """Wait until `more` further tries have succeeded."""
        goal = len(self.succeeded) + more
        eventually(f"{more} more of {self.program}", lambda: len(self.succeeded) >= goal, timeout)


class Writer(Stream):
    """Logs users in; only a session whose result says durable is acknowledged."""

    @property
    def succeeded(self) -> Sequence[dict[str, Any]]:
        return [each for each in super().succeeded if each["durable"]]

    def lost(self) -> list[str]:
        """Users whose acknowledged session is not there any more."""
        return self.deployment.in_client("lost", text=json.dumps(self.succeeded)).split()
