"""Load on sessions, with Locust: `locust -f loadtests/locustfile.py`, with or without its web page.

The target is a stack (--stack), or what the environment says (`eval "$(make session-env)"`, or REDIS_URL and the others
by hand).
"""

import faulthandler
import logging
import random
import signal
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import gevent
from gevent.util import print_run_info
from locust import User, events, task
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadtests import report
from loadtests.bounds import Thresholds, read_thresholds
from loadtests.fault import Blow
from loadtests.gate import judge
from loadtests.level import RefusedError
from loadtests.measured import Measured
from loadtests.options import add_options
from loadtests.pace import Pace, pace_of
from loadtests.record import WRONG, Record
from loadtests.run import Run
from loadtests.sessions import LoadUser, WrongAnswerError
from loadtests.target import Aim, Choice, TargetError, aim
from loadtests.watch import Watch
from loadtests.workers import Workers, obey
from loadtests.workloads import FAULT_SECONDS, WORKLOADS, Workload

log = logging.getLogger("loadtests")
NO_TARGET: Final = 3
"""Exit code if nothing could be tested."""
UNREADABLE: Final = "unreadable"
"""The class of an answer that does not have the form of one."""
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


events.init_command_line_parser.add_listener(add_options)  # type: ignore[no-untyped-call]


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
        if error := outcome("login before the run", self.sessions.prepare)[0]:
            MEASURED.record.failed("prepare", error)
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
        error, failure = outcome(name, lambda: self.sessions.do(name))
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
        error = "cut off"  # unless we get to its end within --stop-timeout
        try:
            error, _ = outcome("audit", self.sessions.audit)
        finally:
            MEASURED.record.lost += self.sessions.lost
            if error:
                MEASURED.record.failed("audit", error)
        outcome("cleaning up; sessions that are left expire by themselves", self.sessions.clean)
        self.sessions.level.close()


def outcome(what: str, do: Callable[[], None]) -> tuple[str, Exception | None]:
    """Do something; return the class of its error, which is empty if it went well, and the error."""
    try:
        do()
    except WrongAnswerError as wrong:
        log.warning("%s: %s", what, wrong)
        return WRONG, wrong
    except RefusedError as refused:
        log.debug("%s: %s", what, refused)
        return refused.kind, refused
    except (LookupError, TypeError, ValueError) as strange:  # what parsers raise
        log.warning("%s: an answer of another form: %r", what, strange)
        return UNREADABLE, strange
    return "", None


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
    gevent.signal_handler(
        signal.SIGUSR1, print_run_info
    )  # where all greenlets stand; and if not even that is possible:
    faulthandler.register(signal.SIGUSR1, chain=True)
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
