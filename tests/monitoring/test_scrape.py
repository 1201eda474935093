"""A real Prometheus with the example configuration on a real deployment: it finds every target and every metric."""

import json
import os
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.cli import main as conformance
from infra.components.kept_secrets import KeptSecrets, completed
from infra.render.topology import topology
from infra.spec import ComposeTarget, DeploymentSpec
from infra.targets.compose.__main__ import render

MONITORING = Path(__file__).parents[2] / "monitoring"
NAME = f"test-rt-metrics-{os.getpid()}"
PROMETHEUS = f"rt-prometheus-{os.getpid()}"
SPEC = DeploymentSpec(target=ComposeTarget(redis_port=27479, sentinel_port=47479, https_port=29543))
Query = Callable[[str], Any]

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not shutil.which("prometheus"), reason="prometheus is not installed"),
]


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=120, check=True).stdout.strip()


@pytest.fixture(name="deployment", scope="module")
def _deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory of a deployment that runs."""
    out = tmp_path_factory.mktemp("metrics") / "out"
    render(SPEC, NAME, out, completed(KeptSecrets(), NAME, topology(SPEC).certified), {})
    try:
        docker("compose", "--project-directory", str(out), "up", "--detach", "--wait")
        yield out
    finally:
        docker("compose", "--project-directory", str(out), "down", "--volumes", "--timeout", "2")


@pytest.fixture(name="prometheus", scope="module")
def _prometheus(deployment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Query]:
    """This machine's Prometheus in the deployment's network; asks its API for a path below /api/v1/."""
    config = (MONITORING / "prometheus.example.yaml").read_text()
    for node in (*topology(DeploymentSpec()).redis, *topology(DeploymentSpec()).sentinels):
        moved = next(each for each in (*topology(SPEC).redis, *topology(SPEC).sentinels) if each.name == node.name)
        assert str(node) in config
        config = config.replace(str(node), str(moved))
    folder = tmp_path_factory.mktemp("prometheus")
    shutil.copytree(MONITORING / "rules", folder / "rules")
    (folder / "prometheus.yaml").write_text(config.replace("_interval: 15s", "_interval: 1s"))
    shutil.copy(deployment / "functions/tls/ca.crt", folder / "ca.crt")
    folder.chmod(0o755)
    mounts = [f"--volume={folder}:/etc/prometheus:ro", f"--volume={shutil.which('prometheus')}:/prometheus:ro"]
    words = [
        "run",
        "--detach",
        "--name",
        PROMETHEUS,
        "--network",
        f"redis-session-kit-{NAME}_data",
        "--tmpfs=/tmp",
        *mounts,
    ]
    command = ["--config.file=/etc/prometheus/prometheus.yaml", "--storage.tsdb.path=/tmp/data"]
    try:
        # Its program is linked against this machine's C library, which is older than the image's.
        docker(*words, "--publish=127.0.0.1::9090", "--entrypoint=/prometheus", SPEC.redis.image, *command)
        address = docker("port", PROMETHEUS, "9090/tcp").splitlines()[0]

        def query(path: str) -> Any:
            with urllib.request.urlopen(f"http://{address}/api/v1/{path}", timeout=5) as answer:
                return json.load(answer)["data"]

        yield query
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", PROMETHEUS], capture_output=True, check=False)


def eventually(look: Callable[[], object], timeout: float = 30) -> object:
    """The first true answer of `look`, or its last one after `timeout` s."""
    deadline = time.monotonic() + timeout
    while True:
        late = time.monotonic() > deadline
        try:
            if (seen := look()) or late:
                return seen
        except OSError:  # it does not listen yet
            if late:
                raise
        time.sleep(0.2)


def test_every_target_of_the_example_is_found_over_tls(prometheus: Query) -> None:
    def found() -> list[tuple[str, str, str]]:
        targets = prometheus("targets")["activeTargets"]
        return [
            (each["labels"]["job"], each["labels"]["instance"], each["lastError"])
            for each in targets
            if each["health"] == "up"
        ]

    parts = topology(SPEC)
    wanted = [("session-redis", str(node), "") for node in parts.redis]
    wanted += [("session-sentinel", str(node), "") for node in parts.sentinels]
    wanted += [("session-service", f"{name}:8443", "") for name in parts.services]
    assert eventually(lambda: sorted(found()) == sorted(wanted)), prometheus("targets")["activeTargets"]


def test_every_metric_that_an_alert_uses_exists(prometheus: Query) -> None:
    groups = yaml.safe_load((MONITORING / "rules/redis-session-kit.yaml").read_text())["groups"]
    used = {
        metric
        for group in groups
        for rule in group["rules"]
        for metric in re.findall(r"\b(?:redis_\w+|session_\w+|auth_session_\w+|up)\b", rule["expr"])
    }
    assert len(used) > 30
    eventually(lambda: not used - set(prometheus("label/__name__/values")))
    assert used - set(prometheus("label/__name__/values")) == set()


def test_every_rule_can_be_evaluated_and_none_fires_on_a_deployment_that_is_well(prometheus: Query) -> None:
    def rules() -> list[dict[str, Any]]:
        return [rule for group in prometheus("rules")["groups"] for rule in group["rules"]]

    assert eventually(lambda: all(rule["health"] == "ok" for rule in rules())), rules()
    assert [rule["name"] for rule in rules() if rule["state"] == "firing"] == []


@pytest.mark.parametrize(
    ("labels", "value"),
    [
        ('redis_instance_info{role="master"}', "1"),
        ("redis_memory_max_bytes", str(SPEC.redis.maxmemory)),
        ('redis_sentinel_master_ckquorum_status{instance="sentinel-1:47479"}', "1"),
        ('redis_sentinel_master_status{master_status="ok", instance="sentinel-2:47480"}', "1"),
        ("session_active", "0"),
    ],
)
def test_metrics_have_the_values_and_labels_that_the_rules_expect(prometheus: Query, labels: str, value: str) -> None:
    def values() -> set[str]:
        found = prometheus("query?" + urllib.parse.urlencode({"query": labels}))["result"]
        return {each["value"][1] for each in found if each["metric"]["deployment"] == "dev"}

    eventually(lambda: values() == {value})
    assert values() == {value}


def test_the_conformance_suite_finds_a_deployment_watched(
    prometheus: Query, deployment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    eventually(lambda: {rule["health"] for group in prometheus("rules")["groups"] for rule in group["rules"]} == {"ok"})
    address = docker("port", PROMETHEUS, "9090/tcp").splitlines()[0]
    (tmp_path / "config.yaml").write_text(f"prometheus: http://{address}\n")
    asked = ["--outputs", str(deployment / "outputs.json"), "--config", str(tmp_path / "config.yaml")]
    assert conformance(["run", *asked, "--profile", "MONITORING", "--out", str(tmp_path / "report")]) == 0
    assert "4 pass" in capsys.readouterr().out


def test_a_stopped_replica_is_seen_under_its_name(prometheus: Query) -> None:
    replica = prometheus("query?" + urllib.parse.urlencode({"query": 'redis_instance_info{role="slave"}'}))["result"][0]
    name = replica["metric"]["instance"].partition(":")[0]
    docker("stop", "--time", "2", f"redis-session-kit-{NAME}-{name}-1")

    def pending() -> list[str]:
        return [
            each["labels"]["instance"]
            for each in prometheus("alerts")["alerts"]
            if each["labels"]["alertname"] == "SessionRedisDown"
        ]

    assert eventually(pending) == [replica["metric"]["instance"]]
