"""The counts of a process as OpenTelemetry instruments (the extra ``telemetry``).

They are read when a reader collects them, so a call of the library costs nothing more. The number of live sessions is
not among them: it is one for the whole store, and a call to it (`SessionManager.count_active_sessions`).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter

from session_core.counts import DESCRIPTIONS
from session_core.manager import SessionManager

Callback = Callable[[CallbackOptions], Iterable[Observation]]
PREFIX: Final = "auth.session."
"""Of all names: ``auth.session.created`` and so on, as session stores in the field have them."""


def publish(sessions: SessionManager, provider: MeterProvider | None = None) -> None:
    """Publish what a manager counts; once for each manager.

    Args:
        sessions: whose counts.
        provider: to whom; the global one if there is none.
    """
    meter = get_meter("session_core", meter_provider=provider)
    for name, description in DESCRIPTIONS.items():
        count = _observing(lambda name=name: int(getattr(sessions.counts, name)))  # type: ignore[misc]
        meter.create_observable_counter(PREFIX + name, count, description=description)
    meter.create_observable_up_down_counter(
        PREFIX + "revocations_unconfirmed",
        _observing(lambda: sessions.unconfirmed_revocations),
        description="Revocations of this process that are repeated until a replica confirms them",
    )


def _observing(value: Callable[[], int]) -> Sequence[Callback]:
    return [lambda _options: [Observation(value())]]
