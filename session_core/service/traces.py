"""Traces and metrics over OTLP/HTTP, where OTEL_EXPORTER_OTLP_ENDPOINT says where to (the extra ``telemetry``).

A span for each request, beneath it one for each call of Redis; they hold the route's template, the method, the status
and the command, never a path, a query, a header, a key or a value. The trace of the caller is taken over (W3C Trace
Context). All other ``OTEL_...`` variables are read by the SDK: sampler, headers, certificate, names.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import uuid4

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from session_core import telemetry
from session_core.manager import SessionManager
from session_core.service.metrics import BUCKETS
from session_core.service.middleware import QUIET, method_of, route_of

SCOPE: Final = "session_core.service"
LAST_SECONDS: Final = 5.0
"""How long the end of the process waits for what is not sent yet."""
_SERVER_ERROR: Final = 500
_TAKEN_OVER: Final = (b"traceparent", b"tracestate")


class Telemetry:
    """Where spans and metrics go. Sending is for threads of its own: a receiver that is away delays nothing."""

    def __init__(self, endpoint: str, sessions: SessionManager) -> None:
        """Publish the counts of these sessions and trace their calls."""
        # What the environment says of the service wins over ours.
        ours = Resource.create({"service.name": "session-service", "service.instance.id": str(uuid4())})
        resource = ours.merge(OTELResourceDetector().detect())
        base = endpoint.rstrip("/")
        self._spans = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{base}/v1/traces")))
        reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{base}/v1/metrics"))
        self._metrics = MeterProvider([reader], resource, shutdown_on_exit=False)
        self.tracer = self._spans.get_tracer(SCOPE)
        self.durations = self._metrics.get_meter(SCOPE).create_histogram(
            "http.server.request.duration", "s", "Duration of requests", explicit_bucket_boundaries_advisory=BUCKETS
        )
        telemetry.publish(sessions, self._metrics)
        sessions.effort.around = self._call

    @contextmanager
    def _call(self, command: str) -> Iterator[None]:
        if not get_current_span().is_recording():  # what no request asked for
            yield
            return
        told = {"db.system.name": "redis", "db.operation.name": command}
        with self.tracer.start_as_current_span(
            command, kind=SpanKind.CLIENT, attributes=told, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise

    async def aclose(self) -> None:
        """Send the rest, for LAST_SECONDS at most."""
        sending = threading.Thread(target=self._close, daemon=True)
        sending.start()
        deadline = time.monotonic() + LAST_SECONDS
        while sending.is_alive() and time.monotonic() < deadline:  # noqa: ASYNC110 - a thread's end is no event
            await asyncio.sleep(0.02)

    def _close(self) -> None:
        self._spans.shutdown()
        self._metrics.shutdown(LAST_SECONDS * 1000)


class Traced:
    """A span and a measurement for each request."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or scope["path"] in QUIET:
            await self._app(scope, receive, send)
            return
        start, status, method = time.perf_counter(), _SERVER_ERROR, method_of(scope)

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        parent = self._propagator.extract(_carried(scope))
        with self._telemetry.tracer.start_as_current_span(
            method, parent, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                await self._app(scope, receive, noting)
            finally:
                route = route_of(scope)
                told: dict[str, str | int] = {
                    "http.request.method": method,
                    "http.route": route,
                    "http.response.status_code": status,
                }
                span.update_name(f"{method} {route}")
                span.set_attributes(told)
                if status >= _SERVER_ERROR:
                    span.set_status(StatusCode.ERROR)
                self._telemetry.durations.record(time.perf_counter() - start, told)


def _carried(scope: Scope) -> dict[str, str]:
    """Return the caller's trace; several of them are none."""
    found = [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"] if name in _TAKEN_OVER]
    return dict(found) if [name for name, _ in found].count("traceparent") == 1 else {}
