# ruff: noqa: T201 - a command line prints
"""The command line: look at sessions and end them, load the function library, print the ACL rules, find what is wrong.

Settings come from the environment, as for the library. A session id is a secret: give ``-`` to read it from standard
input, and it appears in no list of processes.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from session_core import acl
from session_core.errors import SessionError, SettingsError

if TYPE_CHECKING:
    from session_core.manager import SessionManager

EXAMPLES: Final = """examples:
  session-core doctor                              what is wrong between here and Redis
  session-core list alice                          her live sessions, by their handles
  session-core revoke --user alice --reason stolen
  session-core get - <<< "$COOKIE"                 the id by standard input: it is a secret
  redis-cli HGETALL "$(session-core key HANDLE)"
"""
FOUND: Final = 0
FAILED: Final = 1
MISSING: Final = 3
"""Exit status where there is no such session."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status: 0 done, 1 failed (one line on standard error), 3 no such session."""
    options = _parser().parse_args(arguments)
    try:
        status = int(asyncio.run(options.run(options)))
        sys.stdout.flush()
    except SessionError as error:
        print(f"session-core: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # as with `| head`: nobody reads any more, and what is left in the buffer has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="session-core",
        description="User sessions on Redis. Settings come from the environment, as for the library.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, run: Callable[[argparse.Namespace], Awaitable[int]], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    session_help = "session id or handle; - reads it from standard input"
    command("get", _get, "show one session as JSON; does not extend it").add_argument("session", help=session_help)
    command("list", _list, "list the live sessions of a user, one JSON object a line").add_argument("user")
    revoke = command("revoke", _revoke, "end one session, or all of a user")
    whom = revoke.add_mutually_exclusive_group(required=True)
    whom.add_argument("session", nargs="?", help=session_help)
    whom.add_argument("--user", help="end all sessions of this user")
    revoke.add_argument("--reason", help="what the user is told")
    command("count", _count, "count live sessions").add_argument("user", nargs="?", help="of this user only")
    command("users", _users, "list the users with a live session, one a line")
    command("key", _key, "print the Redis key of a session").add_argument("session", help=session_help)
    bring = command(
        "import", _import, "bring the sessions of the former system over; reads its database, deletes nothing"
    )
    bring.add_argument("--from", dest="source", required=True, help="URL of its Redis; - reads it from standard input")
    bring.add_argument("--ca-file", help="authorities for its TLS, in PEM form")
    bring.add_argument("--dry-run", action="store_true", help="write nothing, say what would be done")
    bring.add_argument("--json", action="store_true", help="report as one JSON object")
    functions = command("functions", _load, "load the function library with the deploy user")
    functions.add_argument("action", choices=["load"])
    rules = command("acl", _acl, "print the ACL rule of the application's user, as for ACL SETUSER")
    which = rules.add_mutually_exclusive_group()
    which.add_argument("--deploy", dest="rule", action="store_const", const=acl.DEPLOY_RULE, help="of the deploy user")
    which.add_argument(
        "--sentinel", dest="rule", action="store_const", const=acl.SENTINEL_RULE, help="on the Sentinels"
    )
    rules.add_argument("--eval", action="store_true", help="for SESSION_SCRIPTS=eval, where functions are refused")
    rules.add_argument(
        "--database", action="store_true", help="for a REDIS_URL that ends in a database other than 0: with SELECT"
    )
    rules.add_argument("--cluster", action="store_true", help="for the nodes of a Redis Cluster")
    rules.set_defaults(rule=acl.APP_RULE)
    doctor = command(
        "doctor", _doctor, "connect as the application does and say what is wrong; status 1 if something is"
    )
    doctor.add_argument("--json", action="store_true", help="one JSON object: healthy, findings")
    return parser


async def _get(options: argparse.Namespace) -> int:
    async with _manager() as sessions:
        found = await sessions.inspect_session(_named(options.session))
        if found is not None:  # by its handle, which opens nothing that is sealed
            found = await sessions.inspect_session(found.handle)
    if found is None:
        print("session-core: no such session: expired, or never issued", file=sys.stderr)
        return MISSING
    _print_json(asdict(found), indent=2)
    return FOUND


async def _list(options: argparse.Namespace) -> int:
    async with _manager() as sessions:
        for session in await sessions.get_user_sessions(options.user):
            _print_json(asdict(session))
    return FOUND


async def _revoke(options: argparse.Namespace) -> int:
    async with _manager() as sessions:
        if options.user is not None:
            ended = await sessions.revoke_user_sessions(options.user, options.reason, actor="session-core")
            print(f"{len(ended.handles)} revoked{_doubt(ended.durable)}")
            return FOUND
        revoked = await sessions.revoke_session(_named(options.session), options.reason, actor="session-core")
    if not revoked:
        print("session-core: no such session: expired, or never issued", file=sys.stderr)
        return MISSING
    print(f"{revoked.handle} revoked{_doubt(revoked.durable)}")
    return FOUND


async def _count(options: argparse.Namespace) -> int:
    async with _manager() as sessions:
        user = options.user
        print(await (sessions.count_active_sessions() if user is None else sessions.count_user_sessions(user)))
    return FOUND


async def _users(_options: argparse.Namespace) -> int:
    async with _manager() as sessions:
        async for user in sessions.iter_active_users():
            print(user)
    return FOUND


async def _key(options: argparse.Namespace) -> int:
    from session_core.ids import ref_of_either
    from session_core.protocol import session_key

    print(session_key(ref_of_either(_named(options.session))))
    return FOUND


async def _import(options: argparse.Namespace) -> int:
    from session_core.migration.importer import Importer, settings_of_old
    from session_core.settings import Settings

    old = settings_of_old(_named(options.source), options.ca_file)
    report = await Importer(old, Settings(), dry_run=options.dry_run).run()
    print(json.dumps(asdict(report)) if options.json else "\n".join(report.lines()))
    return FOUND


async def _load(_options: argparse.Namespace) -> int:
    from session_core.deploy import load_functions
    from session_core.settings import Settings

    print(await load_functions(Settings()))
    return FOUND


async def _acl(options: argparse.Namespace) -> int:
    scripts = {acl.APP_RULE: acl.EVAL_APP_RULE, acl.DEPLOY_RULE: acl.EVAL_DEPLOY_RULE} if options.eval else {}
    rule = scripts.get(options.rule, options.rule)
    if options.cluster and (options.database or rule == acl.SENTINEL_RULE):
        raise SettingsError("--cluster: a Redis Cluster has no Sentinels, and only database 0")
    rule = acl.on_database(rule) if options.database else rule
    print(acl.on_cluster(rule) if options.cluster else rule)
    return FOUND


async def _doctor(options: argparse.Namespace) -> int:
    from session_core.doctor import examine
    from session_core.settings import Settings

    marks = {"ok": "ok   ", "wrong": "WRONG", "unseen": "?    "}
    found = []
    async for finding in examine(Settings()):
        found.append(finding)
        if not options.json:
            print(marks[finding.state], finding.text, flush=True)
    healthy = all(finding.state != "wrong" for finding in found)
    if options.json:
        print(json.dumps({"healthy": healthy, "findings": [finding._asdict() for finding in found]}))
    return FOUND if healthy else FAILED


def _manager() -> "SessionManager":
    from session_core.manager import SessionManager

    return SessionManager()


def _named(session: str) -> str:
    return sys.stdin.readline().strip() if session == "-" else session


def _doubt(durable: bool) -> str:  # noqa: FBT001 - private
    return "" if durable else " (not confirmed by a replica)"


def _print_json(values: dict[str, Any], indent: int | None = None) -> None:
    values["session_id"] = values["handle"]  # the terminal of an operator is no place for the secret

    def plain(value: object) -> str:
        return value.isoformat() if isinstance(value, datetime) else str(value)

    print(json.dumps(values, default=plain, indent=indent, ensure_ascii=False))
