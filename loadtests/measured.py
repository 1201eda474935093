"""What this process measures, while it runs."""

import os
import time
from dataclasses import replace
from typing import Final

import gevent

from loadtests.record import Gap, Record

WRITES: Final = ("create", "revoke")
TO_WALL: Final = time.time() - time.perf_counter()
SHORTEST_GAP_SECONDS: Final = 0.1
"""Between two accepted writes of one process; shorter ones are the pace."""
LEAST_SECONDS: Final = 1.0
"""Below, the share of a core says nothing."""


class Measured:
    """Begins after the warm-up, and counts operations by the moment at which they were meant to start."""

    def __init__(self) -> None:
        """Start with nothing measured."""
        self.record = Record()
        self.from_time = 0.0
        self._until = 0.0
        self._last_write = 0.0
        self._cpu = (0.0, 0.0)

    def begin(self, warm_up: float) -> None:
        """Measure operations that are meant to start so many seconds from now, or later."""
        self.record = Record(gaps=[])
        self._until = 0.0
        self._cpu = (0.0, 0.0)
        self.from_time = self._last_write = time.perf_counter() + warm_up
        gevent.spawn_later(warm_up, self._note_cpu)

    def _note_cpu(self) -> None:
        self._cpu = (time.process_time(), time.perf_counter())

    def note(self, name: str, times: tuple[float, float, float], error: str, *, idle: bool) -> None:
        """Note one operation: when it was meant to start, has started, and has ended; empty error: it went well."""
        due, begun, ended = times
        if due < self.from_time:
            return
        self.record.started(due, begun, idle=idle)
        self.record.ended(name, int(due + TO_WALL), ended - due, error)
        if name in WRITES and not error:
            self._gaps().extend(self._gap(ended))
            self._last_write = ended

    def stop(self) -> None:
        """Count time only until now; what comes is the cleaning up."""
        if not self._until:
            self._until = time.perf_counter()
            self._note_share()

    def seconds(self, since: float = 0.0) -> float:
        """How long it has measured, or has measured since a moment of the same clock."""
        return max(0.0, (self._until or time.perf_counter()) - max(self.from_time, since))

    def end(self) -> Record:
        """Return what was measured."""
        if not self._until:
            self._note_share()
        return replace(self.record, gaps=[*self._gaps(), *self._gap(self._until or time.perf_counter())])

    def watcher(self) -> Record:
        """Return what a process without users has measured: nothing of writes, and it generates nothing."""
        return replace(self.record, gaps=None, cpu={})

    def _note_share(self) -> None:
        used, since = self._cpu
        elapsed = time.perf_counter() - since if since else 0.0
        if elapsed > LEAST_SECONDS:
            self.record.cpu[f"{os.uname().nodename}:{os.getpid()}"] = (time.process_time() - used) / elapsed

    def _gaps(self) -> list[Gap]:
        if self.record.gaps is None:
            self.record.gaps = []
        return self.record.gaps

    def _gap(self, end: float) -> list[Gap]:
        found = Gap(self._last_write + TO_WALL, end + TO_WALL)
        return [found] if self._last_write and found.end - found.begin > SHORTEST_GAP_SECONDS else []
