"""`pulumi up` on a cluster: a deployment that answers, nothing to do the second time, and volumes that stay."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.kit import ROOT, Deployment, eventually
from tests.stack.kit import Stack

pytestmark = [pytest.mark.engine, pytest.mark.cluster, pytest.mark.stack]


@pytest.fixture(name="stack")
def _stack(kubeconfig: Path, tmp_path: Path) -> Iterator[Stack]:
    """A stack on the cluster that is not up yet."""
    stack = Stack("test-kube", tmp_path / "state", {})
    stack.remove()  # what a killed run has left
    stack.state.mkdir()
    try:
        stack.create()
        settings = {"antiAffinity": "preferred", "redisStorage": "1Gi"}
        stack.set("target", "kubernetes")
        stack.set("redisMaxmemory", "64mb")
        for key, value in settings.items():
            stack.set(f"kubernetes.{key}", value)
        yield stack
    finally:
        deployment = Deployment(kubeconfig, stack.name, tmp_path)
        deployment.kubectl("delete", "namespace", deployment.namespace, "--ignore-not-found", timeout=180)
        stack.remove()


def test_up_twice_a_change_by_hand_and_down(stack: Stack, kubeconfig: Path, tmp_path: Path) -> None:
    deployment = Deployment(kubeconfig, stack.name, tmp_path)
    stack.up()
    outputs = stack.pulumi("stack", "output", "--json", "--show-secrets")
    script = [sys.executable, str(ROOT / "ci" / "first_session.py"), stack.name]
    done = subprocess.run(script, input=outputs, capture_output=True, text=True, check=True, timeout=60)
    assert "(durable: true)" in done.stdout
    state = stack.pulumi("stack", "export")
    for name, value in json.loads(outputs).items():
        assert not name.endswith(("_password", "_token")) or value not in state, name

    stack.pulumi("preview", "--refresh", "--expect-no-changes")

    deployment.kubectl("delete", "service", "session")
    stack.up("--refresh")
    deployment.kubectl("get", "service", "session")

    stack.pulumi("destroy", "--yes", "--skip-preview")
    eventually("no pod is left", lambda: not deployment.kubectl("get", "pods", "--output", "name"))
    claims = deployment.kubectl("get", "pvc", "--output", "name").split()
    assert "persistentvolumeclaim/data-redis-0" in claims


def test_a_class_of_volumes_that_is_not_there_is_named_in_the_preview(stack: Stack) -> None:
    stack.set("kubernetes.storageClass", "nowhere")
    said = stack.pulumi("preview", check=False)
    assert not said.startswith("exit 0"), said
    assert 'storageclasses.storage.k8s.io "nowhere" not found' in said


def test_a_cluster_that_is_away_is_named_in_the_preview(stack: Stack, tmp_path: Path) -> None:
    nowhere = tmp_path / "kubeconfig"
    cluster = "{name: away, cluster: {server: 'https://127.0.0.1:9'}}"
    nowhere.write_text(
        f"clusters: [{cluster}]\ncontexts: [{{name: away, context: {{cluster: away}}}}]\ncurrent-context: away\n"
    )
    said = stack.pulumi("preview", check=False, env={"KUBECONFIG": str(nowhere)})
    assert not said.startswith("exit 0"), said
    assert "kubectl get --raw /version: " in said
    assert "KUBECONFIG chooses another file" in said
