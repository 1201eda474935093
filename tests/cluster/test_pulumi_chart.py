"""`pulumi up` with Redis of a Helm chart, which stands in for a public one: a login, nothing to do twice, and down."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.kit import ROOT, Deployment, eventually
from tests.cluster.test_pulumi import _deployment, _stack, objects  # noqa: F401 - fixtures
from tests.stack.kit import Stack

pytestmark = [pytest.mark.engine, pytest.mark.cluster, pytest.mark.stack, pytest.mark.long]
CHART = Path(__file__).parent / "chart"


def test_up_twice_and_down_with_a_chart(stack: Stack, deployment: Deployment) -> None:
    stack.set("redisSource", "helm")
    stack.set("kubernetes.chart", "cagriekin")
    stack.set("kubernetes.chartSource", f"./{CHART.relative_to(ROOT)}")
    stack.up()
    outputs = stack.pulumi("stack", "output", "--json", "--show-secrets")
    script = [sys.executable, str(ROOT / "ci" / "first_session.py"), stack.name]
    done = subprocess.run(script, input=outputs, capture_output=True, text=True, check=True, timeout=60)
    assert "(durable: true)" in done.stdout
    state = stack.pulumi("stack", "export")
    assert ("apps/v1:StatefulSet", "redis") in {
        (each["type"].partition(":")[2], each["inputs"]["metadata"]["name"])
        for each in objects(json.loads(state))
        if each["type"].startswith("kubernetes:apps")
    }
    for name, value in json.loads(outputs).items():
        if name.endswith(("_password", "_token")):
            assert value not in state, name
            assert base64.b64encode(value.encode()).decode() not in state, name

    stack.pulumi("preview", "--refresh", "--expect-no-changes")
    stack.pulumi("up", "--yes", "--expect-no-changes")

    stack.pulumi("destroy", "--yes", "--skip-preview")
    eventually("no pod is left", lambda: not deployment.kubectl("get", "pods", "--output", "name"))
    claims = deployment.kubectl("get", "pvc", "--output", "name").split()
    assert "persistentvolumeclaim/data-redis-0" in claims
