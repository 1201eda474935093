"""Several processes: the master waits for what each worker has measured to its very end.

Locust itself gives its workers half a second, in which no sessions are read once more and ended.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, Final

import gevent
from locust.runners import MasterRunner, WorkerRunner

from loadtests.record import Record

log = logging.getLogger("loadtests")
FINISH: Final = "loadtests-finish"
FINISHED: Final = "loadtests-finished"
LOOK_SECONDS: Final = 0.05


def obey(runner: WorkerRunner, measured: Callable[[], Record]) -> None:
    """Stop the users of a worker when its master says so, and tell what was measured."""

    def finish(**_: object) -> None:
        runner.stop()
        runner.send_message(FINISHED, measured().packed())

    runner.register_message(FINISH, finish, concurrent=True)


class Workers:
    """The workers of a master."""

    def __init__(self, runner: MasterRunner) -> None:
        """Listen to them."""
        self._runner = runner
        self._found: dict[str, Record] = {}
        runner.register_message(FINISHED, self._take)

    def finish(self, seconds: float) -> tuple[float, list[Record]]:
        """Stop them; return the share of those that say nothing for so long, and what the others have measured."""
        self._found.clear()
        workers = {client.id for client in self._runner.clients.all}
        self._runner.send_message(FINISH)
        deadline = time.monotonic() + seconds
        while not workers <= set(self._found) and time.monotonic() < deadline:
            gevent.sleep(LOOK_SECONDS)
        silent = workers - set(self._found)
        for worker in silent:
            log.error("worker %s does not say what it has measured", worker)
        return len(silent) / max(1, len(workers)), list(self._found.values())

    def _take(self, msg: Any, **_: object) -> None:  # noqa: ANN401 - Locust's message
        self._found[msg.node_id] = Record.unpacked(msg.data)
