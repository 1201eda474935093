"""Faults of a deployment on Kubernetes: through kubectl, and inside of its machines where these are containers here."""

import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

from conformance.faults import FaultError, Heal
from conformance.faults.docker import HANDOVER, SOCKETS, docker, drop, hand_over, once, ports, run

READY_SECONDS = 90
CONTAINERS = ("ctr", "--namespace", "k8s.io", "tasks")
"""Of containerd, on a machine of the cluster."""


def kubectl(*words: str, text: str | None = None) -> str:
    """Run kubectl on the cluster of KUBECONFIG; what it says.

    Raises:
        FaultError: it failed.
    """
    return run(["kubectl", *words], text)


class KubernetesFaults:
    """Does things to the pods of a namespace, which are named by the first label of the announced names.

    kill (SIGKILL), pause and partition pass Kubernetes by: they are done on the machine of the pod, which has to be a
    container of this Docker engine, as those of kind and of ci/cluster.sh are. What was killed is started again by the
    kubelet, not by whoever heals.
    """

    def __init__(self, namespace: str, nodes: Iterable[str]) -> None:
        """Keep the namespace and the announced names of its Redis nodes and Sentinels."""
        self._namespace = namespace
        self._nodes = tuple(nodes)

    @property
    def abilities(self) -> frozenset[str]:
        """What kubectl can do, and the rest where every machine is a container here."""
        return frozenset(self._by_kubectl) | {"listening"} | (frozenset(self._by_machine) if self._machines else set())

    def inject(self, fault: str, node: str) -> Heal:
        """Do it to the pod of this node."""
        return {**self._by_kubectl, **self._by_machine}[fault](_pod(node))

    def listening(self, node: str) -> frozenset[int]:
        """Read from the kernel, so that a port that nobody has told us of is found as well."""
        return ports(self._kubectl("exec", _pod(node), "--", *SOCKETS))

    @property
    def _by_kubectl(self) -> Mapping[str, Callable[[str], Heal]]:
        return {
            "handover": self._hand_over,
            "restart": self._restart,
        }

    @property
    def _by_machine(self) -> Mapping[str, Callable[[str], Heal]]:
        return {"kill": self._kill, "pause": self._pause, "partition": self._cut_off}

    def _hand_over(self, pod: str) -> Heal:
        return hand_over(pod, lambda: self._kubectl("exec", pod, "--", *HANDOVER))

    def _restart(self, pod: str) -> Heal:
        """The pod is deleted, and its StatefulSet makes another one of its name: over when that is ready."""
        before = self._of(pod)["metadata"]["uid"]
        self._kubectl("delete", "pod", pod)
        self._ready(pod, other_than=before)
        return lambda: None

    def _kill(self, pod: str) -> Heal:
        self._on_machine(pod, *CONTAINERS, "kill", "--signal", "SIGKILL", self._container(pod))
        return once(lambda: self._started(pod))

    def _started(self, pod: str) -> None:
        """The kubelet lets what ends again and again wait for minutes; a new pod begins without that."""
        waiting = self._of(pod)["status"]["containerStatuses"][0]["state"].get("waiting", {})
        if waiting.get("reason") == "CrashLoopBackOff":
            self._restart(pod)

    def _pause(self, pod: str) -> Heal:
        container = self._container(pod)
        self._on_machine(pod, *CONTAINERS, "pause", container)
        return once(lambda: self._on_machine(pod, *CONTAINERS, "resume", container))

    def _cut_off(self, pod: str) -> Heal:
        """DROP rules in the pod's network namespace: it hears no other node, and clients go on reaching it."""
        tasks = self._on_machine(pod, *CONTAINERS, "list").splitlines()
        container = self._container(pod)
        process = next(line.split()[1] for line in tasks if line.startswith(container))
        others = [self._of(_pod(name))["status"]["podIP"] for name in self._nodes if _pod(name) != pod]
        inside = ("docker", "exec", self._machine(pod), "nsenter", "--target", process, "--net", "iptables")
        return drop(inside, others)

    def _ready(self, pod: str, other_than: str) -> None:
        """Wait for a new pod of this name."""
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_new_and_ready(pod, other_than):
            if time.monotonic() > deadline:
                raise FaultError(f"pod/{pod}: no new one is ready after {READY_SECONDS} s")
            time.sleep(0.5)

    def _is_new_and_ready(self, pod: str, other_than: str) -> bool:
        try:
            found = self._of(pod)
        except FaultError:
            return False  # between two pods there is none
        conditions = found["status"].get("conditions", [])
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
        return ready and found["metadata"]["uid"] != other_than

    def _on_machine(self, pod: str, *words: str) -> str:
        return docker("exec", self._machine(pod), *words)

    def _machine(self, pod: str) -> str:
        return self._machines[self._of(pod)["spec"]["nodeName"]]

    def _container(self, pod: str) -> str:
        """The id of the only container of a pod, as containerd has it."""
        [container] = self._of(pod)["status"]["containerStatuses"]
        return str(container["containerID"]).removeprefix("containerd://")

    def _of(self, pod: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._kubectl("get", "pod", pod, "--output", "json"))
        return found

    def _kubectl(self, *words: str) -> str:
        return kubectl("--namespace", self._namespace, *words)

    @cached_property
    def _machines(self) -> Mapping[str, str]:
        """Containers of this Docker engine by the machine of the cluster that they are; empty if one is not here."""
        wanted = kubectl("get", "nodes", "--output", "jsonpath={.items[*].metadata.name}").split()
        ids = docker("ps", "--quiet").split() if shutil.which("docker") else []
        if not ids:
            return {}
        here = dict(
            line.split() for line in docker("inspect", "--format", "{{.Config.Hostname}} {{.Id}}", *ids).splitlines()
        )
        return {name: here[name] for name in wanted} if here.keys() >= set(wanted) else {}


def _pod(node: str) -> str:
    return node.partition(".")[0]
