"""The command `conformance`: run, list, verify-report, compare."""

import argparse
import asyncio
import fcntl
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from conformance.config import Config, ConfigError
from conformance.config import read as read_config
from conformance.faults import FaultError
from conformance.report import HISTORIES, clear, write
from conformance.report.compare import compare, page
from conformance.report.model import Report, Span, report
from conformance.report.outages import HEAD, outages
from conformance.report.verify import ReportError, judged_again, verify
from conformance.requirements import register
from conformance.run import Choice, Run
from conformance.targets import Target, probe
from conformance.targets.containers import TopologyError, containers, sweep
from conformance.targets.endpoint import CONNECTION, endpoint
from conformance.targets.pods import reached
from conformance.targets.stack import outputs_of, target_of
from conformance.verdict import EXIT_CODES
from conformance.view import View
from infra.outputs import OutputsError
from infra.outputs import read as read_outputs
from session_core.errors import SessionError

ENGINE_ERROR = EXIT_CODES["error"]
REFUSED = (ConfigError, OutputsError, TopologyError, SessionError, FaultError, ReportError, OSError)
EXAMPLES = """\
examples:
  conformance run                                     containers of its own, every profile
  conformance run --profile SESSION-CORE --profile SECURITY
  conformance run --stack dev                         what Pulumi has deployed; nothing that hurts
  conformance run --stack dev --allow-disruptive      kills its parts, too
  conformance run --endpoint --config my-redis.yaml   any Redis: REDIS_... variables from the file or the environment
  conformance list --json
  conformance run --profile HA-FAILOVER --kills 20    kills the primary twenty times
  conformance verify-report conformance-report
  conformance compare runs/* --out runs.md            same verdict? and all their faults counted together

exit codes: 0 conformant, 1 violation, 2 unknown or partial, 3 the suite itself failed
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do as the command line says; the exit code."""
    try:
        asked = _parser().parse_args(arguments)
    except SystemExit as stopped:  # of argparse, which exits with 2 on wrong usage: that is a verdict here
        return ENGINE_ERROR if stopped.code else 0
    try:
        return int(asked.do(asked))
    except REFUSED as error:
        sys.stderr.write(f"conformance: {error}\n")
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write("conformance: interrupted; what was started is removed\n")
    except Exception:  # noqa: BLE001 - Python's own exit code is that of a violation
        sys.stderr.write("conformance: a fault of this suite, which says nothing about the target:\n")
        traceback.print_exc()
    return ENGINE_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="conformance",
        description="Proves that a deployment keeps its promises.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="run | list | verify-report | compare")
    profiles = sorted(register().profiles)
    running = commands.add_parser("run", help="examine a target and write a report", epilog=EXAMPLES)
    running.formatter_class = argparse.RawDescriptionHelpFormatter
    target = running.add_mutually_exclusive_group()
    target.add_argument("--stack", metavar="NAME", help="a stack of Pulumi, by its outputs")
    target.add_argument("--outputs", type=Path, metavar="FILE", help="a file of the form of a stack's outputs")
    target.add_argument("--endpoint", action="store_true", help="the REDIS_... variables of the session library")
    running.add_argument("--config", type=Path, metavar="FILE", help="docs/conformance.md says what may be in it")
    running.add_argument("--profile", action="append", default=[], choices=profiles, help="only this; may be repeated")
    running.add_argument(
        "--id", action="append", default=[], metavar="ID", help="only this requirement; may be repeated"
    )
    running.add_argument("--allow-disruptive", action="store_true", help="kill, stop and cut off parts of the target")
    running.add_argument("--repeat", type=int, default=1, metavar="N", help="do each disruptive experiment N times")
    running.add_argument("--kills", type=int, default=1, metavar="N", help="kill the primary N times, if that is more")
    running.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the containers")
    running.add_argument(
        "--out", type=Path, default=Path("conformance-report"), metavar="DIR", help="directory of the report"
    )
    running.set_defaults(do=_run)
    listing = commands.add_parser("list", help="show the requirements")
    listing.add_argument("--profile", action="append", default=[], choices=profiles)
    listing.add_argument("--json", action="store_true", help="for programs")
    listing.set_defaults(do=_list)
    checking = commands.add_parser("verify-report", help="compute the verdict again from the histories of a report")
    checking.add_argument("directory", type=Path)
    checking.add_argument("--write", action="store_true", help="write the report anew, as it is judged now")
    checking.set_defaults(do=_verify)
    comparing = commands.add_parser("compare", help="several reports with their histories, side by side")
    comparing.add_argument("directories", type=Path, nargs="+", metavar="DIR")
    comparing.add_argument("--out", type=Path, metavar="FILE", help="write the table there, as Markdown")
    comparing.set_defaults(do=_compare)
    return parser


def _run(asked: argparse.Namespace) -> int:
    config = read_config(asked.config) if asked.config else Config()
    _refuse_what_has_no_effect(asked, config)
    out: Path = asked.out
    with _alone(out):
        found = asyncio.run(_examine(asked, config))
        write(found, out)
    for profile in found.profiles:
        counts = ", ".join(f"{count} {status}" for status, count in profile.counts.items())
        sys.stdout.write(f"{profile.name:16} {profile.result:13} {counts}\n")
    for name, *cells in outages(found.requirements):
        told = (f"{head} {cell}" for head, cell in zip(HEAD[1:], cells, strict=True) if cell)
        sys.stdout.write(f"{name}: {'; '.join(told)}\n")
    sys.stdout.write(f"{found.verdict} after {found.seconds:g} s: {out / 'report.html'}\n")
    return found.exit_code


def _refuse_what_has_no_effect(asked: argparse.Namespace, config: Config) -> None:
    known = {each.id for each in register().requirements}
    if unknown := sorted(set(asked.id) - known):
        raise ConfigError(f"--id {' '.join(unknown)}: no such requirement; see: conformance list")
    for option in ("repeat", "kills"):
        if (times := getattr(asked, option)) < 1:
            raise ConfigError(f"--{option} {times}: must be at least 1")
    if asked.set and not _own(asked):
        raise ConfigError("--set: of the suite's own containers alone; leave it out, or change the target itself")
    if wrong := [change for change in asked.set if "=" not in change]:
        raise ConfigError(f"--set {' '.join(wrong)}: must be KEY=VALUE")
    of_endpoint = [name for name in ("settings", "features", "faults") if getattr(config, name)]
    if of_endpoint and not asked.endpoint:
        names = ", ".join(of_endpoint)
        raise ConfigError(f"{asked.config}: {names}: of an endpoint alone; add --endpoint or take it out")
    if unused := [name for name in config.settings if name.lower() not in CONNECTION]:
        names = ", ".join(unused)
        raise ConfigError(f"{asked.config}: settings: {names}: set by each experiment as it needs; take it out")


def _own(asked: argparse.Namespace) -> bool:
    """Whether the suite examines containers of its own."""
    return not (asked.stack or asked.outputs or asked.endpoint)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the directory: two runs would mix their histories."""
    out.mkdir(parents=True, exist_ok=True)
    held = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ConfigError(f"--out {out}: another run writes there; wait for its end, or name another") from None
    finally:
        os.close(held)


async def _examine(asked: argparse.Namespace, config: Config) -> Report:
    task = asyncio.current_task()
    if task:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    began, start = datetime.now(UTC), time.monotonic()

    def say(line: str) -> None:
        sys.stderr.write(f"{time.monotonic() - start:6.1f} s  {line}\n")

    own = _own(asked)
    named = asked.profile or asked.id
    choice = Choice(
        profiles=frozenset(asked.profile if named else config.profiles),
        ids=frozenset(asked.id),
        allow_disruptive=asked.allow_disruptive or own,
        repeat=asked.repeat,
        kills=asked.kills,
        recovery_seconds=config.recovery_seconds,
        changes=tuple(asked.set),
    )
    with tempfile.TemporaryDirectory(prefix="conformance-") as directory:
        say("bringing up containers" if own else "looking at the target")
        async with _target(asked, config, Path(directory)) as found:
            target = found.watched_by(config.prometheus)
            await probe(target)
            software = await asyncio.to_thread(View(target).software)
            say(f"{target.kind} {target.name}: {', '.join(sorted(target.features))}")
            clear(asked.out)
            results = await Run(register(), target, choice, asked.out / HISTORIES, say).results()
        return report(target, software, choice, results, Span(began, time.monotonic() - start))


@asynccontextmanager
async def _target(asked: argparse.Namespace, config: Config, directory: Path) -> AsyncIterator[Target]:
    if asked.endpoint:
        yield await endpoint(config)
    elif asked.stack or asked.outputs:
        outputs = await asyncio.to_thread(outputs_of, asked.stack) if asked.stack else read_outputs(asked.outputs)
        with reached(outputs) as reachable:
            yield target_of(reachable, "stack", directory)
    else:
        sweep()
        settings = dict(change.partition("=")[::2] for change in asked.set)
        async with containers(directory, settings) as target:
            yield target


def _list(asked: argparse.Namespace) -> int:
    chosen = [each for each in register().requirements if not asked.profile or each.profile in asked.profile]
    if asked.json:
        sys.stdout.write(json.dumps([each.model_dump(mode="json") for each in chosen], indent=2) + "\n")
        return 0
    for each in chosen:
        needs = ", ".join(sorted(register().needs(each)))
        sys.stdout.write(
            f"{each.id:14} {each.level:6} {each.profile:16} {each.sentence}" + (f" [{needs}]\n" if needs else "\n")
        )
    return 0


def _verify(asked: argparse.Namespace) -> int:
    if asked.write:
        write(judged_again(asked.directory), asked.directory)
    found = verify(asked.directory)
    for difference in found.differences:
        sys.stdout.write(f"{difference}\n")
    if found.differences:
        sys.stderr.write("conformance: not what the histories say; of an older version: --write judges it anew\n")
        return ENGINE_ERROR
    sys.stdout.write(f"the histories give exit code {found.exit_code}, as the report says\n")
    return found.exit_code


def _compare(asked: argparse.Namespace) -> int:
    found = compare(asked.directories)
    text = page(found)
    if asked.out:
        asked.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return found.exit_code
