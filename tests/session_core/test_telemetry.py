"""The counts of a manager, as OpenTelemetry reads them (S11)."""

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from session_core import telemetry
from session_core.counts import DESCRIPTIONS, Counts
from tests.session_core.conftest import Make


async def test_opentelemetry_reads_what_was_counted(make: Make) -> None:
    reader = InMemoryMetricReader()
    sessions = make(session_max_concurrent=2)
    telemetry.publish(sessions, MeterProvider([reader]))
    assert set(_values(reader).values()) == {0}
    _, second, third = [await sessions.create_session("alice") for _ in range(3)]
    await sessions.get_session(third.session_id)
    await sessions.revoke_session(second.session_id, "logout")
    found = _values(reader)
    assert found["auth.session.created"] == 3
    assert found["auth.session.evicted"] == len(third.evicted) == 1
    assert found["auth.session.retrieved"] == 1
    assert found["auth.session.revoked"] == 1


def test_every_count_has_a_description() -> None:
    assert list(DESCRIPTIONS) == list(Counts.__slots__)


def _values(reader: InMemoryMetricReader) -> dict[str, Any]:
    data = reader.get_metrics_data()
    assert data is not None
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    return {metric.name: point.value for metric in metrics for point in metric.data.data_points}  # type: ignore[union-attr]
