"""Why pods do not run is said with the object and the reason, in Kubernetes' own words."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from infra.outputs import place
from infra.targets.kubernetes.kubectl import complaints, kubectl
from tests.cluster.kit import eventually

pytestmark = [pytest.mark.engine, pytest.mark.cluster, pytest.mark.usefixtures("kubeconfig")]


@pytest.fixture(name="namespace")
def _namespace() -> Iterator[str]:
    name = f"test-{secrets.token_hex(3)}"
    kubectl("create", "namespace", name)
    try:
        yield name
    finally:
        kubectl("delete", "namespace", name, timeout=120)


def pod(name: str, namespace: str, **container: Any) -> str:
    spec = {"containers": [{"name": "main", "image": "redis:8", **container}], "terminationGracePeriodSeconds": 0}
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name}}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def test_an_image_that_is_not_there_and_a_machine_that_is_too_small(namespace: str) -> None:
    kubectl("apply", "-f", "-", text=pod("image", namespace, image="nowhere.invalid/x:1"))
    kubectl("apply", "-f", "-", text=pod("memory", namespace, resources={"requests": {"memory": "900Gi"}}))

    def said() -> bool:
        text = "\n".join(map(str, complaints(place({"namespace": namespace}))))
        return "pod/image: main: " in text and "ImagePull" in text and "pod/memory: 0/" in text

    eventually("both are said", said)


def test_pods_that_a_quota_refuses(namespace: str) -> None:
    kubectl("--namespace", namespace, "create", "quota", "small", "--hard=pods=0")
    kubectl("--namespace", namespace, "create", "deployment", "many", "--image=redis:8")

    found = eventually("it is said", lambda: complaints(place({"namespace": namespace})))
    assert len(found) == 1
    assert found[0].about.startswith("replicaset/many-")
    assert "exceeded quota: small" in found[0].reason
    assert found[0].lasting

    kubectl("--namespace", namespace, "scale", "deployment", "many", "--replicas=0")
    eventually("what is over is not said any more", lambda: not complaints(place({"namespace": namespace})))
