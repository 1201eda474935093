"""What is done to pods and machines, by commands in place of kubectl and docker that write down what they are asked."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conformance.faults import FaultError
from conformance.faults.kubernetes import KubernetesFaults
from conformance.targets.pods import _forwarded

KUBECTL = """#!/bin/sh
case "$*" in
  *"create --filename -"*) [ -e "$WORLD/forbidden" ] && echo false || echo true; exit ;;
  *"get nodes"*) cat "$WORLD/nodes"; exit ;;
  *"get pod "*) cat "$WORLD/pod"; exit ;;
esac
echo "kubectl $*" >>"$WORLD/done"
case "$*" in
  *"delete pod"*) mv "$WORLD/next" "$WORLD/pod" ;;
  *" drain "*) ! [ -e "$WORLD/held" ] || { echo "Cannot evict pod" >&2; exit 1; } ;;
esac
"""
DOCKER = """#!/bin/sh
case "$*" in
  *label=redis-session-kit.cluster-machine*) cat "$WORLD/ours" ;;
  ps*) cut -d' ' -f2 "$WORLD/containers" ;;
  inspect*) cat "$WORLD/containers" ;;
  *) echo "docker $*" >>"$WORLD/done" ;;
esac
"""
HERE = "--context prod --namespace sessions"
NODE = "redis-1.redis.sessions.svc.cluster.local"


def pod(uid: str) -> str:
    return json.dumps(
        {
            "metadata": {"uid": uid, "labels": {"app.kubernetes.io/instance": "kind"}},
            "spec": {
                "nodeName": "machine-2",
                "volumes": [{"emptyDir": {}}, {"persistentVolumeClaim": {"claimName": "data-redis-1"}}],
            },
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"containerID": "containerd://abc", "state": {"running": {}}}],
            },
        }
    )


@dataclass(frozen=True)
class World:
    """A cluster of two machines, both containers here that ci/cluster.sh made."""

    path: Path

    def put(self, name: str, text: str = "") -> None:
        (self.path / name).write_text(text)

    def nodes(self, *specs: dict[str, Any]) -> None:
        items = [{"metadata": {"name": f"machine-{n}"}, "spec": spec} for n, spec in enumerate(specs, 1)]
        self.put("nodes", json.dumps({"items": items}))

    @property
    def done(self) -> list[str]:
        found = self.path / "done"
        return found.read_text().splitlines() if found.exists() else []

    @property
    def faults(self) -> KubernetesFaults:
        return KubernetesFaults({"context": "prod", "namespace": "sessions"}, [NODE])


@pytest.fixture(name="world")
def _world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    for name, script in (("kubectl", KUBECTL), ("docker", DOCKER)):
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(script)
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("WORLD", str(tmp_path))
    world = World(tmp_path)
    world.nodes({}, {})
    world.put("pod", pod("before"))
    world.put("next", pod("after"))
    world.put("containers", "machine-1 c1\nmachine-2 c2\nsomebody-elses c3\n")
    world.put("ours", "c1\nc2\n")
    return world


EVERYWHERE = {"handover", "restart", "delete", "delete_now", "lose_volume", "listening"}
ON_MACHINES = {"kill", "pause", "partition"}


def test_all_can_be_done_on_machines_of_our_own(world: World) -> None:
    assert world.faults.abilities == EVERYWHERE | ON_MACHINES | {"drain", "stop_kubelet"}


def test_the_kubelet_of_a_machine_that_we_did_not_make_is_left_alone(world: World) -> None:
    world.put("ours", "c1\n")
    assert world.faults.abilities == EVERYWHERE | ON_MACHINES | {"drain"}


def test_where_a_machine_is_not_here_only_kubectl_is_left(world: World) -> None:
    world.put("containers", "machine-1 c1\n")
    assert world.faults.abilities == EVERYWHERE | {"drain"}


@pytest.mark.parametrize("only", [({},), ({}, {"unschedulable": True})])
def test_a_machine_is_not_drained_whose_pods_could_go_nowhere(world: World, only: tuple[dict[str, Any], ...]) -> None:
    world.nodes(*only)
    assert "drain" not in world.faults.abilities


def test_who_may_not_see_machines_does_nothing_to_them(world: World) -> None:
    world.put("forbidden")
    assert world.faults.abilities == EVERYWHERE


@pytest.mark.parametrize(
    ("fault", "words"), [("delete", ""), ("delete_now", " --grace-period=0 --force"), ("restart", "")]
)
def test_a_deleted_pod_is_healed_by_its_successor(world: World, fault: str, words: str) -> None:
    world.faults.inject(fault, NODE)()
    assert world.done == [f"kubectl {HERE} delete pod redis-1{words}"]
    assert "after" in (world.path / "pod").read_text()


def test_a_volume_is_lost_with_its_pod(world: World) -> None:
    world.faults.inject("lose_volume", NODE)()
    assert world.done == [
        f"kubectl {HERE} delete persistentvolumeclaim data-redis-1 --wait=false",
        f"kubectl {HERE} delete pod redis-1",
    ]


def test_only_this_deployments_pods_are_drained_and_the_machine_takes_pods_again(world: World) -> None:
    heal = world.faults.inject("drain", NODE)
    drained = f"kubectl {HERE} drain machine-2 --pod-selector=app.kubernetes.io/instance=kind --delete-emptydir-data"
    assert world.done == [f"{drained} --timeout=100s"]
    heal()
    heal()
    assert world.done[1:] == [f"kubectl {HERE} uncordon machine-2"]


def test_a_drain_that_a_budget_holds_leaves_no_machine_closed(world: World) -> None:
    world.put("held")
    with pytest.raises(FaultError, match="Cannot evict pod"):
        world.faults.inject("drain", NODE)
    assert world.done[1:] == [f"kubectl {HERE} uncordon machine-2"]


def test_a_kubelet_stands_still_and_goes_on(world: World) -> None:
    world.faults.inject("stop_kubelet", NODE)()
    pkill = "docker exec c2 pkill --signal {} --exact kubelet"
    assert world.done == [pkill.format("STOP"), pkill.format("CONT")]


def test_a_pod_is_killed_and_paused_by_its_containers_id(world: World) -> None:
    world.faults.inject("kill", NODE)()
    world.faults.inject("pause", NODE)()
    ctr = "docker exec c2 ctr --namespace k8s.io tasks"
    assert world.done == [f"{ctr} kill --signal SIGKILL abc", f"{ctr} pause abc", f"{ctr} resume abc"]


FORWARD = """#!/bin/sh
echo "$*" >>"$WORLD/done"
if [ -e "$WORLD/again" ]; then exec sleep 60; fi
touch "$WORLD/again"
echo "Forwarding from 127.0.0.1:4001 -> 7000"
echo "Forwarding from [::1]:4001 -> 7000"
echo "Forwarding from 127.0.0.1:4002 -> 7001"
yes "Handling connection for 4001" | head -n 10000
exit 1
"""


def test_a_way_to_pods_that_ends_is_opened_again_at_the_same_place(world: World) -> None:
    command = world.path / "forward"
    command.write_text(FORWARD)
    command.chmod(0o755)
    with _forwarded([str(command), "pod/relay"], 2) as ports:
        assert ports == [4001, 4002]
        deadline = time.monotonic() + 10
        while len(world.done) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
    assert world.done == ["pod/relay :7000 :7001", "pod/relay 4001:7000 4002:7001"]
