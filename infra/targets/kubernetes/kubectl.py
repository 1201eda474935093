"""The one way to a cluster: kubectl, with the kubeconfig that the user has chosen."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

ANSWER_SECONDS = 20
"""For the API server to answer one question."""
LAST_LINES = 12
"""Lines of a failed command's output that its error shows."""
FINE = frozenset({"ContainerCreating", "PodInitializing"})
"""Why a container may wait although nothing is wrong."""


class ClusterError(RuntimeError):
    """The cluster refused or did not answer; the message says what was asked and why."""


def kubectl(*words: str, text: str | None = None, timeout: float = 60, codes: tuple[int, ...] = (0,)) -> str:
    """Run kubectl with `text` as its input and return its standard output.

    It runs in a session of its own: an interrupt is for the engine of Pulumi, which lets a step come to its end.

    Raises:
        ClusterError: its exit code is none of `codes`, it took longer than `timeout` (s), or it is not installed.

    """
    command = ["kubectl", f"--request-timeout={timeout:.0f}s", *words]
    shown = "kubectl " + " ".join(words[:5])
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


def complaints(namespace: str) -> list[str]:
    """Why pods of a namespace do not run, in Kubernetes' own words, each with the object that it is about."""
    pods = json.loads(kubectl("--namespace", namespace, "get", "pods", "--output", "json"))["items"]
    found = [f"pod/{pod['metadata']['name']}: {reason}" for pod in pods for reason in _reasons(pod["status"])]
    only = "type=Warning,reason=FailedCreate"  # by quota or Pod Security, before there is a pod
    events = json.loads(
        kubectl("--namespace", namespace, "get", "events", "--field-selector", only, "--output", "json")
    )["items"]
    # The last one for each object: names of pods that were refused make every event another one.
    refused = {f"{each['involvedObject']['kind'].lower()}/{each['involvedObject']['name']}": each for each in events}
    return found + [f"{about}: {each['message']}" for about, each in refused.items()]


def _reasons(status: dict[str, Any]) -> Iterator[str]:
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            yield condition.get("message", "not scheduled")
    for container in (*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])):
        waiting = container["state"].get("waiting")
        if waiting and waiting.get("reason") not in FINE:
            yield f"{container['name']}: {waiting.get('reason')}: {waiting.get('message', '')}"
        elif "running" in container["state"] and not container["ready"]:
            yield f"{container['name']} runs, but is not ready: kubectl logs"
