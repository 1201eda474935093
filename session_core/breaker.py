"""Fails calls at once when the store has been away for long, so that waiting callers do not pile up. No clock, no I/O.

Closed: every call is let through. Open, once nothing but broken connections came for `patience` seconds: one call in
`PROBE_SECONDS` is let through, with all its repeats; the first answer from the store closes it. An answer that refuses
(NOREPLICAS, READONLY) is an answer: reads work on while writes are refused.
"""

from typing import Final

PROBE_SECONDS: Final = 1.0
RECENT_SECONDS: Final = 6.0
"""A failure longer ago says nothing: nobody has asked since. More than one attempt can take."""


class Breaker:
    """Times are seconds of any one monotonic clock."""

    def __init__(self, patience: float) -> None:
        """Start closed; with a patience of 0 it stays so."""
        self._patience = patience
        self._first_failure: float | None = None
        self._last_failure = 0.0
        self._next_probe = 0.0

    def admits(self, now: float) -> bool:
        """Whether a call may be tried now."""
        if not self._patience or self._first_failure is None or now - self._last_failure > RECENT_SECONDS:
            return True
        if now - self._first_failure < self._patience:
            return True
        if now < self._next_probe:
            return False
        self._next_probe = now + PROBE_SECONDS
        return True

    def answered(self) -> None:
        """Note an answer of the store, of whatever kind."""
        self._first_failure = None

    def failed(self, now: float) -> None:
        """Note that there was none."""
        if self._first_failure is None or now - self._last_failure > RECENT_SECONDS:
            self._first_failure = now
        self._last_failure = now
