"""Brings a deployment to its rendered files, node by node, so that no session is lost under a running writer."""

import time
from collections.abc import Callable, Mapping

from infra.targets.compose.engine import Project, docker
from infra.targets.compose.observed import DOWN, PAUSED, RUNNING
from infra.targets.compose.wanted import Parts

POLL = 0.5
"""Seconds between two looks."""
SETTLE_TIMEOUT = 120
"""Seconds for replication and the Sentinels to agree after a node was replaced, those of copying data apart."""
HEALTH_TIMEOUT = 120
"""Seconds for an instance of the service, or the gateway, to become healthy."""
START_TIMEOUT = 180
"""Seconds for compose to start containers, the loading of the functions included."""

COPIES = "copies the data of the primary"
"""The problem of a node that needs nothing but time."""
FUNCTIONS = "functions"
"""The service that loads the function library and ends."""
GATEWAY = "gateway"

Say = Callable[[str], None]


class RolloutError(RuntimeError):
    """A step did not come to its end; the message says which, what was seen last and where to look."""


def start(project: Project, parts: Parts, say: Say) -> None:
    """Start everything at once: a new deployment, or one that was stopped."""
    say("starting Redis and Sentinel")
    project.compose("up", "--detach", *parts.redis_names, *parts.sentinel_names, timeout=START_TIMEOUT)
    say(f"{settle(project, parts)} is primary")
    load_functions(project, say)
    say("starting the session service")
    project.compose("up", "--detach", "--remove-orphans", timeout=START_TIMEOUT)
    for service in (*parts.services, GATEWAY):
        wait_healthy(project, service)


def stop(project: Project, parts: Parts, say: Say) -> None:
    """Stop everything, where the nodes will no longer know each other by the same addresses; the volumes stay.

    Nobody will remember who was primary, so first every node gets every write: then it does not matter who is elected.
    The Sentinels stop before, so that none promotes another, and the primary next, so that none writes on.

    Raises:
        RolloutError: a primary has no replica in step; everything runs on.

    """
    say("stopping everything: the nodes get other addresses, which cannot be done one by one")
    project.compose("stop", "--timeout", "30", *parts.sentinel_names)
    for node in parts.redis_names:
        if _fields(project.ctl(node, "info", "replication")).get("role") != "master":
            continue
        if project.ctl(node, "quiesce").strip() != "done":
            project.compose("start", *parts.sentinel_names)
            raise RolloutError(
                f"{node} is primary and has no replica in step; see: docker logs {project.container(node)}"
            )
        project.compose("stop", "--timeout", "30", node)
    project.compose("down", "--remove-orphans", "--timeout", "30")


def roll(project: Project, parts: Parts, states: Mapping[str, str], say: Say) -> None:
    """Replace what is not `running` as rendered: Sentinels, replicas, the primary after a handover, the service."""
    changed = [name for name, state in states.items() if state != RUNNING]
    nodes = [*parts.sentinel_names, *parts.redis_names]
    if paused := [name for name, state in states.items() if state == PAUSED]:
        project.compose("unpause", *paused)
    down = [name for name in nodes if states[name] in DOWN]
    if down:
        say(f"starting {', '.join(down)}")
        project.compose("up", "--detach", "--no-deps", *down, timeout=START_TIMEOUT)
    for sentinel in [name for name in parts.sentinel_names if name in changed and name not in down]:
        replace(project, sentinel, say)
        settle(project, parts)
    waiting = [name for name in parts.redis_names if name in changed and name not in down]
    while waiting:
        primary = settle(project, parts)
        node = next((name for name in waiting if name != primary), primary)
        if node == primary:
            hand_over(project, parts, primary, say)
        replace(project, node, say)
        waiting.remove(node)
    settle(project, parts)
    load_functions(project, say)
    for service in [name for name in parts.services if name in changed]:
        replace(project, service, say)
        wait_healthy(project, service)
    project.compose("up", "--detach", "--remove-orphans", timeout=START_TIMEOUT)
    wait_healthy(project, GATEWAY)


def load_functions(project: Project, say: Say) -> None:
    """Let the deploy user load the function library, which does nothing if it is there.

    Raises:
        RolloutError: it could not be loaded.

    """
    say("loading the function library")
    project.compose("up", "--detach", "--no-deps", FUNCTIONS, timeout=START_TIMEOUT)
    container = project.container(FUNCTIONS)
    if docker("wait", container, timeout=START_TIMEOUT).strip() != "0":
        reason = docker("logs", "--tail", "3", container, both=True).strip()
        raise RolloutError(f"the function library could not be loaded: {reason}")


def replace(project: Project, service: str, say: Say) -> None:
    """Make the container of one service anew, if it is not as rendered, and see that it runs."""
    say(f"replacing {service}")
    project.compose("up", "--detach", "--no-deps", service, timeout=START_TIMEOUT)


def hand_over(project: Project, parts: Parts, primary: str, say: Say) -> None:
    """Make another node primary without losing a write (see ctl.sh).

    Raises:
        RolloutError: the Sentinels did not do it.

    """
    say(f"handing over from {primary}")
    for _ in range(3):
        if project.ctl(primary, "handover").strip() == "done":
            return
        settle(project, parts)
    raise RolloutError(f"no other node took over from {primary}; see: docker logs {project.container(primary)}")


def settle(project: Project, parts: Parts) -> str:
    """Wait until one primary has all replicas in step and every Sentinel knows them; the primary's name.

    Raises:
        RolloutError: not in SETTLE_TIMEOUT. While a node copies data, it waits as long as that takes.

    """
    seen = ""
    deadline = time.monotonic() + SETTLE_TIMEOUT
    while time.monotonic() < deadline:
        primary, seen = look(project, parts)
        if not seen:
            return primary
        if seen.endswith(COPIES):
            deadline = time.monotonic() + SETTLE_TIMEOUT
        time.sleep(POLL)
    logs = f"docker logs {project.container(parts.redis_names[0])}"
    raise RolloutError(f"Redis did not settle in {SETTLE_TIMEOUT} s: {seen}; see: {logs}")


def look(project: Project, parts: Parts) -> tuple[str, str]:
    """The primary as the Sentinels name it, and what is not settled yet (nothing if all is)."""
    named = {
        name: project.ctl(name, "sentinel", "get-master-addr-by-name", parts.master_name).split()
        for name in parts.sentinel_names
    }
    primary = next((answer[0] for answer in named.values() if answer), "")
    if any(answer[:1] != [primary] for answer in named.values()):
        words = [f"{name} names {answer[0] if answer else 'nobody'}" for name, answer in named.items()]
        return "", ", ".join(words)
    replicas = [name for name in parts.redis_names if name != primary]
    leading = _fields(project.ctl(primary, "info", "replication"))
    if leading.get("role") != "master" or leading.get("connected_slaves") != str(len(replicas)):
        return "", f"{primary} is {leading.get('role', 'silent')} with {leading.get('connected_slaves', 'no')} replicas"
    for name in replicas:
        following = _fields(project.ctl(name, "info", "replication"))
        if problem := _replica_problem(following, int(leading["master_repl_offset"])):
            return "", f"{name} {problem}"
    for name in parts.sentinel_names:
        if problem := _sentinel_problem(project, parts, name, len(replicas)):
            return "", problem
    return primary, ""


def _replica_problem(following: Mapping[str, str], offset: int) -> str:
    linked, priority = following.get("master_link_status") == "up", following.get("slave_priority")
    # With a link and priority 0 it has all in memory, and not yet in its append-only file.
    if following.get("master_sync_in_progress") == "1" or (linked and priority == "0"):
        return COPIES
    if not linked or priority != "100":
        return "is not in step with the primary"
    return "lags behind the primary" if int(following["slave_repl_offset"]) < offset else ""


def _sentinel_problem(project: Project, parts: Parts, name: str, replicas: int) -> str:
    if f"OK {len(parts.sentinels)} usable" not in project.ctl(name, "sentinel", "ckquorum", parts.master_name):
        return f"{name} does not reach every Sentinel yet"
    if _pairs(project.ctl(name, "sentinel", "masters")).count(("flags", "master")) != 1:
        return f"{name} does not reach the primary yet"
    seen = _pairs(project.ctl(name, "sentinel", "replicas", parts.master_name))
    # A Sentinel that has just started assumes a priority and no fault; only what it has asked itself counts.
    needed = (("flags", "slave"), ("master-link-status", "ok"), ("slave-priority", "100"))
    if any(seen.count(pair) < replicas for pair in needed):
        return f"{name} does not know {replicas} eligible replicas yet"
    return ""


def _pairs(reply: str) -> list[tuple[str, str]]:
    words = reply.splitlines()
    return list(zip(words[::2], words[1::2], strict=False))


def _fields(info: str) -> dict[str, str]:
    return dict(line.split(":", 1) for line in info.splitlines() if ":" in line)


def wait_healthy(project: Project, service: str) -> None:
    """Wait until a service's health check passes.

    Raises:
        RolloutError: not in HEALTH_TIMEOUT.

    """
    state = ""
    deadline = time.monotonic() + HEALTH_TIMEOUT
    while time.monotonic() < deadline:
        found = project.inspect().get(service, {}).get("State", {})
        state = found.get("Health", {}).get("Status", found.get("Status", "missing"))
        if state == "healthy":
            return
        time.sleep(POLL)
    message = f"{service} is {state} after {HEALTH_TIMEOUT} s; see: docker logs {project.container(service)}"
    raise RolloutError(message)
