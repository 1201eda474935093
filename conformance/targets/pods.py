"""A way from here to pods: one more of them passes on what `kubectl port-forward` brings it, as a client would."""

import collections
import json
import re
import secrets
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from conformance.faults import FaultError
from conformance.faults.kubernetes import kubectl
from infra.outputs import StackOutputs, place

FIRST_PORT = 7000
LONGEST_SECONDS = 4 * 3600
"""Then Kubernetes ends the pod, whatever has become of us."""
AGAIN_SECONDS = 0.2
RELAY = """
import asyncio, sys

async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()  # to close what the other side still writes to would reset it

def passing_on(host, port):
    async def serve(reader, writer):
        try:
            there, back = await asyncio.wait_for(asyncio.open_connection(host, port), 3)
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, back), copy(there, writer), return_exceptions=True)
        back.close()
        writer.close()
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
    if "namespace" not in outputs.location or outputs.address_map:
        yield outputs
        return
    name = f"conformance-{secrets.token_hex(4)}"
    addresses = (*outputs.redis_nodes, *outputs.sentinels)
    here = place(outputs.location)
    try:
        image = kubectl(*here, "get", "deployment", "session", "--output", _IMAGE)
        kubectl(*here, "create", "-f", "-", text=json.dumps(_pod(name, image, addresses)))
        kubectl(*here, "wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
        with _forwarded(["kubectl", *here, "port-forward", f"pod/{name}"], len(addresses)) as ports:
            places = (f"{address}=127.0.0.1:{port}" for address, port in zip(addresses, ports, strict=True))
            yield outputs.model_copy(update={"address_map": ",".join(places)})
    finally:
        kubectl(*here, "delete", "pod", name, "--ignore-not-found")


def _pod(name: str, image: str, addresses: Sequence[str]) -> dict[str, object]:
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
    metadata = {"name": name, "labels": {"redis-session-kit/client": "true"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


_IMAGE = "jsonpath={.spec.template.spec.containers[0].image}"
_PROBE = f"import socket; socket.create_connection(('127.0.0.1', {FIRST_PORT}), 1)"


@contextmanager
def _forwarded(command: Sequence[str], count: int) -> Iterator[list[int]]:
    """Ports here that the command forwards to FIRST_PORT and the next ones.

    It ends when the other side resets a connection (client-go: portforward.go), and is begun again with these ports.
    """
    forward = _begun(command, [0] * count)
    ports = _ports(forward, count)
    over = threading.Event()

    def keep() -> None:
        nonlocal forward
        while True:
            # It says a line for each connection, and stands still when nobody reads them.
            collections.deque(forward.stdout or (), maxlen=0)
            forward.wait()
            if over.wait(AGAIN_SECONDS):
                return
            forward = _begun(command, ports)

    keeping = threading.Thread(target=keep, daemon=True)
    keeping.start()
    try:
        yield ports
    finally:
        over.set()
        while keeping.is_alive():
            forward.kill()
            keeping.join(AGAIN_SECONDS)


def _begun(command: Sequence[str], ports: Sequence[int]) -> subprocess.Popen[str]:
    pairs = (f"{port or ''}:{FIRST_PORT + number}" for number, port in enumerate(ports))
    return subprocess.Popen([*command, *pairs], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _ports(forward: subprocess.Popen[str], count: int) -> list[int]:
    """The ports that it has chosen, as it names them."""
    found: dict[int, int] = {}
    for line in forward.stdout or ():
        if match := re.fullmatch(r"Forwarding from 127\.0\.0\.1:(\d+) -> (\d+)\n", line):
            found[int(match[2])] = int(match[1])
        if len(found) == count:
            return [found[FIRST_PORT + number] for number in range(count)]
    raise FaultError(f"kubectl port-forward ended with exit code {forward.wait()}")
