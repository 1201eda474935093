"""Measures a deployment on Kubernetes: how long it takes to come up, and what its users notice when its parts go away.

    python -m benchmarks.kubernetes                # everything: half an hour
    python -m benchmarks.kubernetes delete kill    # some faults; of the others the report keeps what it has

Needs the tools of `make tools`. Uses the cluster of KUBECONFIG or of `make cluster`; where there is none, it starts one
of three machines (KIT_CLUSTER_MACHINES for another number), measures that, and removes it afterwards. Brings up a stack
of its own, which is removed as well, also after Ctrl-C. Each fault happens under a writer that logs in 200 users a
second. Writes docs/reports/kubernetes.json and docs/reports/kubernetes.md as it goes.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.deployment import seconds
from benchmarks.kubernetes_page import JSON, write
from conformance.faults import FaultError
from tests.cluster.in_pod import LOGINS_PER_SECOND
from tests.cluster.kit import CLIENT, CLUSTER, Deployment, Stream, Writer, cluster, cluster_is_there, eventually
from tests.stack.kit import Stack, docker

NAME: Final = "figures-kube"
SETTINGS: Final = {
    "target": "kubernetes",
    "redisMaxmemory": "448mb",
    "kubernetes.antiAffinity": "preferred",
    "kubernetes.redisStorage": "2Gi",
}
ENOUGH: Final = 2 * LOGINS_PER_SECOND
"""Logins that are to be accepted after a fault before the writer ends."""
LOST_SECONDS: Final = 120
"""Until Kubernetes takes a machine for lost whose kubelet is silent (node-monitor-grace-period: 50 s), or for found."""
TRIES: Final = 5


@dataclass(frozen=True)
class Bench:
    """A stack on a cluster."""

    stack: Stack
    deployment: Deployment

    def do(self, fault: str, node: str) -> None:
        """Do something to a pod, and wait until it is undone."""
        self.deployment.faults.inject(fault, node)()

    def machine(self, pod: str) -> str:
        """The machine of a pod."""
        return self.deployment.kubectl("get", "pod", pod, "--output", "jsonpath={.spec.nodeName}")

    def is_ready(self, machine: str) -> bool:
        """Whether Kubernetes hears from a machine."""
        condition = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
        return self.deployment.kubectl("get", "node", machine, "--output", condition) == "True"


def primary(bench: Bench) -> str:
    """The primary of a deployment that has settled."""
    return bench.deployment.primary()


def replica(bench: Bench) -> str:
    """A node that is not the primary."""
    found = primary(bench)
    return next(pod for pod in bench.deployment.pods("redis") if pod != found)


def primary_elsewhere(bench: Bench) -> str:
    """A primary on another machine than the writer, whose words pass a kubelet; after handovers if need be."""
    for _ in range(TRIES):
        found = primary(bench)
        if bench.machine(found) != bench.machine(CLIENT):
            return found
        bench.deployment.ctl(found, "handover")
    message = f"the writer and the primary stay on the machine {bench.machine(CLIENT)}"
    raise AssertionError(message)


def all_at_once(bench: Bench, _node: str) -> None:
    """Delete every Redis node and Sentinel."""
    everything = [*bench.deployment.pods("redis"), *bench.deployment.pods("sentinel")]
    bench.deployment.kubectl("delete", "pod", *everything, timeout=180)


def reconfigured(bench: Bench, _node: str) -> None:
    """Change a setting of Redis, so that every node is replaced."""
    bench.stack.set("redisMaxmemory", "512mb")
    bench.stack.up()


def volume_lost(bench: Bench, node: str) -> None:
    """Delete a replica's claim with its pod, until there is another one."""
    named = ("get", "persistentvolumeclaim", f"data-{node}", "--output", "jsonpath={.metadata.uid}")
    before = bench.deployment.kubectl(*named)
    bench.do("lose_volume", node)
    assert bench.deployment.kubectl(*named) != before, f"{node} has its old volume"


def drained(bench: Bench, node: str) -> None:
    """Drain the machine of a node; its pods are ready elsewhere before it takes pods again."""
    machine = bench.machine(node)
    heal = bench.deployment.faults.inject("drain", node)
    try:
        bench.deployment.rolled_out()
        assert bench.machine(node) != machine
    finally:
        heal()


def kubelet_stopped(bench: Bench, node: str) -> None:
    """Stop the kubelet of a node's machine until Kubernetes takes the machine for lost, and 10 s more."""
    machine = bench.machine(node)
    heal = bench.deployment.faults.inject("stop_kubelet", node)
    try:
        eventually(f"{machine} is taken for lost", lambda: not bench.is_ready(machine), LOST_SECONDS)
        time.sleep(10)
    finally:
        heal()
    eventually(f"{machine} is back", lambda: bench.is_ready(machine), LOST_SECONDS)


@dataclass(frozen=True)
class Fault:
    """What is done, to which pod, how often, and what is asked of it.

    `needs`: an ability of the fault back end. `asks`: whether the session service is asked all the time as well.
    """

    what: str
    aim: str
    strike: Callable[[Bench, str], None]
    node: Callable[[Bench], str] = primary
    times: int = 1
    needs: str = "delete"
    asks: bool = False


def _kind(fault: str) -> Callable[[Bench, str], None]:
    return lambda bench, node: bench.do(fault, node)


FAULTS: Final[Mapping[str, Fault]] = {
    "delete": Fault("the primary's pod deleted", "p95 ≤ 4 s, none failed", _kind("delete"), times=10),
    "kill": Fault("the primary's process killed (SIGKILL)", "≤ 8 s", _kind("kill"), times=5, needs="kill"),
    "all": Fault("all pods of Redis and Sentinel deleted at once", "one primary", all_at_once),
    "rolling": Fault("a setting of Redis changed by `pulumi up`", "none failed", reconfigured, asks=True),
    "volume": Fault("a replica's volume and pod deleted", "none failed", volume_lost, node=replica),
    "sentinel": Fault(
        "a Sentinel's pod deleted without grace", "none failed", _kind("delete_now"), node=lambda _: "sentinel-0"
    ),
    "kubelet": Fault(
        "the kubelet of the primary's machine stopped until the machine counts as lost",
        "none failed",
        kubelet_stopped,
        node=primary_elsewhere,
        needs="stop_kubelet",
        asks=True,
    ),
    "drain": Fault("the primary's machine drained", "none failed", drained, needs="drain", asks=True),
}


def main() -> int:
    """Measure what was asked for; 1 if something could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faults", nargs="*", metavar="fault", help=f"all, or some of: {', '.join(FAULTS)}")
    asked = parser.parse_args().faults or list(FAULTS)
    if unknown := sorted(set(asked) - set(FAULTS)):
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    os.environ.setdefault("KIT_CLUSTER_MACHINES", "3")
    report: dict[str, Any] = json.loads(JSON.read_text()) if JSON.exists() else {"faults": {}}
    subprocess.run([*CLUSTER, "build"], check=True)
    was_there, began = cluster_is_there(), time.monotonic()
    with cluster() as kubeconfig:
        if not was_there:
            report["cluster"] = {"made": now(), "seconds": round(time.monotonic() - began, 1)}
        with a_stack(kubeconfig) as bench:
            print("pulumi up", flush=True)
            report["up"] = {"made": now(), "seconds": round(seconds(bench.stack.up), 1)}
            bench.deployment.start_client()
            report["environment"] = environment(bench)
            for name in asked:
                report["faults"][name] = {"made": now(), **measured(bench, name, FAULTS[name])}
                write(report)
    return any("missing" in report["faults"][name] for name in asked)


@contextmanager
def a_stack(kubeconfig: Path) -> Iterator[Bench]:
    """A stack that is not up yet, and gone afterwards with its volumes."""
    with tempfile.TemporaryDirectory() as place:
        stack = Stack(NAME, Path(place) / "state", {})
        bench = Bench(stack, Deployment(kubeconfig, NAME, Path(place)))
        try:
            stack.remove()
            stack.state.mkdir()
            stack.create()
            for key, value in SETTINGS.items():
                stack.set(key, value)
            yield bench
        finally:
            namespace = bench.deployment.namespace
            bench.deployment.kubectl("delete", "namespace", namespace, "--ignore-not-found", timeout=180)
            stack.remove()


def measured(bench: Bench, name: str, fault: Fault) -> dict[str, Any]:
    """Return what the writer noticed, each time; or why there is nothing."""
    told: dict[str, Any] = {"what": fault.what, "aim": fault.aim, "runs": []}
    try:
        if fault.needs not in bench.deployment.faults.abilities:
            return told | {"missing": f"cannot be done on this cluster ({fault.needs})"}
        for number in range(1, fault.times + 1):
            run = once(bench, fault)
            told["runs"].append(run)
            print(f"{name} {number}/{fault.times}: {json.dumps(run)}", flush=True)
    except (AssertionError, FaultError, subprocess.SubprocessError) as error:
        print(f"{name}: broke off: {error}", file=sys.stderr, flush=True)
        return told | {"missing": f"broke off: {str(error).splitlines()[0]}"}
    return told


def once(bench: Bench, fault: Fault) -> dict[str, Any]:
    """Do it once, under a writer."""
    deployment, node = bench.deployment, fault.node(bench)
    with ExitStack() as running:
        requests = running.enter_context(Stream(deployment, "verify")) if fault.asks else None
        writer = running.enter_context(Writer(deployment))
        fault.strike(bench, node)
        writer.wait_for(ENOUGH, 150)
    settled = deployment.primary()
    assert deployment.primaries() == [settled], f"primaries: {deployment.primaries()}"
    asked = {"requests": len(requests.said), "requests_failed": len(requests.failures)} if requests else {}
    return {
        "node": node,
        "gap_s": round(writer.longest_gap, 2),
        "tried": len(writer.said),
        "failed": len(writer.failures),
        "failures": sorted({each.partition(":")[0] for each in writer.failures}),
        "acknowledged": len(writer.succeeded),
        "lost": len(writer.lost()),
        **asked,
    }


def environment(bench: Bench) -> dict[str, str]:
    """Return what the figures depend on."""
    deployment = bench.deployment
    versions = json.loads(deployment.kubectl("version", "--output", "json"))
    server = deployment.ctl("redis-0", "info", "server").splitlines()
    return {
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "docker": docker("version", "--format", "{{.Server.Version}}"),
        "kubernetes": versions["serverVersion"]["gitVersion"],
        "machines of the cluster": str(len(deployment.kubectl("get", "nodes", "--output", "name").split())),
        "redis": next(line.partition(":")[2] for line in server if line.startswith("redis_version:")),
        "logins a second": str(LOGINS_PER_SECOND),
    }


def now() -> str:
    """Return the time for a report."""
    return datetime.now(UTC).isoformat(timespec="seconds")


if __name__ == "__main__":
    sys.exit(main())
