"""Does something to the primary in the middle of a run, by the fault back ends of the conformance suite."""

import logging
import time
from collections.abc import Callable
from typing import Final

import gevent

from conformance.faults import FaultError, Heal
from conformance.targets import Target
from conformance.view import View
from loadtests.record import Fault

log = logging.getLogger("loadtests")
TRIES: Final = 20
PAUSE_SECONDS: Final = 0.2


class Blow:
    """One fault, some time from now; it is undone when the run stops."""

    def __init__(self, fault: str, target: Target, seconds: float, note: Callable[[Fault], None]) -> None:
        """Strike in so many seconds, and note it."""
        self._fault, self._target, self._note = fault, target, note
        self._heal: Heal | None = None
        self._striking = gevent.spawn_later(seconds, self._strike)

    def stop(self) -> None:
        """Undo it, if it was done; wait for one that is being done."""
        if not self._striking.started:
            self._striking.kill()
        self._striking.join()
        if self._heal is not None:
            self._heal()

    def _strike(self) -> None:
        node = self._primary()
        at = time.time()
        try:
            self._heal = self._target.faults.inject(self._fault, node)
        except FaultError as error:
            log.error("%s of %s could not be done: %s", self._fault, node, error)  # noqa: TRY400 - the message says all
            return
        log.warning("%s of %s", self._fault, node)
        self._note(Fault(at, self._fault, node))

    def _primary(self) -> str:
        """The node that the Sentinels name; empty without Sentinels: the fault's command knows whom to hit."""
        for _ in range(TRIES if self._target.sentinels else 0):
            if found := View(self._target).primary():
                return found.host
            gevent.sleep(PAUSE_SECONDS)
        return ""
