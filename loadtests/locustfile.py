"""Load on sessions, with Locust: `locust -f loadtests/locustfile.py`, with or without its web page.

The target is a stack (--stack), or what the environment says (`eval "$(make session-env)"`, or REDIS_URL and the others
by hand).
"""

import logging
import random
import sys
import time
from argparse import SUPPRESS
from functools import cache
from pathlib import Path
from typing import Any, Final

import gevent
from locust import User, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadtests import report
from loadtests.bounds import Thresholds, read_thresholds
from loadtests.fault import Blow
from loadtests.gate import judge
from loadtests.level import RefusedError
from loadtests.measured import Measured
from loadtests.pace import Pace, pace_of
from loadtests.record import WRONG, Record
from loadtests.run import Run
from loadtests.sessions import LoadUser, WrongAnswerError
from loadtests.target import LEVELS, Aim, Choice, TargetError, aim
from loadtests.watch import Watch
from loadtests.workers import Workers, obey
from loadtests.workloads import FAULT_SECONDS, WORKLOADS, Workload

log = logging.getLogger("loadtests")
NO_TARGET: Final = 3
"""Exit code if nothing could be tested."""
LAST_SECONDS: Final = 0.1
"""What was due in the last moment of the run was in time to be left."""
MEASURED: Final = Measured()
MEANWHILE: Final[list[Watch | Blow]] = []
"""What goes on beside the users, in the process that judges."""
CLEANING_SECONDS: Final = 60
"""How long workers may take to read all sessions once more and to end them."""
WORKERS: Final[list[Workers]] = []
"""In a master: one."""
FROM_WORKERS: Final[list[Record]] = []


@events.init_command_line_parser.add_listener
def _options(parser: LocustArgumentParser) -> None:
    names = ", ".join(f"{name} ({each.about})" for name, each in WORKLOADS.items())
    parser.add_argument("--workload", choices=sorted(WORKLOADS), default="steady", help=names)  # on the web page, too
    parser.add_argument(
        "--rate", type=float, default=0.0, help="operations started a second, all users together; 0: the workload's own"
    )
    group = parser.add_argument_group("sessions", "on what, and what has to hold")
    group.add_argument("--level", choices=LEVELS, default="redis", help="Redis itself, or the session service")
    group.add_argument("--stack", default="", help="the target by its outputs, as Pulumi tells them")
    group.add_argument("--outputs", default="", help="the target by a file of the form of a stack's outputs")
    group.add_argument(
        "--conformance", default="", help="file of the conformance suite: settings, and commands that inject faults"
    )
    group.add_argument("--warm-up", type=float, default=3.0, help="seconds at the beginning that are not measured")
    group.add_argument(
        "--thresholds", default="", help="file of thresholds; the exit code is then 0 pass, 1 broken, 2 inconclusive"
    )
    group.add_argument("--report", default="", help="directory for report.json, report.html, junit.xml")
    # Among how many users the rate is shared: a master tells its workers, which know only their own options.
    group.add_argument("--all-users", type=int, default=0, help=SUPPRESS)


def _rate(options: Any) -> float:  # noqa: ANN401 - Locust's
    return float(options.rate or WORKLOADS[options.workload].rate)


class SessionUser(User):
    """One connection, and starts at a fixed rate: a late answer does not put off the next start."""

    pace: Pace | None = None
    """None until the sessions of the workload are logged in."""

    def on_start(self) -> None:
        """Log in the sessions of the workload, then wait for the first start."""
        options = self.environment.parsed_options
        self.workload: Workload = WORKLOADS[options.workload]
        self.sessions = LoadUser(target_of(self.environment).level(self.workload.agent_bytes), self.workload)
        self.sessions.prepare()
        self.mix = (list(self.workload.mix), list(self.workload.mix.values()))
        self.pace = pace_of(_rate(options), options.all_users, random.random(), time.perf_counter())  # noqa: S311
        gevent.sleep(self.wait_time())

    def wait_time(self) -> float:
        """Seconds until the next start; 0 if it is late."""
        self.due = self.pace.take() if self.pace else time.perf_counter()
        left = self.due - time.perf_counter()
        self.idle = left > 0
        return max(0.0, left)

    @task
    def operation(self) -> None:
        """Do one operation and note how it went, from the moment at which it was meant to start."""
        due, begun = self.due, time.perf_counter()
        [name] = random.choices(*self.mix)  # noqa: S311
        failure: Exception | None = None
        error = ""
        try:
            self.sessions.do(name)
        except WrongAnswerError as wrong:
            failure, error = wrong, WRONG
            log.warning("%s: %s", name, wrong)
        except RefusedError as refused:
            failure, error = refused, refused.kind
        ended = time.perf_counter()
        MEASURED.note(name, (due, begun, ended), error, idle=self.idle)
        self.environment.events.request.fire(
            request_type=self.environment.parsed_options.level,
            name=name,
            response_time=(ended - due) * 1000,
            response_length=0,
            exception=failure,
            context={},
        )

    def on_stop(self) -> None:
        """End the sessions that are left; count what was due and never begun, and what is not there any more."""
        MEASURED.stop()
        self.sessions.level.close()  # we may have been stopped in the middle of an answer
        if self.pace:
            MEASURED.record.target += MEASURED.seconds(self.pace.first) / self.pace.interval
            MEASURED.record.dropped += self.pace.overdue(time.perf_counter() - LAST_SECONDS)
        MEASURED.record.unconfirmed += self.sessions.unconfirmed
        try:
            MEASURED.record.lost += self.sessions.audit()
            self.sessions.clean()
        except RefusedError as error:
            log.warning("sessions of the load test are left and expire by themselves: %s", error)
        self.sessions.level.close()


@cache
def target_of(environment: Environment) -> Aim:
    """What the options and the variables say of the target."""
    options: Any = environment.parsed_options
    found = aim(Choice(options.level, options.stack, options.outputs, options.conformance, environment.host or ""))
    fault = WORKLOADS[options.workload].fault
    if fault and (found.deployment is None or fault not in found.deployment.faults.abilities):
        raise TargetError(
            f"{options.workload} needs {fault}: give --stack, --outputs, or --conformance with a command for it"
        )
    return found


@events.init.add_listener
def _check(environment: Environment, **_: object) -> None:
    try:
        target_of(environment)
    except TargetError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(NO_TARGET)
    if isinstance(environment.runner, MasterRunner):
        WORKERS.append(Workers(environment.runner))
    if isinstance(environment.runner, WorkerRunner):
        obey(environment.runner, MEASURED.end)
    gevent.get_hub().loop.update_now()  # its timers count from here, not from before the imports


@events.test_start.add_listener
def _begin(environment: Environment, **_: object) -> None:
    options: Any = environment.parsed_options
    MEASURED.begin(options.warm_up)
    FROM_WORKERS.clear()
    if isinstance(environment.runner, WorkerRunner):
        return
    options.all_users = environment.runner.target_user_count  # type: ignore[union-attr]
    found = target_of(environment)
    if store := found.store():
        MEANWHILE.append(Watch(store, MEASURED.record.samples))
    fault = WORKLOADS[options.workload].fault
    if fault and found.deployment:
        MEANWHILE.append(Blow(fault, found.deployment, options.warm_up + FAULT_SECONDS, MEASURED.record.faults.append))


@events.test_stopping.add_listener
def _stopping(environment: Environment, **_: object) -> None:
    MEASURED.stop()
    if isinstance(environment.runner, WorkerRunner):
        return
    for workers in WORKERS:
        silent, FROM_WORKERS[:] = workers.finish((environment.stop_timeout or 0) + CLEANING_SECONDS)
        MEASURED.record.target += silent * _rate(environment.parsed_options) * MEASURED.seconds()  # nothing of it came
    while MEANWHILE:
        MEANWHILE.pop().stop()


@events.quitting.add_listener
def _judge(environment: Environment, **_: object) -> None:
    if isinstance(environment.runner, WorkerRunner) or environment.web_ui:
        return
    options: Any = environment.parsed_options
    record = MEASURED.watcher() if WORKERS else MEASURED.end()
    for each in FROM_WORKERS:
        record.add(each)
    thresholds = read_thresholds(Path(options.thresholds)) if options.thresholds else Thresholds()
    verdict, findings = judge(record, thresholds)
    run = Run(options.workload, options.level, _rate(options), record, verdict, findings)
    sys.stdout.write(report.text(run))
    if options.report:
        report.write(run, Path(options.report))
    if options.thresholds:
        environment.process_exit_code = verdict.exit_code
