"""What a cluster refuses is told in bounded time, with object and reason, and the next `up` goes on from there."""

import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.targets.kubernetes import provider
from infra.targets.kubernetes.kubectl import ClusterError, kubectl
from infra.targets.kubernetes.provider import ManifestsProvider
from infra.targets.shown import Props
from tests.cluster.kit import Deployment

pytestmark = [pytest.mark.engine, pytest.mark.cluster]
MISSING = "nowhere.invalid/redis:8"


@pytest.fixture(name="made")
def _made(kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """A deployment that is rendered, and not applied."""
    monkeypatch.setattr(provider, "LOOK_SECONDS", 5)
    monkeypatch.setattr(provider, "LASTING_LOOKS", 2)
    deployment = Deployment(kubeconfig, f"test-{secrets.token_hex(3)}", tmp_path / "out")
    try:
        yield deployment
    finally:
        deployment.kubectl("delete", "namespace", deployment.namespace, "--ignore-not-found", timeout=180)


def props(deployment: Deployment, *settings: str) -> Props:
    """What the program gives to the provider."""
    deployment.render(*settings)
    files = sorted((deployment.out / "manifests").iterdir())
    return {
        "namespace": deployment.namespace,
        "plain": {file.name: file.read_text() for file in files},
        "secrets": (deployment.out / "secrets" / "secrets.yaml").read_text(),
        "needs": [],
        "deleteData": True,
    }


def refusal(wanted: Props, seconds: float) -> str:
    """What `up` says that fails in so many seconds."""
    began = time.monotonic()
    with pytest.raises(ClusterError) as told:
        ManifestsProvider().create(wanted)
    took = time.monotonic() - began
    assert took < seconds, took
    print(f"told after {took:.0f} s")
    return str(told.value)


def as_applied(wanted: Props) -> bool:
    """Whether a refresh sees what was applied."""
    seen = ManifestsProvider().read("", {**wanted, "live": ""}).outs or {}
    return bool(seen.get("live") == "as applied")


@pytest.mark.long
def test_a_quota_and_an_image_are_corrected_one_after_the_other_and_up_finishes(made: Deployment) -> None:
    kubectl("create", "namespace", made.namespace)
    kubectl("--namespace", made.namespace, "create", "quota", "small", "--hard=pods=1")
    broken = props(made, f"redisImage={MISSING}")

    said = refusal(broken, 60)
    assert "  statefulset/redis: " in said
    assert "exceeded quota: small" in said
    assert "run up again" in said

    made.kubectl("delete", "quota", "small")
    said = refusal(broken, 90)
    assert "  pod/redis-" in said
    assert MISSING in said
    assert "exceeded quota" not in said

    whole = props(made)
    ManifestsProvider().create(whole)
    made.primary()
    assert as_applied(whole)

    scaled = props(made, "kubernetes.serviceMaxReplicas=3")
    ManifestsProvider().update("", whole, scaled)
    assert made.kubectl("get", "horizontalpodautoscaler", "session", "--output", "name")
    assert as_applied(scaled)
    ManifestsProvider().update("", scaled, whole)
    assert not made.kubectl("get", "horizontalpodautoscaler", "--output", "name"), "what is wanted no more is removed"


def test_who_may_do_nothing_is_told_what_was_refused(
    made: Deployment, kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = kubectl("create", "token", "default").strip()
    config = json.loads(kubectl("config", "view", "--raw", "--output", "json"))
    config["users"] = [{"name": each["name"], "user": {"token": token}} for each in config["users"]]
    powerless = tmp_path / "kubeconfig"
    powerless.write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(powerless))

    said = refusal(props(made), 30)
    assert "forbidden" in said
    assert 'User "system:serviceaccount:default:default" cannot' in said
    assert made.namespace in said
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    assert not kubectl("get", "namespace", made.namespace, "--ignore-not-found")


def test_a_class_that_is_not_there_is_refused_before_anything_is_applied(made: Deployment) -> None:
    wanted = {**props(made), "needs": ["priorityclass/nowhere", "ingressclass/nowhere"]}
    [failure] = ManifestsProvider().check({}, wanted).failures or []
    assert 'priorityclasses.scheduling.k8s.io "nowhere" not found' in failure.reason
