"""The report of `benchmarks.sessions` for a reader."""

from typing import Any, Final

BARE: Final = "redis-py GET / SET"
OURS: Final = "session_core"
NEW: Final = "session_core, new users"
LIMITS: Final = "crudauth 0.8.2"
LIMITS_READ_ONLY: Final = "crudauth 0.8.2, without extending"


def as_text(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    environment = ", ".join(f"{name} {value}" for name, value in report["environment"].items())
    lines = [
        "# The session library beside its peers",
        "",
        f"Made by `{report['command']}` on {report['made']}: {environment}.",
        "",
        "All in one process, in turn, on one Redis, reached without a proxy; medians over the rounds. A ratio is to",
        "the bare command of redis-py in the same round, so on a machine that others use too it says more than the",
        "number beside it. Every session carries 300 bytes of metadata. `session_core` and crudauth keep an index of",
        "users and a limit of 5, the others neither; `new users` have no session yet, so nothing is evicted for them.",
        "",
    ]
    for transport in ("plain", "tls"):
        for kind, title in (("read", "Validate a session"), ("create", "Log in")):
            lines += [f"## {title}, 50 at a time, {transport}", "", "| | per second | ratio |", "|---|---|---|"]
            measured = report[transport][kind].items()
            for name, one in sorted(measured, key=lambda item: -item[1]["per_second"]):
                lines.append(f"| {name} | {one['per_second']:,} | {one['ratio']:.2f} |")
            lines.append("")
        lines += [f"## One at a time, {transport}", "", "| | median | ratio |", "|---|---|---|"]
        for kind, bare in (("read", "GET"), ("create", "SET")):
            for name, label in ((BARE, f"redis-py {bare}"), (OURS, f"session_core, {kind}")):
                one = report[transport][f"{kind}, one at a time"][name]
                lines.append(f"| {label} | {one['latency_ms']:.3f} ms | {one['latency_ratio']:.2f} |")
        lines.append("")
    return "\n".join([*lines, *_others(report), *_aims(report)])


def _others(report: dict[str, Any]) -> list[str]:
    durable, limit = report["durable"], report["redis_benchmark"]
    lines = [
        "## Confirmed by a replica, and the limit of the server",
        "",
        f"50 logins at a time with WAIT 1: {durable['per_second']:,} a second, median {durable['latency_ms']} ms,",
        f"{durable['confirmed']} of {durable['of']} durable. `redis-benchmark` with 50 connections: "
        + ", ".join(f"{name} {value:,.0f}/s" for name, value in limit.items())
        + ".",
        "",
        "## As it grows",
        "",
        "| sessions in the store | count them | get / bare GET | login / bare GET |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {one['sessions']:,} | {one['count_ms']} ms | {one['get']:.2f} | {one['create']:.2f} |"
        for one in report["growth"]["stores"]
    ]
    lines += ["", "| sessions of the user | list them | get / bare GET | refresh / bare GET |", "|---|---|---|---|"]
    lines += [
        f"| {one['sessions']:,} | {one['list_ms']} ms | {one['get']:.2f} | {one['refresh']:.2f} |"
        for one in report["growth"]["users"]
    ]
    lines += ["", "## Memory of Redis for a session", "", "| | bytes |", "|---|---|"]
    lines += [f"| {name} | {used:,} |" for name, used in report["memory_bytes"].items()]
    return [*lines, ""]


def _aims(report: dict[str, Any]) -> list[str]:
    """Return what was aimed at beside what was found."""
    rows: list[tuple[str, str, float, bool]] = []
    for transport in ("plain", "tls"):
        reads, creates = report[transport]["read"], report[transport]["create"]
        alone = report[transport]["read, one at a time"][OURS]
        get, login = reads[OURS]["per_second"], creates[OURS]["per_second"]
        simple = max(reads[name]["per_second"] for name in reads if name not in {OURS, BARE, LIMITS, LIMITS_READ_ONLY})
        rows += [
            _least(f"get, 50 at a time, to bare GET, {transport}", 1.7, reads[OURS]["ratio"]),
            _least(f"get, to the best peer that reads one key, {transport}", 1.8, get / simple),
            _least(f"get, to the peer that slides and limits, {transport}", 4, get / reads[LIMITS]["per_second"]),
            _most(f"get, one at a time, latency to bare GET, {transport}", 1.3, alone["latency_ratio"]),
            _least(f"login of a new user, 50 at a time, to bare SET, {transport}", 1, creates[NEW]["ratio"]),
            _least(f"login, to the peer that limits, {transport}", 5, login / creates[LIMITS]["per_second"]),
        ]
    stores, users, memory = report["growth"]["stores"], report["growth"]["users"], report["memory_bytes"]
    first, last = stores[0], stores[-1]
    sizes = f"{first['sessions']:,} to {last['sessions']:,} sessions"
    rows += [
        _most(f"get, cost from {sizes}", 1.2, first["get"] / last["get"]),
        _most(f"login, cost from {sizes}", 1.2, first["create"] / last["create"]),
        _most("get, cost from 1 to 1,000 sessions of the user", 1.2, users[0]["get"] / users[-1]["get"]),
        _most("refresh, cost from 1 to 1,000 sessions of the user", 1.2, users[0]["refresh"] / users[-1]["refresh"]),
        _most(f"count of {last['sessions']:,} sessions, ms", 5, last["count_ms"]),
        _most("list of 1,000 sessions, ms", 20, users[-1]["list_ms"]),
        _most("memory, to the peer with an index of users", 1.6, memory[OURS] / memory[LIMITS]),
    ]
    lines = ["## What was aimed at", "", "| | aim | found | |", "|---|---|---|---|"]
    lines += [f"| {what} | {aim} | {found:.2f} | {'yes' if good else '**no**'} |" for what, aim, found, good in rows]
    return [*lines, ""]


def _least(what: str, aim: float, found: float) -> tuple[str, str, float, bool]:
    return what, f"≥ {aim}", found, round(found, 2) >= aim


def _most(what: str, aim: float, found: float) -> tuple[str, str, float, bool]:
    return what, f"≤ {aim}", found, round(found, 2) <= aim
