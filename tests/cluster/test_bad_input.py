"""What a cluster refuses is told in bounded time, with object and reason, and the next `up` goes on from there."""

import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.targets.kubernetes import provider
from infra.targets.kubernetes.kubectl import ClusterError
from infra.targets.kubernetes.provider import ManifestsProvider, PreflightProvider
from tests.cluster.kit import WORKLOADS, Deployment

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
        deployment.remove()


def wait_for(made: Deployment) -> None:
    """As the end of an `up` does."""
    ManifestsProvider().create({"namespace": made.namespace, "workloads": WORKLOADS})


def refusal(made: Deployment, seconds: float) -> str:
    """What the wait for a deployment says that fails in so many seconds."""
    began = time.monotonic()
    with pytest.raises(ClusterError) as told:
        wait_for(made)
    took = time.monotonic() - began
    assert took < seconds, took
    print(f"told after {took:.0f} s")
    return str(told.value)


@pytest.mark.long
def test_privileges_a_quota_and_an_image_are_corrected_one_after_the_other_and_up_finishes(made: Deployment) -> None:
    made.render(f"redisImage={MISSING}")
    manifest = made.out / "manifests" / "20-redis.yaml"
    rendered = manifest.read_text()
    manifest.write_text(rendered.replace("runAsNonRoot: true", "runAsNonRoot: false"))
    made.apply()
    said = refusal(made, 60)
    assert "  statefulset/redis: " in said
    assert 'violates PodSecurity "restricted:latest": runAsNonRoot != true' in said

    made.kubectl("create", "quota", "small", "--hard=pods=1")
    manifest.write_text(rendered)
    made.apply()
    said = refusal(made, 60)
    assert "  statefulset/redis: " in said
    assert "exceeded quota: small" in said
    assert "run up again" in said

    made.kubectl("delete", "quota", "small")
    said = refusal(made, 90)
    assert "  pod/redis-" in said
    assert MISSING in said
    assert "exceeded quota" not in said

    made.render()
    made.apply()
    wait_for(made)
    made.primary()

    stateful_sets = "---\n".join(
        json.dumps(each) for each in made.objects("20-redis.yaml") if each["kind"] == "StatefulSet"
    )
    looked_at = {"namespace": made.namespace, "needs": [], "statefulSets": stateful_sets}
    assert not PreflightProvider().check({}, looked_at).failures
    smaller = {**looked_at, "statefulSets": stateful_sets.replace('"storage": "', '"storage": "1')}
    [failure] = PreflightProvider().check({}, smaller).failures or []
    assert 'The StatefulSet "redis" is invalid' in failure.reason
    assert "an existing volume keeps its size" in failure.reason


def test_a_class_that_is_not_there_is_refused_before_anything_is_applied(made: Deployment) -> None:
    wanted = {"namespace": made.namespace, "needs": ["priorityclass/nowhere"], "statefulSets": ""}
    [failure] = PreflightProvider().check({}, wanted).failures or []
    assert 'priorityclasses.scheduling.k8s.io "nowhere" not found' in failure.reason
