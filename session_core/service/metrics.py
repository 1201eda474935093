"""The metrics: counts of the library, read when they are asked for, and a histogram of requests.

The names are those of `session_core.telemetry`, in the form of Prometheus.
"""

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from session_core.counts import DESCRIPTIONS
from session_core.lane import PLACES
from session_core.manager import SessionManager

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Bounds of the histogram of requests, in seconds."""


class Metrics(Collector):
    """The registry of this process."""

    def __init__(self, sessions: SessionManager) -> None:
        self._sessions = sessions
        self._active = float("nan")
        self._registry = CollectorRegistry()
        self.requests = Histogram(
            "session_http_request_duration_seconds",
            "Time from the first byte of a request to the last of its answer",
            ("method", "route", "status"),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self.authenticated = Counter(
            "auth_requests",
            "Requests that proved who asks, by what: session, keycloak_token, legacy_token",
            ("by",),
            registry=self._registry,
        )
        for by in ("session", "keycloak_token", "legacy_token"):
            self.authenticated.labels(by)  # 0 is a value: what nobody uses can be switched off
        ProcessCollector(registry=self._registry)
        self._registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Read the counts of the library."""
        everywhere = "Live sessions in the whole store: the same at every process, so take max, not sum"
        yield GaugeMetricFamily("session_active", everywhere, self._active)
        for name, text in DESCRIPTIONS.items():
            yield CounterMetricFamily(f"auth_session_{name}", text, getattr(self._sessions.counts, name))
        pending = "Revocations of this process that are repeated until a replica confirms them"
        yield GaugeMetricFamily("session_revocations_unconfirmed", pending, self._sessions.unconfirmed_revocations)
        effort = self._sessions.effort
        yield CounterMetricFamily("session_store_calls", "Calls sent to the store", effort.calls)
        yield CounterMetricFamily("session_store_repeats", "Calls sent again after an error", effort.repeats)
        refused = "Calls that failed at once, because the store has been away for long"
        yield CounterMetricFamily("session_store_refused", refused, effort.refused)
        under_way = f"Calls that wait for their reply; of more than {PLACES} of one kind some wait to be sent"
        yield GaugeMetricFamily("session_store_calls_under_way", under_way, effort.under_way)

    def expose(self, active: float) -> tuple[bytes, str]:
        """Return the text and its content type; `active` is the number of live sessions, or NaN."""
        self._active = active
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
