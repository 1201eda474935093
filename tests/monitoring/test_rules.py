"""The Prometheus rules and the example configuration, by Prometheus's own tool and by what every alert must have."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

MONITORING = Path(__file__).parents[2] / "monitoring"
RULES = MONITORING / "rules" / "redis-session-kit.yaml"
SUITES = sorted((MONITORING / "tests").glob("*.yaml"))
needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")


@cache
def alerts() -> dict[str, Mapping[str, Any]]:
    """Every alert by its name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=60, check=False)


@needs_promtool
@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_not_otherwise(suite: Path) -> None:
    tested = promtool("test", "rules", str(suite))
    assert tested.returncode == 0, tested.stdout + tested.stderr


@needs_promtool
def test_prometheus_reads_the_rules() -> None:
    checked = promtool("check", "rules", str(RULES))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(alerts())} rules found" in checked.stdout


@needs_promtool
def test_prometheus_reads_the_example_configuration() -> None:
    checked = promtool("check", "config", "--syntax-only", str(MONITORING / "prometheus.example.yaml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def matched(expression: str) -> set[str]:
    """The alerts whose ALERTS series an expression of a test selects."""
    found = re.search(r'alertname=(~?)"([^"]+)"', expression)
    assert found, expression
    return {name for name in alerts() if re.fullmatch(found[2] if found[1] else re.escape(found[2]), name)}


def test_every_alert_is_seen_to_fire_and_to_stay_silent() -> None:
    fires: set[str] = set()
    silent: set[str] = set()
    for suite in SUITES:
        if suite.stem == "healthy":
            continue
        for test in yaml.safe_load(suite.read_text())["tests"]:
            for each in test["promql_expr_test"]:
                if not each["exp_samples"]:
                    silent |= matched(each["expr"])
                named = {
                    label
                    for sample in each["exp_samples"]
                    for label in re.findall(r'alertname="(\w+)"', sample["labels"])
                }
                fires |= named or (matched(each["expr"]) if each["exp_samples"] else set())
    assert fires == set(alerts())
    assert silent == set(alerts())


@pytest.mark.parametrize("name", alerts())
def test_every_alert_says_what_it_means_and_what_to_do(name: str) -> None:
    rule = alerts()[name]
    assert rule["labels"] == {"severity": rule["labels"]["severity"]}
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    for text in rule["annotations"].values():
        assert len(text) > 10
        assert set(re.findall(r"\bSession[A-Z]\w+", text)) <= set(alerts()), "it names an alert that does not exist"
    assert "{{" in rule["annotations"]["summary"], "it says where"


@pytest.mark.parametrize("name", alerts())
def test_two_deployments_in_one_prometheus_are_not_mixed_up(name: str) -> None:
    for grouping in re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", alerts()[name]["expr"]):
        assert "deployment" in [label.strip() for label in grouping.split(",")]


def test_the_alerts_of_the_original_page_are_there() -> None:
    """Memory over 80 %, evicted keys over 0, hit ratio under 90 %, replication lag over 5 s."""
    expressions = {name: " ".join(rule["expr"].split()) for name, rule in alerts().items()}
    assert expressions["SessionRedisMemoryHigh"].endswith("> 0.8")
    assert expressions["SessionRedisEvictions"].endswith("> 0")
    assert expressions["SessionRedisHitRatioLow"].endswith("< 0.9")
    assert expressions["SessionRedisReplicationLag"].endswith("> 5")
