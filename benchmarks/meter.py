"""Reads processor time beside a run of the load test, and divides it by the operations that were measured meanwhile."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

EVERY_SECONDS: Final = 0.2
FEWEST_SECONDS: Final = 2


class Meter:
    """Samples some counters of processor time (seconds) from beginning to end."""

    def __init__(self, read: Callable[[], Sequence[float]]) -> None:
        """Take what reads them; it is called in a thread."""
        self._read = read
        self._samples: list[tuple[float, Sequence[float]]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    def each_us(self, report: Mapping[str, Any]) -> list[float]:
        """Microseconds for each operation, of each counter, within the whole seconds that a run has measured.

        Logins before and cleaning afterwards are not in it.
        """
        counted = {int(second): each[0] + each[1] for second, each in report["record"]["seconds"].items()}
        whole = sorted(counted)[1:-1]
        assert len(whole) >= FEWEST_SECONDS, counted
        operations = sum(counted[second] for second in whole)
        begin, end = self._at(whole[0]), self._at(whole[-1] + 1)
        return [(after - before) / operations * 1e6 for before, after in zip(begin, end, strict=True)]

    def _at(self, second: float) -> Sequence[float]:
        return min(self._samples, key=lambda sample: abs(sample[0] - second))[1]

    def _run(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            self._samples.append((time.time(), self._read()))
