"""The report of `benchmarks.sessions` for a reader."""

from typing import Any, Final, TypeAlias

BARE: Final = "redis-py GET / SET"
OURS: Final = "session_core"
NEW: Final = "session_core, new users"
LIMITS: Final = "crudauth 0.8.2"
LIMITS_READ_ONLY: Final = "crudauth 0.8.2, without extending"
NO_ONE_KEY_PEER: Final = {OURS, BARE, LIMITS, LIMITS_READ_ONLY}
Row: TypeAlias = tuple[str, str, float, bool]


def as_text(parts: dict[str, Any]) -> str:
    """Return the report as Markdown; takes what `benchmarks.sessions.keep` has kept, all parts."""
    found = {name: part["found"] for name, part in parts.items()}
    return "\n".join(
        [
            *_head(parts),
            *_aims(found),
            *_table("plain", found["plain"]),
            *_table("tls", found["tls"]),
            *_others(found),
            "",
        ]
    )


def _head(parts: dict[str, Any]) -> list[str]:
    environments = {
        ", ".join(f"{name} {value}" for name, value in part["environment"].items()): 0 for part in parts.values()
    }
    return [
        "# The session library beside its peers",
        "",
        f"Made by `python -m benchmarks.sessions` on: {'; '.join(environments)}.",
        "",
        "All in one process, in turn, on one Redis, reached without a proxy; medians over the rounds. A ratio is to",
        "the bare command of redis-py in the same round. CPU is the processor time of an operation, in this process",
        "and in the server: it depends less than the rate on what else the machine does. Every session carries 300",
        "bytes of metadata. `session_core` and crudauth keep an index of users and a limit of 5, the others neither;",
        "who logs in has 5 sessions soon, so that one has to go each time; `new users` have none, so none goes.",
        "",
        "| part | command | begun | load before (1/5/15 minutes) |",
        "|---|---|---|---|",
        *(f"| {name} | `{part['command']}` | {part['made']} | {part['load_before']} |" for name, part in parts.items()),
        "",
    ]


def _table(transport: str, found: dict[str, Any]) -> list[str]:
    lines = []
    for kind, title in (("read", "Validate a session"), ("create", "Log in")):
        lines += [
            f"## {title}, 50 at a time, {transport}",
            "",
            "| | per second | ratio | CPU of the client | of the server | of both, to the bare command |",
            "|---|---|---|---|---|---|",
        ]
        bare = found[kind][BARE]
        for name, one in sorted(found[kind].items(), key=lambda item: -item[1]["ratio"]):
            cost = (one["client_us"] + one["server_us"]) / (bare["client_us"] + bare["server_us"])
            cpu = f"{one['client_us']} µs | {one['server_us']} µs | {cost:.2f}"
            lines.append(f"| {name} | {one['per_second']:,} | {one['ratio']:.2f} | {cpu} |")
        lines.append("")
    lines += [f"## One at a time, {transport}", "", "| | median | ratio |", "|---|---|---|"]
    for kind, command in (("read", "GET"), ("create", "SET")):
        for name, label in ((BARE, f"redis-py {command}"), (OURS, f"session_core, {kind}")):
            one = found[f"{kind}, one at a time"][name]
            lines.append(f"| {label} | {one['latency_ms']:.3f} ms | {one['latency_ratio']:.2f} |")
    return [*lines, ""]


def _others(found: dict[str, Any]) -> list[str]:
    durable, limit = found["replica"], found["limit"]
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
        "A login here ends the user's former session, so that the store keeps its size while it is measured.",
        "",
        "| sessions in the store | count them | processor time | get / bare GET | login / bare GET |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {one['sessions']:,} | {_time(one['count'])} | {one['get']:.2f} | {one['login']:.2f} |"
        for one in found["stores"]
    ]
    lines += [
        "",
        "| sessions of the user | list them | processor time | get / bare GET | refresh / GET | login / GET |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one['sessions']:,} | {_time(one['list'])} | {one['get']:.2f} | {one['refresh']:.2f} | {one['login']:.2f} |"
        for one in found["users"]
    ]
    lines += ["", "## Memory of Redis for a session", "", "| | bytes |", "|---|---|"]
    return [*lines, *(f"| {name} | {used:,} |" for name, used in found["memory"].items())]


def _time(one: dict[str, float]) -> str:
    return f"{one['ms']} ms | {one['cpu_ms']} ms"


def _aims(found: dict[str, Any]) -> list[str]:
    """Return what was aimed at beside what was found."""
    rows = [*_speed("plain", found["plain"]), *_speed("tls", found["tls"])]
    stores, users, memory = found["stores"], found["users"], found["memory"]
    first, last = stores[0], stores[-1]
    sizes = f"{first['sessions']:,} to {last['sessions']:,} sessions"
    rows += [
        _most(f"get, cost from {sizes}", 1.2, first["get"] / last["get"]),
        _most(f"login, cost from {sizes}", 1.2, first["login"] / last["login"]),
        _most("get, cost from 1 to 1,000 sessions of the user", 1.2, users[0]["get"] / users[-1]["get"]),
        _most("refresh, cost from 1 to 1,000 sessions of the user", 1.2, users[0]["refresh"] / users[-1]["refresh"]),
        _most("login, cost from 1 to 1,000 sessions of the user", 1.2, users[0]["login"] / users[-1]["login"]),
        _most(f"count of {last['sessions']:,} sessions, ms", 5, last["count"]["ms"]),
        _most("list of 1,000 sessions, ms", 20, users[-1]["list"]["ms"]),
        _most("memory, to the peer with an index of users", 1.6, memory[OURS] / memory[LIMITS]),
    ]
    lines = ["## What was aimed at", "", "| | aim | found | |", "|---|---|---|---|"]
    lines += [f"| {what} | {aim} | {found:.2f} | {'yes' if good else '**no**'} |" for what, aim, found, good in rows]
    return [*lines, ""]


def _speed(transport: str, found: dict[str, Any]) -> list[Row]:
    reads, creates = ({name: one["ratio"] for name, one in found[kind].items()} for kind in ("read", "create"))
    alone = found["read, one at a time"][OURS]["latency_ratio"]
    one_key = max(ratio for name, ratio in reads.items() if name not in NO_ONE_KEY_PEER)
    return [
        _least(f"get, 50 at a time, to bare GET, {transport}", 1.7, reads[OURS]),
        _least(f"get, to the best peer that reads one key, {transport}", 1.8, reads[OURS] / one_key),
        _least(f"get, to the peer that slides and limits, {transport}", 4, reads[OURS] / reads[LIMITS]),
        _most(f"get, one at a time, latency to bare GET, {transport}", 1.3, alone),
        _least(f"login of a new user, 50 at a time, to bare SET, {transport}", 1, creates[NEW]),
        _least(f"login, to the peer that limits, {transport}", 5, creates[OURS] / creates[LIMITS]),
    ]


def _least(what: str, aim: float, found: float) -> Row:
    return what, f"≥ {aim}", found, round(found, 2) >= aim


def _most(what: str, aim: float, found: float) -> Row:
    return what, f"≤ {aim}", found, round(found, 2) <= aim
