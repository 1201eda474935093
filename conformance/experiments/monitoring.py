"""MONITORING: whether a Prometheus sees the deployment, and would tell somebody. Hurts nobody."""

import asyncio
import json
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any, Final

from conformance.finding import Finding, violated
from conformance.history import History
from conformance.lab import EngineError, Lab
from conformance.requirements import judges

SECONDS = 10
NEEDED: Final = (
    "SessionRedisDown",
    "SessionRedisNoPrimary",
    "SessionSentinelQuorumLost",
    "SessionRedisMemoryFull",
    "SessionRedisPersistenceFails",
    "SessionStoreRefused",
)
"""Alerts of the kit without which nobody learns of an outage before the users do."""


async def watched(lab: Lab) -> None:
    """Ask Prometheus what it knows of the target, and which rules it has."""
    nodes = await asyncio.to_thread(_series, lab, "redis_up")
    for node in (*lab.target.nodes, *lab.target.sentinels):
        told = [value for instance, value in nodes if instance.rpartition("/")[2] == str(node)]
        lab.recorder.probe("node", node=str(node), up=told == ["1"])
    active = await asyncio.to_thread(_series, lab, "session_active")
    lab.recorder.probe("sessions", services=len(active))
    groups = (await asyncio.to_thread(_ask, lab, "rules"))["groups"]
    rules = {rule["name"]: rule for group in groups for rule in group["rules"]}
    for name in NEEDED:
        rule = rules.get(name, {})
        lab.recorder.probe("alert", alert=name, health=rule.get("health", "not loaded"), state=rule.get("state", ""))


def _series(lab: Lab, metric: str) -> list[tuple[str, str]]:
    """Instance and value of every series of this name."""
    found = _ask(lab, "query?" + urllib.parse.urlencode({"query": metric}))["result"]
    return [(each["metric"].get("instance", ""), each["value"][1]) for each in found]


def _ask(lab: Lab, path: str) -> Any:  # noqa: ANN401 - what the API answers (prometheus.io: HTTP API)
    url = f"{lab.target.prometheus}/api/v1/{path}"
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 - the scheme is checked by the settings
            return json.load(answer)["data"]
    except (OSError, ValueError, KeyError) as error:
        raise EngineError(f"Prometheus at {lab.target.prometheus} does not answer: {error}") from error


@judges(watched, "MON-NODE-001")
def every_node_is_seen(histories: Sequence[History]) -> Finding:
    """One series of redis_up for each node and Sentinel, and it is 1."""
    seen = [each for history in histories for each in history.seen("node")]
    wrong = [f"{each['node']} is not seen up" for each in seen if not each["up"]]
    return violated("redis_up is 1 for every node", wrong, {"nodes": len(seen)}, looked=len(seen))


@judges(watched, "MON-SESS-001")
def sessions_are_counted(histories: Sequence[History]) -> Finding:
    """A service tells how many sessions live."""
    seen = [each for history in histories for each in history.seen("sessions")]
    wrong = ["no service tells session_active" for each in seen if not each["services"]]
    services = sum(each["services"] for each in seen)
    return violated("session_active is there", wrong, {"services": services}, looked=len(seen))


@judges(watched, "MON-ALERT-001")
def alerts_are_evaluated(histories: Sequence[History]) -> Finding:
    """The rules are loaded, and Prometheus could evaluate them."""
    seen = [each for history in histories for each in history.seen("alert")]
    wrong = [f"{each['alert']}: {each['health']}" for each in seen if each["health"] != "ok"]
    return violated("every needed alert is evaluated", wrong, {"alerts": len(seen)}, looked=len(seen))


@judges(watched, "MON-ALERT-002")
def no_alert_fires(histories: Sequence[History]) -> Finding:
    """A deployment that is examined in peace is in order."""
    seen = [each for history in histories for each in history.seen("alert")]
    wrong = [f"{each['alert']} fires" for each in seen if each["state"] == "firing"]
    return violated("none of them fires", wrong, {"alerts": len(seen)}, looked=len(seen))
