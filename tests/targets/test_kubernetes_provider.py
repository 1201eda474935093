"""What is done around the objects that Pulumi applies: a look before, a wait after, and what a former version left."""

import sys
from typing import Any

import pytest
import yaml

from infra.targets.kubernetes import kubectl, provider
from infra.targets.kubernetes.kubectl import ClusterError
from infra.targets.kubernetes.provider import ManifestsProvider, PreflightProvider
from infra.targets.shown import Props

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sessions"}}
REDIS = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "redis", "namespace": "sessions", "labels": {"a": "b"}},
    "spec": {"replicas": 3},
}
INGRESS = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "Ingress",
    "metadata": {"name": "session", "namespace": "sessions"},
}
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "redis", "namespace": "sessions"}, "data": {}}
PLACE = ("--context", "prod", "--namespace", "sessions")
WHERE = {"context": "prod", "namespace": "sessions"}
NEW = {
    **WHERE,
    "objects": ["/Namespace/sessions", "/Secret/redis", "apps/StatefulSet/redis"],
    "workloads": ["statefulset/redis", "deployment/session"],
}


class Kubectl:
    """Notes what it is asked, with the objects it is given, and answers that all is well."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], list[dict[str, Any]]]] = []
        self.namespace = ""
        """The answer to whether there is one."""
        self.cluster = "one"
        """The answer to which cluster this is."""

    def __call__(self, *words: str, text: str | None = None, **_options: object) -> str:
        assert words[:4] == PLACE, "context and namespace come first"
        words = words[4:]
        self.asked.append((words, list(yaml.safe_load_all(text)) if text else []))
        if words[-2:] == ("--output", "json"):
            return '{"items": []}'
        if words[:3] == ("get", "namespace", "kube-system"):
            return self.cluster
        return self.namespace if words[:2] == ("get", "namespace") else ""

    def given(self, verb: str) -> list[dict[str, Any]]:
        return [each for words, objects in self.asked if words[0] == verb for each in objects]


@pytest.fixture(name="kubectl")
def _kubectl(monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    monkeypatch.setattr(sys, "tracebacklimit", 1000, raising=False)  # a refusal lowers it, for its own process
    fake = Kubectl()
    for module in (provider, kubectl):  # where it is used, and where pods that were refused are looked for
        monkeypatch.setattr(module, "kubectl", fake)
    return fake


def former(*, delete_data: bool) -> Props:
    """Return the state of a deployment that a version made which applied everything by kubectl."""
    return {
        **WHERE,
        "plain": {
            "00-namespace.yaml": yaml.safe_dump(NAMESPACE),
            "20-redis.yaml": yaml.safe_dump_all([REDIS, INGRESS]),
        },
        "secrets": yaml.safe_dump(SECRET),
        "needs": [],
        "live": "as applied",
        "deleteData": delete_data,
    }


def waited_for(kubectl: Kubectl) -> list[str]:
    return [words[2] for words, _ in kubectl.asked if words[:2] == ("rollout", "status")]


def test_what_a_former_version_applied_is_given_up_by_kubectl_and_what_is_wanted_no_more_goes(kubectl: Kubectl) -> None:
    assert ManifestsProvider().diff("", former(delete_data=False), {**NEW, "manifests": "a hash"}).changes
    ManifestsProvider().update("", former(delete_data=False), {**NEW, "manifests": "a hash"})
    assert kubectl.given("delete") == [INGRESS]
    assert kubectl.given("apply") == [
        NAMESPACE,
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "redis", "namespace": "sessions"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "redis", "namespace": "sessions"}},
    ]
    assert waited_for(kubectl) == ["statefulset/redis", "deployment/session"]


def test_once_it_is_taken_over_nothing_is_applied_or_deleted_here(kubectl: Kubectl) -> None:
    olds = {**NEW, "manifests": "a hash"}
    assert not ManifestsProvider().diff("", olds, olds).changes
    assert ManifestsProvider().diff("", olds, {**NEW, "manifests": "another"}).changes
    ManifestsProvider().update("", olds, {**NEW, "manifests": "another"})
    ManifestsProvider().delete("", olds)
    assert kubectl.given("apply") == kubectl.given("delete") == []
    assert waited_for(kubectl) == ["statefulset/redis", "deployment/session"]


def test_what_a_former_version_made_is_removed_without_an_up_before_and_volumes_as_it_was_set(kubectl: Kubectl) -> None:
    ManifestsProvider().delete("", former(delete_data=False))
    assert kubectl.given("delete") == [REDIS, INGRESS, SECRET]
    ManifestsProvider().delete("", former(delete_data=True))
    assert NAMESPACE in kubectl.given("delete")


def test_kubernetes_is_asked_about_stateful_sets_where_they_can_be_there_already(kubectl: Kubectl) -> None:
    wanted = {**WHERE, "needs": ["storageclass/fast"], "statefulSets": yaml.safe_dump(REDIS)}
    assert PreflightProvider().check({}, wanted).failures == []
    assert kubectl.given("apply") == []
    kubectl.namespace = "namespace/sessions"
    assert PreflightProvider().check({}, wanted).failures == []
    assert kubectl.given("apply") == [REDIS]
    assert all("--dry-run=server" in words for words, _ in kubectl.asked if words[0] == "apply")
    assert PreflightProvider().check({}, {**wanted, "statefulSets": ""}).failures == []
    assert kubectl.given("apply") == [REDIS], "where a chart makes them"


def test_a_class_that_may_not_be_looked_at_is_not_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "storageclass/fast": 'Error from server (Forbidden): storageclasses.storage.k8s.io "fast" is forbidden: '
        'User "x" cannot get resource "storageclasses" in API group "storage.k8s.io" at the cluster scope',
        "priorityclass/high": 'Error from server (NotFound): priorityclasses.scheduling.k8s.io "high" not found',
    }

    def answer(*words: str, **_options: object) -> str:
        if words[-1] in answers:
            raise ClusterError(f"kubectl get {words[-1]}: {answers[words[-1]]}")
        return ""

    monkeypatch.setattr(provider, "kubectl", answer)
    wanted = {"namespace": "sessions", "needs": ["storageclass/fast"], "statefulSets": ""}
    assert PreflightProvider().check({}, wanted).failures == []
    (failure,) = PreflightProvider().check({}, {**wanted, "needs": list(answers)}).failures
    assert '"high" not found' in failure.reason


def test_a_stack_stays_on_its_cluster(kubectl: Kubectl) -> None:
    preflight, applied = PreflightProvider(), ManifestsProvider()
    props = {**WHERE, "needs": [], "statefulSets": ""}
    noted = preflight.create(props).outs or {}
    assert noted == {**props, "cluster": "one"} == preflight.update("", props, props).outs
    assert not preflight.diff("", noted, {**props, "needs": ["storageclass/fast"]}).changes
    assert preflight.diff("", props, props).changes, "a version before has noted none"
    assert preflight.read("", noted).outs == noted

    kubectl.cluster = "two"
    for asked in (
        lambda: preflight.diff("", noted, props),
        lambda: preflight.read("", noted),
        lambda: applied.delete("", {**former(delete_data=True), "cluster": "one"}),
    ):
        with pytest.raises(ClusterError, match="has the uid one there, and two here"):
            asked()
    assert kubectl.given("delete") == []


def test_a_cluster_that_may_not_be_looked_at_is_not_another(kubectl: Kubectl) -> None:
    preflight = PreflightProvider()
    kubectl.cluster = ""
    unknown = preflight.create(WHERE).outs or {}
    assert unknown["cluster"] == ""
    assert not preflight.diff("", unknown, WHERE).changes
    assert not preflight.diff("", {**WHERE, "cluster": "one"}, WHERE).changes
    ManifestsProvider().delete("", {**NEW, "cluster": "one"})
    kubectl.cluster = "one"
    assert preflight.diff("", unknown, WHERE).changes, "now it is known"
