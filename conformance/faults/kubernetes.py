"""Faults of a deployment on Kubernetes: through kubectl, and inside of its machines where these are containers here."""

import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

from conformance.faults import FaultError, Heal
from conformance.faults.docker import HANDOVER, SOCKETS, docker, drop, hand_over, once, ports, run
from infra.outputs import place

READY_SECONDS = 90
DRAIN_SECONDS = 100
"""Less than a command may take: whoever is not gone by then is held by a budget, or does not end."""
INSTANCE = "app.kubernetes.io/instance"
"""The label that a deployment's pods share."""
OWN_MACHINE = "redis-session-kit.cluster-machine"
"""Label of the containers that ci/cluster.sh makes; on no other machine is the kubelet touched."""
HOSTNAMES = "docker ps --quiet | xargs -r docker inspect --format '{{.Config.Hostname}} {{.Id}}' 2>/dev/null || :"
"""Of all containers; one of others that is gone in between is an error of the second command alone."""
CONTAINERS = ("ctr", "--namespace", "k8s.io", "tasks")
"""Of containerd, on a machine of the cluster."""


def kubectl(*words: str, text: str | None = None) -> str:
    """Run kubectl, with the user's kubeconfig; what it says.

    Raises:
        FaultError: it failed.
    """
    return run(["kubectl", *words], text)


class KubernetesFaults:
    """Does things to the pods of a namespace, which are named by the first label of the announced names.

    kill (SIGKILL), pause and partition pass Kubernetes by: they are done on the machine of the pod, which has to be a
    container of this Docker engine, as those of kind and of ci/cluster.sh are. What was killed is started again by the
    kubelet, not by whoever heals. A deleted pod is made anew by its StatefulSet, under its name: delete with its grace,
    delete_now without, lose_volume together with its volume; each is healed when the new one is ready. drain empties
    the machine of a pod of this deployment, stop_kubelet lets that of a machine of ci/cluster.sh stand still.
    """

    def __init__(self, location: Mapping[str, str], nodes: Iterable[str]) -> None:
        """Keep the `location` of a deployment's outputs and the announced names of its Redis nodes and Sentinels."""
        self._namespace = location["namespace"]
        self._here = place(location)
        self._nodes = tuple(nodes)

    @property
    def abilities(self) -> frozenset[str]:
        """What kubectl can do, and the rest where it is allowed, and where every machine is a container here."""
        unable: set[str] = set()
        if not self._may_drain():
            unable |= {"drain"}
        if not self._machines:
            unable |= {"kill", "pause", "partition"}
        if not self._machines_are_ours():
            unable |= {"stop_kubelet"}
        return frozenset({*self._faults, "listening"} - unable)

    def inject(self, fault: str, node: str) -> Heal:
        """Do it to the pod of this node, or to its machine."""
        return self._faults[fault](_pod(node))

    def listening(self, node: str) -> frozenset[int]:
        """Read from the kernel, so that a port that nobody has told us of is found as well."""
        return ports(self._kubectl("exec", _pod(node), "--", *SOCKETS))

    @property
    def _faults(self) -> Mapping[str, Callable[[str], Heal]]:
        return {
            "handover": self._hand_over,
            "restart": self._restart,
            "delete": self._delete,
            "delete_now": lambda pod: self._delete(pod, "--grace-period=0", "--force"),
            "lose_volume": self._lose_volume,
            "drain": self._drain,
            "stop_kubelet": self._stop_kubelet,
            "kill": self._kill,
            "pause": self._pause,
            "partition": self._cut_off,
        }

    def _hand_over(self, pod: str) -> Heal:
        return hand_over(pod, lambda: self._kubectl("exec", pod, "--", *HANDOVER))

    def _delete(self, pod: str, *how: str) -> Heal:
        """Over when it is gone; without grace a hook has a second, and its successor may start beside it."""
        before = self._of(pod)["metadata"]["uid"]
        self._kubectl("delete", "pod", pod, *how)
        return once(lambda: self._ready(pod, other_than=before))

    def _restart(self, pod: str) -> Heal:
        heal = self._delete(pod)
        heal()
        return heal

    def _lose_volume(self, pod: str) -> Heal:
        """Its claims are deleted first, and go with the pod that uses them: the next one begins with nothing."""
        volumes = self._of(pod)["spec"]["volumes"]
        claims = [each["persistentVolumeClaim"]["claimName"] for each in volumes if "persistentVolumeClaim" in each]
        self._kubectl("delete", "persistentvolumeclaim", *claims, "--wait=false")
        return self._delete(pod)

    def _drain(self, pod: str) -> Heal:
        """Cordon its machine, and evict this deployment's pods from it as their budgets allow; pods of others stay."""
        found = self._of(pod)
        machine, instance = found["spec"]["nodeName"], found["metadata"]["labels"][INSTANCE]
        heal = once(lambda: self._kubectl("uncordon", machine))
        mine = f"--pod-selector={INSTANCE}={instance}"
        try:
            self._kubectl("drain", machine, mine, "--delete-emptydir-data", f"--timeout={DRAIN_SECONDS}s")
        except FaultError:
            heal()
            raise
        return heal

    def _may_drain(self) -> bool:
        """Whether we are allowed to, and pods have somewhere to go."""
        taking = [each for each in self._cluster if not each["spec"].get("unschedulable")]
        return (
            len(taking) > 1 and self._may("patch", "nodes") and self._may("create", "pods", "eviction", self._namespace)
        )

    def _stop_kubelet(self, pod: str) -> Heal:
        """Its pods run on, and after some time Kubernetes takes the machine for lost."""
        machine = self._machines[self._of(pod)["spec"]["nodeName"]]

        def signal(name: str) -> None:
            docker("exec", machine, "pkill", "--signal", name, "--exact", "kubelet")

        signal("STOP")
        return once(lambda: signal("CONT"))

    def _kill(self, pod: str) -> Heal:
        self._task(pod, "kill", "--signal", "SIGKILL")
        return once(lambda: self._started(pod))

    def _started(self, pod: str) -> None:
        """The kubelet lets what ends again and again wait for minutes; a new pod begins without that."""
        waiting = self._of(pod)["status"]["containerStatuses"][0]["state"].get("waiting", {})
        if waiting.get("reason") == "CrashLoopBackOff":
            self._kubectl("delete", "pod", pod)

    def _pause(self, pod: str) -> Heal:
        self._task(pod, "pause")
        return once(lambda: self._task(pod, "resume"))

    def _cut_off(self, pod: str) -> Heal:
        """DROP rules in the pod's network namespace: it hears no other node, and clients go on reaching it."""
        machine, container = self._place(pod)
        tasks = docker("exec", machine, *CONTAINERS, "list").splitlines()
        process = next(line.split()[1] for line in tasks if line.startswith(container))
        others = [self._of(_pod(name))["status"]["podIP"] for name in self._nodes if _pod(name) != pod]
        return drop(("docker", "exec", machine, "nsenter", "--target", process, "--net", "iptables"), others)

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

    def _task(self, pod: str, *words: str) -> None:
        machine, container = self._place(pod)
        docker("exec", machine, *CONTAINERS, *words, container)

    def _place(self, pod: str) -> tuple[str, str]:
        """The container here that is its machine, and the id of its only container, as containerd has it."""
        found = self._of(pod)
        [container] = found["status"]["containerStatuses"]
        return self._machines[found["spec"]["nodeName"]], container["containerID"].removeprefix("containerd://")

    def _of(self, pod: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._kubectl("get", "pod", pod, "--output", "json"))
        return found

    def _may(self, verb: str, resource: str, subresource: str = "", namespace: str = "") -> bool:
        """Whether the cluster lets us, by its own word."""
        what = {"verb": verb, "resource": resource, "subresource": subresource, "namespace": namespace}
        kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        asked = json.dumps({**kind, "spec": {"resourceAttributes": what}})
        allowed = ("--output", "jsonpath={.status.allowed}")
        return self._kubectl("create", "--filename", "-", *allowed, text=asked) == "true"

    def _kubectl(self, *words: str, text: str | None = None) -> str:
        return kubectl(*self._here, *words, text=text)

    @cached_property
    def _cluster(self) -> list[dict[str, Any]]:
        """The machines of the cluster; none where they may not be seen."""
        if not self._may("list", "nodes"):
            return []
        return list(json.loads(self._kubectl("get", "nodes", "--output", "json"))["items"])

    @cached_property
    def _machines(self) -> Mapping[str, str]:
        """Containers of this Docker engine by the machine of the cluster that they are; empty if one is not here."""
        here = (
            dict(line.split() for line in run(["sh", "-c", HOSTNAMES]).splitlines()) if shutil.which("docker") else {}
        )
        wanted = {each["metadata"]["name"] for each in self._cluster}
        return {name: here[name] for name in wanted} if wanted and here.keys() >= wanted else {}

    def _machines_are_ours(self) -> bool:
        """Whether ci/cluster.sh made all of them."""
        if not self._machines:
            return False
        ours = docker("ps", "--quiet", "--no-trunc", "--filter", f"label={OWN_MACHINE}").split()
        return set(ours) >= set(self._machines.values())


def _pod(node: str) -> str:
    return node.partition(".")[0]
