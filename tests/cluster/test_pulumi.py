"""`pulumi up` on a cluster: a deployment that answers, nothing to do the second time, and volumes that stay."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.targets.kubernetes.kubectl import UID, kubectl
from tests.cluster.kit import ROOT, Deployment, eventually
from tests.stack.kit import Stack

pytestmark = [pytest.mark.engine, pytest.mark.cluster, pytest.mark.stack]
CHART = Path(__file__).parent / "chart"


@pytest.fixture(name="stack")
def _stack(kubeconfig: Path, tmp_path: Path) -> Iterator[Stack]:
    """A stack on the cluster that is not up yet."""
    stack = Stack("test-kube", tmp_path / "state", {})
    deployment = Deployment(kubeconfig, stack.name, tmp_path)
    deployment.remove()  # what a killed run has left
    stack.remove()
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
        deployment.remove()
        stack.remove()


@pytest.fixture(name="deployment")
def _deployment(kubeconfig: Path, stack: Stack, tmp_path: Path) -> Deployment:
    return Deployment(kubeconfig, stack.name, tmp_path)


def test_up_twice_a_change_by_hand_and_down(
    stack: Stack, deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = kubectl("config", "current-context").strip()
    stack.set("kubernetes.context", context)
    elsewhere = tmp_path / "kubeconfig"
    elsewhere.write_bytes(deployment.kubeconfig.read_bytes())
    monkeypatch.setenv("KUBECONFIG", str(elsewhere))
    kubectl("config", "unset", "current-context")

    stack.up()
    check_first_session(stack)
    check_secrets_are_hidden(stack)
    check_nothing_to_do(stack)
    assert differences(deployment, manifests(stack)) == ""

    with stack.setting("kubernetes.redisStorage", "2Gi"):
        said = stack.pulumi("preview", check=False)
    assert 'The StatefulSet "redis" is invalid' in said, said

    deployment.kubectl("delete", "service", "session")
    deployment.kubectl("scale", "deployment", "session", "--replicas=1")
    deployment.kubectl("patch", "configmap", "redis", "--patch", '{"data": {"ctl.sh": "changed by hand"}}')
    before = identities(deployment)
    at_another_address(stack, elsewhere, context)
    stack.up("--refresh")
    assert differences(deployment, manifests(stack)) == ""
    assert before.items() <= identities(deployment).items(), "no pod of Redis or Sentinel was replaced"

    check_another_cluster_is_left_alone(stack, deployment)
    check_down_leaves_the_volumes(stack, deployment)


@pytest.mark.long
def test_what_a_former_version_applied_is_taken_over_and_data_goes_where_it_is_to(
    stack: Stack, deployment: Deployment
) -> None:
    stack.set("kubernetes.deleteData", "true")
    stack.up()
    former = as_a_former_version(stack, deployment)
    before = identities(deployment)
    primary = deployment.primary()

    said = stack.up()
    assert "taking over" in said, said
    assert identities(deployment) == before, "nothing was replaced"
    assert deployment.primary() == primary
    assert not deployment.kubectl("get", "configmap", "stale", "--ignore-not-found")
    assert "stale" not in json.loads(deployment.kubectl("get", "configmap", "redis", "--output", "json"))["data"]
    assert differences(deployment, manifests(stack)) == ""
    stack.pulumi("preview", "--refresh", "--expect-no-changes")

    # Destroyed by this version without an `up` before: all that the former one made goes.
    stack.pulumi("stack", "import", "--file", str(former))
    stack.pulumi("destroy", "--yes", "--skip-preview")
    eventually("nothing is left", lambda: not deployment.kubectl("get", "namespace", deployment.namespace, check=False))


@pytest.mark.long
def test_a_chart_makes_redis(stack: Stack, deployment: Deployment) -> None:
    """The chart stands in for a public one, and takes the values that are for that."""
    stack.set("redisSource", "helm")
    stack.set("kubernetes.chart", "cagriekin")
    stack.set("kubernetes.chartSource", f"./{CHART.relative_to(ROOT)}")
    stack.up()
    made = {(each["type"], each["inputs"]["metadata"]["name"]) for each in objects(exported(stack)) if each["custom"]}
    assert ("kubernetes:apps/v1:StatefulSet", "redis") in made
    check_first_session(stack)
    check_secrets_are_hidden(stack)
    check_nothing_to_do(stack)
    check_down_leaves_the_volumes(stack, deployment)


def check_first_session(stack: Stack) -> None:
    script = [sys.executable, str(ROOT / "ci" / "first_session.py"), stack.name]
    done = subprocess.run(script, input=outputs(stack), capture_output=True, text=True, check=True, timeout=60)
    assert "(durable: true)" in done.stdout


def check_secrets_are_hidden(stack: Stack) -> None:
    state = stack.pulumi("stack", "export")
    for name, value in json.loads(outputs(stack)).items():
        if name.endswith(("_password", "_token")):
            assert value not in state, name
            assert base64.b64encode(value.encode()).decode() not in state, name


def check_nothing_to_do(stack: Stack) -> None:
    stack.pulumi("preview", "--refresh", "--expect-no-changes")
    stack.pulumi("up", "--yes", "--expect-no-changes")


def at_another_address(stack: Stack, kubeconfig: Path, context: str) -> None:
    """The same cluster by another context, whose address is written otherwise."""
    config = json.loads(kubectl("--context", context, "config", "view", "--raw", "--minify", "--output", "json"))
    [cluster], [now] = config["clusters"], config["contexts"]
    same = {**cluster["cluster"], "server": cluster["cluster"]["server"] + "/"}
    config["clusters"].append({"name": "same", "cluster": same})
    config["contexts"].append({"name": "same", "context": {**now["context"], "cluster": "same"}})
    kubeconfig.write_text(json.dumps(config))
    stack.set("kubernetes.context", "same")


def check_another_cluster_is_left_alone(stack: Stack, deployment: Deployment) -> None:
    """There is only one here: it is another than the one of a state that names another."""
    here, there = deployment.kubectl("get", "namespace", "kube-system", *UID), "00000000-0000-4000-8000-000000000000"
    ours = stack.pulumi("stack", "export")
    assert here in ours
    put_state(stack, ours.replace(here, there))
    before = identities(deployment)
    for command in (("preview",), ("refresh", "--yes", "--skip-preview"), ("destroy", "--yes", "--skip-preview")):
        said = stack.pulumi(*command, check=False)
        assert f"this stack is on another cluster: the namespace kube-system has the uid {there} there" in said, said
    assert identities(deployment) == before
    put_state(stack, ours)


def put_state(stack: Stack, state: str) -> Path:
    file = stack.state / "put.json"
    file.write_text(state)
    stack.pulumi("stack", "import", "--file", str(file))
    return file


def check_down_leaves_the_volumes(stack: Stack, deployment: Deployment) -> None:
    stack.pulumi("destroy", "--yes", "--skip-preview")
    eventually("no pod is left", lambda: not deployment.kubectl("get", "pods", "--output", "name"))
    claims = deployment.kubectl("get", "pvc", "--output", "name").split()
    assert "persistentvolumeclaim/data-redis-0" in claims


def outputs(stack: Stack) -> str:
    return stack.pulumi("stack", "output", "--json", "--show-secrets")


def exported(stack: Stack) -> dict[str, Any]:
    """The state, with secrets in clear."""
    return dict(json.loads(stack.pulumi("stack", "export", "--show-secrets")))


def manifests(stack: Stack) -> list[dict[str, Any]]:
    """What Pulumi has applied, without what it says to itself."""
    found = [clear(each["inputs"]) for each in objects(exported(stack))]
    for each in found:
        kept = {
            key: text for key, text in each["metadata"].pop("annotations").items() if not key.startswith("pulumi.com/")
        }
        each["metadata"] |= {"annotations": kept} if kept else {}
    return found


def objects(state: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in state["deployment"]["resources"] if each["type"].startswith("kubernetes:")]


def clear(value: Any) -> Any:
    """Return a copy of a part of the state with secrets in clear."""
    if isinstance(value, dict):
        return json.loads(value["plaintext"]) if "plaintext" in value else {k: clear(v) for k, v in value.items()}
    return [clear(each) for each in value] if isinstance(value, list) else value


def differences(deployment: Deployment, wanted: list[dict[str, Any]]) -> str:
    """What `kubectl diff --server-side` says."""
    return deployment.kubectl("diff", "--server-side", "--force-conflicts", "-f", "-", text=yaml.safe_dump_all(wanted))


def identities(deployment: Deployment) -> dict[str, str]:
    """Unique ids of what holds sessions, by kind and name: another one would be another pod or volume."""
    selected = ("--selector", "app.kubernetes.io/name in (redis, sentinel)", "--output", "json")
    found = json.loads(deployment.kubectl("get", "pods,pvc,statefulsets", *selected))["items"]
    return {f"{each['kind']}/{each['metadata']['name']}": each["metadata"]["uid"] for each in found}


def as_a_former_version(stack: Stack, deployment: Deployment) -> Path:
    """Make cluster and state what they were after the `up` of a version that had kubectl apply everything."""
    applied = manifests(stack)
    stale = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "stale", "namespace": deployment.namespace}}
    for each in applied:
        if (each["kind"], each["metadata"]["name"]) == ("ConfigMap", "redis"):
            each["data"]["stale"] = "of a former version"
    namespace, *others = [*applied, stale]
    assert namespace["kind"] == "Namespace"
    deployment.kubectl(
        "apply", "--server-side", "--force-conflicts", "-f", "-", text=yaml.safe_dump_all([namespace, *others])
    )
    state = exported(stack)
    ours = [each["urn"] for each in objects(state)]
    resources = [
        each
        for each in state["deployment"]["resources"]
        if each["urn"] not in ours and not each["type"].endswith((":Preflight", "providers:kubernetes"))
    ]
    (wait,) = [each for each in resources if each["type"].endswith(":AppliedManifests")]
    wait["dependencies"], wait["propertyDependencies"] = [], {}
    for part in ("inputs", "outputs"):
        wait[part] = {
            "__provider": wait["inputs"]["__provider"],
            "namespace": deployment.namespace,
            "plain": {
                "00-namespace.yaml": yaml.safe_dump(namespace),
                "20-redis.yaml": yaml.safe_dump_all([each for each in others if each["kind"] != "Secret"]),
            },
            "secrets": yaml.safe_dump_all([each for each in others if each["kind"] == "Secret"]),
            "needs": [],
            "deleteData": True,
            "live": "as applied",
        }
    state["deployment"]["resources"] = resources
    return put_state(stack, json.dumps(state))


def test_who_may_do_nothing_is_told_what_was_refused(stack: Stack, deployment: Deployment, tmp_path: Path) -> None:
    powerless = kubeconfig_of("default", tmp_path)
    said = stack.pulumi("up", "--yes", "--skip-preview", check=False, env={"KUBECONFIG": str(powerless)})
    assert not said.startswith("exit 0"), said
    assert 'User "system:serviceaccount:default:default" cannot' in said
    assert deployment.namespace in said
    assert not kubectl("get", "namespace", deployment.namespace, "--ignore-not-found")


@pytest.mark.long
def test_rights_in_a_namespace_of_others_are_enough(
    stack: Stack, deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl("create", "namespace", deployment.namespace)
    deployment.kubectl("create", "serviceaccount", "tenant")
    account = f"{deployment.namespace}:tenant"
    deployment.kubectl("create", "rolebinding", "tenant", "--clusterrole=admin", f"--serviceaccount={account}")
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig_of("tenant", tmp_path, deployment.namespace)))
    stack.set("kubernetes.createNamespace", "false")
    stack.up()
    check_first_session(stack)
    check_nothing_to_do(stack)
    check_down_leaves_the_volumes(stack, deployment)


def kubeconfig_of(account: str, directory: Path, namespace: str = "default") -> Path:
    """Of a service account, in place of the administrator."""
    token = kubectl("--namespace", namespace, "create", "token", account).strip()
    config = json.loads(kubectl("config", "view", "--raw", "--output", "json"))
    config["users"] = [{"name": each["name"], "user": {"token": token}} for each in config["users"]]
    file = directory / "kubeconfig-of-an-account"
    file.write_text(json.dumps(config))
    return file


def test_a_class_of_volumes_that_is_not_there_is_named_in_the_preview(stack: Stack) -> None:
    stack.set("kubernetes.storageClass", "nowhere")
    said = stack.pulumi("preview", check=False)
    assert not said.startswith("exit 0"), said
    assert 'storageclasses.storage.k8s.io "nowhere" not found' in said


def test_a_cluster_that_is_away_is_named_in_the_preview(stack: Stack, deployment: Deployment, tmp_path: Path) -> None:
    nowhere = tmp_path / "kubeconfig"
    cluster = "{name: away, cluster: {server: 'https://127.0.0.1:9'}}"
    nowhere.write_text(
        f"clusters: [{cluster}]\ncontexts: [{{name: away, context: {{cluster: away}}}}]\ncurrent-context: away\n"
    )
    said = stack.pulumi("preview", check=False, env={"KUBECONFIG": str(nowhere)})
    assert not said.startswith("exit 0"), said
    assert f"kubectl --namespace {deployment.namespace} get --raw /version: " in said
    assert "KUBECONFIG chooses another file" in said
