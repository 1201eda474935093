"""Spans and metrics as a real receiver of OTLP gets them."""

import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from session_core.errors import SettingsError, StoreUnavailable
from session_core.service.app import make_app
from session_core.service.settings import ServiceSettings
from tests.service.conftest import Serve
from tests.service.otlp import Receiver, attributes, receiver
from tests.service.running import ADMIN, COOKIE, TOKEN
from tests.session_core.servers import free_port

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
"""The examples of W3C Trace Context."""


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.mark.engine
async def test_a_request_is_a_span_of_its_callers_trace_with_the_calls_of_redis_beneath(
    serve: Serve, collector: Receiver
) -> None:
    async with serve(otel_exporter_otlp_endpoint=collector.endpoint) as service:
        session = await service.sessions.create_session("alice")
        sent = {"Cookie": f"{COOKIE}={session.session_id}", "traceparent": f"00-{TRACE}-{CALLER}-01"}
        assert (await service.browser().get("/v1/verify?secret=in-the-query", headers=sent)).status_code == 200
        assert (await service.browser().get("/healthz")).status_code == 200
    [span] = collector.named("GET /v1/verify")
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.kind) == (TRACE, CALLER, Span.SPAN_KIND_SERVER)
    assert attributes(span) == {
        "http.request.method": "GET",
        "http.route": "/v1/verify",
        "http.response.status_code": 200,
    }
    beneath = [each for each in collector.spans if each.parent_span_id == span.span_id]
    assert beneath
    for call in beneath:
        assert (call.trace_id, call.kind) == (span.trace_id, Span.SPAN_KIND_CLIENT)
        assert attributes(call) == {"db.system.name": "redis", "db.operation.name": call.name}
        assert span.start_time_unix_nano <= call.start_time_unix_nano < call.end_time_unix_nano
        assert call.end_time_unix_nano <= span.end_time_unix_nano
    assert "HMGET" in {call.name for call in beneath}
    assert {each.trace_id.hex() for each in collector.spans} == {TRACE}  # nothing of the platform's or our own
    assert collector.resources[0]["service.name"] == "session-service"


@pytest.mark.engine
async def test_nothing_that_is_sent_holds_a_secret_or_names_a_session(serve: Serve, collector: Receiver) -> None:
    async with serve(otel_exporter_otlp_endpoint=collector.endpoint) as service:
        browser = service.browser()
        await browser.log_in("bob", path="/v1/oidc/login?return_to=/account")
        [session] = (await browser.get("/v1/sessions")).json()
        opened = await service.sessions.get_session(browser.secret)
        assert opened is not None
        await browser.http.delete(f"/v1/admin/users/{session['user_id']}/sessions?reason=a-reason", headers=ADMIN)
        await browser.get(f"/nowhere/{browser.secret}")
        await browser.write("DELETE", f"/v1/sessions/{session['handle']}")
    assert {"GET /v1/oidc/callback", "GET unmatched", "DELETE /v1/sessions/{handle}"} <= {
        span.name for span in collector.spans
    }
    tokens = [str(opened.metadata[name]) for name in ("access_token", "refresh_token", "id_token")]
    secrets = [browser.secret, session["handle"], session["user_id"], "a-reason", TOKEN, COOKIE, *tokens]
    for body in collector.bodies:
        for secret in (*secrets, *(secret.rpartition(".")[2] for secret in secrets)):
            assert secret.encode() not in body


@pytest.mark.engine
async def test_the_counts_and_the_durations_arrive_as_metrics(serve: Serve, collector: Receiver) -> None:
    async with serve(otel_exporter_otlp_endpoint=collector.endpoint) as service:
        for _ in range(3):
            body = {"user_id": "alice"}
            assert (await service.browser().http.post("/v1/sessions", json=body, headers=ADMIN)).status_code == 201
    [created] = collector.metrics["auth.session.created"].sum.data_points
    assert created.as_int == 3
    [point] = collector.metrics["http.server.request.duration"].histogram.data_points
    assert point.count == 3
    assert attributes(point)["http.route"] == "/v1/sessions"
    assert point.explicit_bounds[0] == 0.001


@pytest.mark.engine
async def test_a_failure_is_marked_and_its_text_stays_here(
    serve: Serve, collector: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(otel_exporter_otlp_endpoint=collector.endpoint) as service:
        session = await service.sessions.create_session("alice")

        async def away(*_arguments: object, **_more: object) -> None:
            raise StoreUnavailable("the text of the error")

        monkeypatch.setattr(service.sessions._store.link, "_persist", away)  # type: ignore[attr-defined]
        cookie = {"Cookie": f"{COOKIE}={session.session_id}"}
        assert (await service.browser().get("/v1/verify", headers=cookie)).status_code == 503
        monkeypatch.undo()
    [span] = collector.named("GET /v1/verify")
    assert span.status.code == Status.STATUS_CODE_ERROR
    [call] = [each for each in collector.spans if each.parent_span_id == span.span_id]
    assert call.status.code == Status.STATUS_CODE_ERROR
    assert attributes(call)["error.type"] == "StoreUnavailable"
    assert not [body for body in collector.bodies if b"the text of the error" in body]


@pytest.mark.engine
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("traceparent", "nonsense")],
        [("traceparent", f"00-{'0' * 32}-{CALLER}-01")],
        [("traceparent", f"00-{TRACE}-{CALLER}-01"), ("traceparent", f"00-{TRACE}-{CALLER}-01")],
    ],
)
async def test_without_one_good_trace_of_the_caller_a_new_one_begins(
    serve: Serve, collector: Receiver, headers: list[tuple[str, str]]
) -> None:
    async with serve(otel_exporter_otlp_endpoint=collector.endpoint) as service:
        assert (await service.browser().http.get("/v1/verify", headers=headers)).status_code == 401
    [span] = collector.named("GET /v1/verify")
    assert span.trace_id.hex() != TRACE
    assert not span.parent_span_id


@pytest.mark.engine
async def test_a_caller_that_does_not_sample_is_followed(serve: Serve, collector: Receiver) -> None:
    async with serve(otel_exporter_otlp_endpoint=collector.endpoint) as service:
        await service.browser().get("/v1/verify", headers={"traceparent": f"00-{TRACE}-{CALLER}-00"})
    assert collector.spans == []


@pytest.mark.engine
async def test_a_receiver_that_is_away_delays_neither_requests_nor_the_end(serve: Serve) -> None:
    async with serve(otel_exporter_otlp_endpoint=f"http://127.0.0.1:{free_port()}") as service:
        assert (await service.browser().get("/v1/verify")).status_code == 401
        ending = time.monotonic()
    assert time.monotonic() - ending < 15


def test_without_a_receiver_nothing_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "session_core.service.traces", raising=False)
    app = make_app(ServiceSettings(_env_file=None, session_backend="memory", session_admin_token=TOKEN))
    assert "session_core.service.traces" not in sys.modules
    assert app.state.sessions.effort.around is None


def test_a_service_without_the_extra_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "session_core.service.traces", None)
    given: dict[str, Any] = {
        "session_backend": "memory",
        "session_admin_token": TOKEN,
        "otel_exporter_otlp_endpoint": "http://c:4318",
    }
    with pytest.raises(SettingsError, match="needs the extra `telemetry`"):
        make_app(ServiceSettings(_env_file=None, **given))


@pytest.mark.parametrize("endpoint", ["collector:4318", "grpc://collector:4317", "http://"])
def test_what_is_no_address_of_a_receiver_is_refused(endpoint: str) -> None:
    given: dict[str, Any] = {
        "session_backend": "memory",
        "session_admin_token": TOKEN,
        "otel_exporter_otlp_endpoint": endpoint,
    }
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
        ServiceSettings(_env_file=None, **given)
