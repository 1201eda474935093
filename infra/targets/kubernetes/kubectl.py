"""The one way to a cluster: kubectl, with the kubeconfig that the user has chosen."""

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

ANSWER_SECONDS = 20
"""For the API server to answer one question."""
SHOWN_WORDS = 7
"""Of a command, in its error: where it is about, and what it asks."""
LAST_LINES = 12
"""Lines of a failed command's output that its error shows."""
UID = ("--output", "jsonpath={.metadata.uid}")
FINE = frozenset({"ContainerCreating", "PodInitializing"})
"""Why a container may wait although nothing is wrong."""
LASTING = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError"}
)
"""Why it may wait for ever (Kubernetes: pkg/kubelet/images/types.go, pkg/kubelet/kuberuntime)."""


Place = tuple[str, ...]
"""As `infra.outputs.place` makes it."""


class ClusterError(RuntimeError):
    """The cluster refused or did not answer; the message says what was asked and why."""


def kubectl(*words: str, text: str | None = None, timeout: float = 60, codes: tuple[int, ...] = (0,)) -> str:
    """Run kubectl with `text` as its input and return its standard output.

    It runs in a session of its own: an interrupt is for the engine of Pulumi, which lets a step come to its end.

    Raises:
        ClusterError: its exit code is none of `codes`, it took longer than `timeout` (s), or it is not installed.

    """
    command = ["kubectl", f"--request-timeout={timeout:.0f}s", *words]
    shown = "kubectl " + " ".join(words[:SHOWN_WORDS])
    try:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            timeout=timeout + 10,
            check=False,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise ClusterError("kubectl is not installed, or not on the PATH") from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{shown}: no answer in {timeout:.0f} s") from None
    if done.returncode not in codes:
        reason = "\n".join(done.stderr.strip().splitlines()[-LAST_LINES:])
        raise ClusterError(f"{shown}: {reason or f'exit code {done.returncode}'}")
    return done.stdout


def cluster_id(where: Place) -> str:
    """Unique id of the cluster, as OpenTelemetry has it (`k8s.cluster.uid`): that of the namespace kube-system.

    Empty where it cannot be had: the cluster is away, or one may not look.
    """
    try:
        return kubectl(*where, "get", "namespace", "kube-system", *UID, timeout=ANSWER_SECONDS)
    except ClusterError:
        return ""


@dataclass(frozen=True)
class Complaint:
    """Why a pod does not run, in Kubernetes' own words."""

    about: str
    """The object, as kubectl names it: `pod/redis-0`."""
    reason: str
    lasting: bool
    """Whether waiting does not help: an image that cannot be had, pods that a quota or Pod Security refuses."""
    outdated: bool = False
    """Whether it is about a pod that its StatefulSet is to replace."""

    def __str__(self) -> str:
        """For the user."""
        return f"{self.about}: {self.reason}"


def complaints(where: Place) -> list[Complaint]:
    """Why pods of a namespace do not run."""
    controllers = _controllers(where)
    wanted = {each["status"].get("updateRevision") for each in controllers}
    found = [
        Complaint(f"pod/{pod['metadata']['name']}", reason, lasting, _revision(pod) not in wanted)
        for pod in _items(where, "pods")
        for reason, lasting in _reasons(pod["status"])
    ]
    return found + [Complaint(about, message, lasting=True) for about, message in _refused(where, controllers).items()]


def try_again(where: Place) -> None:
    """Have pods that were refused be made now: Kubernetes tries ever later by itself, in the end every 1000 s.

    What was in the way may be gone meanwhile, and would still be named.
    """
    if refused := _refused(where, _controllers(where)):
        seen = f"redis-session-kit/tried-again={time.time():.0f}"  # a change of any kind has it looked at
        kubectl(*where, "annotate", "--overwrite", *refused, seen)


def _refused(where: Place, controllers: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Why pods of `controllers` were not made, by the object's name as kubectl has it.

    The last one for each object: names of pods that were refused make every event another one.
    """
    lacking = {each["metadata"]["uid"] for each in controllers if _lacks_pods(each)}
    events = _items(where, "events", "--field-selector", "type=Warning,reason=FailedCreate")
    return {
        f"{each['involvedObject']['kind'].lower()}/{each['involvedObject']['name']}": each["message"]
        for each in sorted(events, key=lambda each: each.get("lastTimestamp") or "")
        if each["involvedObject"]["uid"] in lacking  # an event outlives what it tells of
    }


def _controllers(where: Place) -> list[dict[str, Any]]:
    return _items(where, "statefulsets,replicasets")


def _items(where: Place, *words: str) -> list[dict[str, Any]]:
    return list(json.loads(kubectl(*where, "get", *words, "--output", "json"))["items"])


def _revision(pod: dict[str, Any]) -> str | None:
    """Of its StatefulSet, which replaces pods of others one by one; other controllers' pods have none."""
    label: str | None = pod["metadata"].get("labels", {}).get("controller-revision-hash")
    return label


def _lacks_pods(controller: dict[str, Any]) -> bool:
    """Whether it has not made all pods yet."""
    return int(controller["status"].get("replicas", 0)) < int(controller["spec"].get("replicas", 1))


def _reasons(status: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            yield condition.get("message", "not scheduled"), False
    for container in (*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])):
        waiting = container["state"].get("waiting")
        if waiting and waiting.get("reason") not in FINE:
            reason = waiting.get("reason")
            yield f"{container['name']}: {reason}: {waiting.get('message', '')}", reason in LASTING
        elif "running" in container["state"] and not container["ready"]:
            yield f"{container['name']} runs, but is not ready: kubectl logs", False
