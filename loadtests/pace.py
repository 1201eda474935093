"""When each operation is meant to start: an open model, in which a slow server does not slow the arrivals down.

A closed model (start the next operation when the last one has ended) leaves out just the starts that would have waited,
which is called coordinated omission. Here every start has a time that is known beforehand, and latency counts from it.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Pace:
    """The starts of one user: every `interval` seconds, the first at `first` (seconds of a monotonic clock)."""

    first: float
    interval: float
    taken: int = 0

    def take(self) -> float:
        """Return when the next operation is meant to start; that time may have passed."""
        due = self.first + self.taken * self.interval
        self.taken += 1
        return due

    def overdue(self, now: float) -> int:
        """How many starts were due by now and have not been taken: they are dropped when the run ends."""
        due = int((now - self.first) // self.interval) + 1 if now >= self.first else 0
        return max(0, due - self.taken)


def pace_of(rate: float, users: int, position: float, start: float) -> Pace:
    """Share `rate` starts a second among `users`; `position` (0 to 1) says where in its interval this one begins.

    Raises:
        ValueError: a rate or a number of users that is not positive.
    """
    if rate <= 0 or users < 1:
        raise ValueError(f"a rate above 0 and at least one user are needed, not {rate:g} a second for {users}")
    interval = users / rate
    return Pace(start + position * interval, interval)
