"""Redis of a Helm chart: the files hold what the spec does not decide, and the session service is wired to its pods."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.kubernetes import KubernetesTarget
from infra.outputs import read as read_outputs
from infra.render.kubernetes import Cluster, plain_objects, secret_objects
from infra.render.kubernetes.charts import CHARTS
from infra.render.session_settings import connection
from infra.spec import DeploymentSpec, RedisSpec
from infra.targets.kubernetes.__main__ import main
from infra.targets.kubernetes.manifests import VALUES, chart_values
from tests.render.deployments import AUTHORITY, GIVEN, PASSWORDS

pytestmark = pytest.mark.parametrize("chart", CHARTS)
SENTINELS = ("redis-0.redis-headless", "redis-node-0.redis-headless")


def cluster(chart: Any, **target: Any) -> Cluster:
    spec = DeploymentSpec(redis=RedisSpec(source="helm"), target=KubernetesTarget(chart=chart, **target))
    return Cluster(spec, "eu")


def values(chart: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((VALUES / chart / f"{kind}.yaml").read_text())
    return found


def leaves(tree: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of values that are no objects themselves."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


def test_a_file_of_values_holds_nothing_that_the_spec_decides(chart: str) -> None:
    decided = set(leaves(CHARTS[chart].decided(cluster(chart))))
    for kind in ("base", "production"):
        own = set(leaves(values(chart, kind)))
        assert own
        assert not {path for path in own for end in range(1, len(path) + 1) if path[:end] in decided}
        assert not {path for path in decided for end in range(1, len(path) + 1) if path[:end] in own}


def test_what_the_spec_decides_reaches_the_chart(chart: str) -> None:
    text = str(
        chart_values(cluster(chart, redis_storage="7Gi", storage_class="fast", cluster_domain="example.internal"))
    )
    for wanted in (
        "268435456",
        "noeviction",
        "everysec",
        "'7Gi'",
        "'fast'",
        "'example.internal'",
        "'mymaster'",
        "10000",
    ):
        assert wanted in text, wanted


def test_machines_are_shared_only_where_that_is_allowed(chart: str) -> None:
    apart = str(chart_values(cluster(chart, anti_affinity="required")))
    assert ("requiredDuringScheduling" in apart) or ("'podAntiAffinityPreset': 'hard'" in apart)
    assert "preferredDuringScheduling" not in apart
    together = str(chart_values(cluster(chart, anti_affinity="preferred")))
    assert "requiredDuringScheduling" not in together
    assert "hard" not in together


def test_the_service_signs_in_at_the_pods_of_the_chart_as_its_only_user(chart: str) -> None:
    wanted = cluster(chart)
    pairs = dict.fromkeys(wanted.certified, ("certificate\n", "key\n"))
    secrets = secret_objects(wanted, PASSWORDS, AUTHORITY, pairs, GIVEN)
    assert secrets.keys() == {"redis", "session", "functions", "exporter"}
    assert secrets["redis"]["data"].keys() == {"redis-password", "ca.crt", "tls.crt", "tls.key"}
    objects = [each for file in plain_objects(wanted, dict.fromkeys(secrets, ""), AUTHORITY).values() for each in file]
    assert {each["metadata"]["name"] for each in objects if each["kind"] == "NetworkPolicy"} == {"session", "exporter"}
    assert not [each for each in objects if each["kind"] == "StatefulSet"]
    (service,) = [each for each in objects if (each["kind"], each["metadata"]["name"]) == ("Deployment", "session")]
    pod = service["spec"]["template"]["spec"]
    for container in (*pod["initContainers"], *pod["containers"]):
        environment = {each["name"]: each["value"] for each in container["env"]}
        assert environment["REDIS_URL"] == connection(wanted.spec, wanted.sentinels)["REDIS_URL"]
        assert environment["REDIS_SENTINEL_USERNAME"] == "default"
        assert environment.get("REDIS_USERNAME", "default") == "default"
    for node in (*wanted.redis, *wanted.sentinels):
        name, _, domain = node.name.partition(".")
        assert f"{name}.{domain.partition('.')[0]}" in {each.replace("-0.", f"-{name[-1]}.") for each in SENTINELS}
        assert f"*.{domain}" in wanted.certified["redis"]


def test_the_command_writes_the_values_and_says_what_installs_them(
    chart: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    changes = ["--set", "redisSource=helm", "--set", f"kubernetes.chart={chart}"]
    assert main(["--stack", "kind", "--out", str(out), *changes]) == 0
    said = capsys.readouterr().out
    where = f"helm upgrade --install kind {CHARTS[chart].reference} "
    assert where + (f"--repo {CHARTS[chart].repository} " if CHARTS[chart].repository else "--version") in said
    assert f"--version {CHARTS[chart].version} --namespace redis-session-kit-kind --values {out}/values.yaml" in said
    written = yaml.safe_load((out / "values.yaml").read_text())
    assert written["fullnameOverride"] == "redis"
    outputs = read_outputs(out / "outputs.json")
    assert outputs.users.sessions == outputs.users.admin == "default"
    assert outputs.sessions_password == outputs.admin_password
    assert "acl" not in outputs.features

    assert main(["--stack", "kind", "--out", str(out), *changes, "--set", "kubernetes.chartSource=./redis.tgz"]) == 0
    assert "helm upgrade --install kind ./redis.tgz --version" in capsys.readouterr().out

    assert main(["--stack", "kind", "--out", str(out)]) == 0
    assert not (out / "values.yaml").exists()
