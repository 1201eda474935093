"""A way from here to pods: one more of them passes on what `kubectl port-forward` brings it, as a client would."""

import json
import re
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from conformance.faults import FaultError
from conformance.faults.kubernetes import kubectl
from infra.outputs import StackOutputs

FIRST_PORT = 7000
LONGEST_SECONDS = 4 * 3600
"""Then Kubernetes ends the pod, whatever has become of us."""
RELAY = """
import asyncio, sys

async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()

def passing_on(host, port):
    async def serve(reader, writer):
        try:
            there, back = await asyncio.wait_for(asyncio.open_connection(host, port), 3)
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, back), copy(there, writer), return_exceptions=True)
    return serve

async def main():
    for number, address in enumerate(sys.argv[2:]):
        host, _, port = address.rpartition(":")
        await asyncio.start_server(passing_on(host, int(port)), "127.0.0.1", int(sys.argv[1]) + number)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@contextmanager
def reached(outputs: StackOutputs) -> Iterator[StackOutputs]:
    """The outputs with an address map by which this host reaches a deployment on Kubernetes; others as they are.

    The pod is removed at the end. It has the label of clients (docs/kubernetes.md), and the session service's image.

    Raises:
        FaultError: the pod does not run, or cannot be reached.
    """
    namespace = outputs.location.get("namespace")
    if not namespace or outputs.address_map:
        yield outputs
        return
    name = f"conformance-{secrets.token_hex(4)}"
    addresses = (*outputs.redis_nodes, *outputs.sentinels)
    here = ("--namespace", namespace)
    try:
        kubectl(*here, "create", "-f", "-", text=json.dumps(_pod(name, namespace, addresses)))
        kubectl(*here, "wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
        command = [
            "kubectl",
            *here,
            "port-forward",
            f"pod/{name}",
            *(f":{FIRST_PORT + n}" for n in range(len(addresses))),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as forward:
            try:
                places = _places(forward, addresses)
                yield outputs.model_copy(
                    update={"address_map": ",".join(f"{a}={place}" for a, place in places.items())}
                )
            finally:
                forward.kill()
    finally:
        kubectl(*here, "delete", "pod", name, "--ignore-not-found")


def _pod(name: str, namespace: str, addresses: Sequence[str]) -> dict[str, object]:
    image = kubectl("--namespace", namespace, "get", "deployment", "session", "--output", _IMAGE)
    container = {
        "name": "relay",
        "image": image,
        "command": ["python3", "-c", RELAY, str(FIRST_PORT), *addresses],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # A probe from outside would need another port: it listens for the port-forward alone.
        "readinessProbe": {"exec": {"command": ["python3", "-c", _PROBE]}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
    }
    spec = {
        "containers": [container],
        "restartPolicy": "Never",
        "activeDeadlineSeconds": LONGEST_SECONDS,
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10_001, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    metadata = {"name": name, "namespace": namespace, "labels": {"redis-session-kit/client": "true"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


_IMAGE = "jsonpath={.spec.template.spec.containers[0].image}"
_PROBE = f"import socket; socket.create_connection(('127.0.0.1', {FIRST_PORT}), 1)"


def _places(forward: subprocess.Popen[str], addresses: Sequence[str]) -> dict[str, str]:
    """Where each address is reached from here."""
    if forward.stdout is None:
        raise ValueError("its output is not read")
    found: dict[int, str] = {}
    for line in forward.stdout:
        if match := re.fullmatch(r"Forwarding from (127\.0\.0\.1:\d+) -> (\d+)\n", line):
            found[int(match[2])] = match[1]
        if len(found) == len(addresses):
            return {address: found[FIRST_PORT + number] for number, address in enumerate(addresses)}
    raise FaultError(f"kubectl port-forward ended with exit code {forward.wait()}")
