"""A histogram of microseconds (HdrHistogram, three significant figures) that costs a generator almost nothing.

Recording a value into HdrHistogram takes as long as the rest of an operation. Values are counted in a dict first, and
go into the histogram, each with its number, when somebody looks.
"""

from typing import Final, Self

from hdrh.histogram import HdrHistogram

LONGEST_US: Final = 600_000_000
SHARP_US: Final = 10_000
"""From here on values are rounded down to four figures, so that there are few of them."""


class Histogram:
    """Values from 1 µs to ten minutes."""

    def __init__(self) -> None:
        """Start empty."""
        self._whole = HdrHistogram(1, LONGEST_US, 3)
        self._pending: dict[int, int] = {}

    def record(self, micros: int) -> None:
        """Count one value."""
        if micros >= SHARP_US:
            micros -= micros % 10 ** (len(str(micros)) - 4)
        self._pending[micros] = self._pending.get(micros, 0) + 1

    @property
    def whole(self) -> HdrHistogram:
        """Everything that was recorded until now."""
        while self._pending:
            micros, times = self._pending.popitem()
            self._whole.record_value(min(LONGEST_US, max(1, micros)), times)
        return self._whole

    def add(self, other: Self) -> None:
        """Take in another one."""
        self.whole.add(other.whole)

    def packed(self) -> str:
        """As text, to be sent to another process."""
        return str(self.whole.encode().decode())

    @classmethod
    def unpacked(cls, text: str) -> Self:
        """Read what `packed` has made."""
        made = cls()
        made.whole.decode_and_add(text.encode())
        return made
