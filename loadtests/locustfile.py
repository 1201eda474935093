"""Load on sessions in Redis, with Locust: `locust -f loadtests/locustfile.py`, with or without its web page.

The target is what the environment says (`eval "$(make session-env)"`, or REDIS_URL and the others by hand).
"""

import logging
import os
import random
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any, Final

import gevent
from locust import User, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner
from redis.exceptions import RedisError

from loadtests import report
from loadtests.client import Client
from loadtests.gate import Thresholds, judge, read_thresholds
from loadtests.pace import Pace, pace_of
from loadtests.record import WRONG, Record
from loadtests.sessions import LoadUser, WrongAnswerError
from loadtests.workloads import WORKLOADS, Workload
from session_core import Settings
from session_core.errors import SettingsError

log = logging.getLogger("loadtests")
NO_TARGET: Final = 3
"""Exit code if nothing could be tested."""
WRITES: Final = ("create", "revoke")
LAST_SECONDS: Final = 0.1
"""What was due in the last moment of the run was in time to be left."""
TO_WALL: Final = time.time() - time.perf_counter()


@events.init_command_line_parser.add_listener
def _options(parser: LocustArgumentParser) -> None:
    names = ", ".join(f"{name} ({each.about})" for name, each in WORKLOADS.items())
    group = parser.add_argument_group("sessions", "what is done, how often, and what has to hold")
    group.add_argument("--workload", choices=sorted(WORKLOADS), default="steady", help=names)
    group.add_argument(
        "--rate", type=float, default=0.0, help="operations started a second, all users together; 0: the workload's own"
    )
    group.add_argument("--warm-up", type=float, default=3.0, help="seconds at the beginning that are not measured")
    group.add_argument(
        "--thresholds", default="", help="file of thresholds; the exit code is then 0 pass, 1 broken, 2 inconclusive"
    )
    group.add_argument("--report", default="", help="directory for report.json, report.html, junit.xml")


class Measured:
    """What this process measures, while it runs."""

    def __init__(self) -> None:
        """Start with nothing measured."""
        self.record = Record()
        self.from_time = 0.0
        self.last_write = 0.0
        self._cpu = (0.0, 0.0)

    def begin(self, warm_up: float) -> None:
        """Measure operations that are meant to start after the warm-up."""
        self.record, self.last_write = Record(), 0.0
        self.from_time = time.perf_counter() + warm_up
        gevent.spawn_later(warm_up, self._note_cpu)

    def _note_cpu(self) -> None:
        self._cpu = (time.process_time(), time.perf_counter())

    def end(self) -> Record:
        """Return what was measured."""
        used, since = self._cpu
        elapsed = time.perf_counter() - since if since else 0.0
        if elapsed > 1:
            self.record.cpu[f"{os.uname().nodename}:{os.getpid()}"] = (time.process_time() - used) / elapsed
        return self.record

    def wrote(self, at: float) -> None:
        """Note an accepted write."""
        if self.last_write:
            self.record.longest_gap = max(self.record.longest_gap, at - self.last_write)
        self.last_write = at


MEASURED: Final = Measured()


@cache
def settings() -> Settings:
    """What the environment says of the target."""
    return Settings()


class RedisUser(User):
    """One connection, and starts at a fixed rate: a late answer does not put off the next start."""

    def on_start(self) -> None:
        """Log in the sessions of the workload, then wait for the first start."""
        options = self.environment.parsed_options
        self.workload: Workload = WORKLOADS[options.workload]
        self.sessions = LoadUser(Client(settings()), self.workload, settings())
        self.sessions.prepare()
        self.mix = (list(self.workload.mix), list(self.workload.mix.values()))
        rate = options.rate or self.workload.rate
        self.pace: Pace = pace_of(rate, options.num_users or 1, random.random(), time.perf_counter())  # noqa: S311
        gevent.sleep(self.wait_time())

    def wait_time(self) -> float:
        """Seconds until the next start; 0 if it is late."""
        self.due = self.pace.take()
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
        except (RedisError, OSError) as refused:
            failure, error = refused, str(refused).partition(" ")[0] or type(refused).__name__
        ended = time.perf_counter()
        if due >= MEASURED.from_time:
            record = MEASURED.record
            record.started(due, begun, idle=self.idle)
            record.ended(name, int(due + TO_WALL), ended - due, error)
            if name in WRITES and failure is None:
                MEASURED.wrote(ended)
        self.environment.events.request.fire(
            request_type="REDIS",
            name=name,
            response_time=(ended - due) * 1000,
            response_length=0,
            exception=failure,
            context={},
        )

    def on_stop(self) -> None:
        """End the sessions that are left; count what was due and never begun."""
        MEASURED.record.dropped += self.pace.overdue(time.perf_counter() - LAST_SECONDS)
        MEASURED.record.unconfirmed += self.sessions.unconfirmed
        try:
            self.sessions.clean()
        except (RedisError, OSError) as error:
            log.warning("sessions of the load test are left and expire by themselves: %s", error)
        self.sessions.client.close()


@events.init.add_listener
def _check(environment: Environment, **_: object) -> None:  # noqa: ARG001
    try:
        settings()
    except SettingsError as error:
        hint = 'The target is what the environment says: eval "$(make session-env)"'
        sys.stderr.write(f"{error}\n{hint}\n")
        sys.exit(NO_TARGET)
    gevent.get_hub().loop.update_now()  # its timers count from here, not from before the imports


@events.test_start.add_listener
def _begin(environment: Environment, **_: object) -> None:
    MEASURED.begin(environment.parsed_options.warm_up)  # type: ignore[union-attr]


@events.report_to_master.add_listener
def _tell(client_id: str, data: dict[str, Any]) -> None:  # noqa: ARG001
    data["sessions"] = MEASURED.end().packed()


@events.worker_report.add_listener
def _told(client_id: str, data: dict[str, Any]) -> None:
    if "sessions" in data:
        _REPORTS[client_id] = data["sessions"]


_REPORTS: Final[dict[str, dict[str, Any]]] = {}


@events.quitting.add_listener
def _judge(environment: Environment, **_: object) -> None:
    if isinstance(environment.runner, WorkerRunner) or environment.web_ui:
        return
    options = environment.parsed_options
    record = MEASURED.end() if not isinstance(environment.runner, MasterRunner) else Record()
    for each in _REPORTS.values():
        record.add(Record.unpacked(each))
    thresholds = read_thresholds(Path(options.thresholds)) if options.thresholds else Thresholds()  # type: ignore[union-attr]
    verdict, findings = judge(record, thresholds)
    run = report.Run(options.workload, record, verdict, findings)  # type: ignore[union-attr]
    sys.stdout.write(report.text(run))
    if options.report:  # type: ignore[union-attr]
        report.write(run, Path(options.report))  # type: ignore[union-attr]
    if options.thresholds:  # type: ignore[union-attr]
        environment.process_exit_code = verdict.exit_code
