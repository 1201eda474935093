"""The HTTP service: the application itself, on both back ends, driven over ASGI."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from session_core.service.app import make_app
from session_core.service.settings import ServiceSettings
from tests.session_core.conftest import APP_PASSWORD

TOKEN = "an-admin-token-of-enough-characters"
ADMIN = {"Authorization": f"Bearer {TOKEN}"}
ORIGIN = {"Origin": "https://sessions.test"}
COOKIE = "__Host-session_id"


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.engine)])
def settings(request: pytest.FixtureRequest) -> ServiceSettings:
    given: dict[str, Any] = {"session_backend": "memory"}
    if request.param == "redis":
        server = request.getfixturevalue("redis")
        given = {"redis_url": server.url, "redis_username": "sessions", "redis_password": APP_PASSWORD}
    return ServiceSettings(
        session_admin_token=TOKEN,
        session_max_concurrent=2,
        session_trusted_origins="https://app.test, https://other.test/",
        **given,
    )


@pytest.fixture
async def service(settings: ServiceSettings) -> AsyncIterator[httpx.AsyncClient]:
    app = make_app(settings)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="https://sessions.test") as client,
    ):
        yield client


async def log_in(service: httpx.AsyncClient, user: str = "alice", **more: Any) -> tuple[str, dict[str, Any]]:
    """Return the secret of the cookie, and the body."""
    service.cookies.clear()
    answer = await service.post("/v1/sessions", json={"user_id": user, **more}, headers=ADMIN)
    assert answer.status_code == 201, answer.text
    secret = answer.cookies[COOKIE]
    service.cookies.clear()
    return secret, answer.json()


def by(secret: str) -> dict[str, str]:
    return {"Cookie": f"{COOKIE}={secret}"}


async def test_a_login_hands_out_a_hardened_cookie_and_keeps_the_secret_out_of_the_body(
    service: httpx.AsyncClient,
) -> None:
    answer = await service.post(
        "/v1/sessions", json={"user_id": "alice", "metadata": {"access_token": "very-secret"}}, headers=ADMIN
    )
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    attributes = {part.strip().lower().partition("=")[0] for part in cookie.split(";")[1:]}
    assert {"secure", "httponly", "samesite", "path", "max-age"} <= attributes
    assert "domain" not in attributes
    assert "samesite=lax" in cookie.lower()
    secret = answer.cookies[COOKIE]
    assert secret not in answer.text
    assert "very-secret" not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["handle"].startswith("h")
    assert body["durable"] is False
    assert body["evicted"] == []


async def test_verify_tells_a_gateway_who_is_asking(service: httpx.AsyncClient) -> None:
    secret, body = await log_in(service, "ali ü%")
    answer = await service.get("/v1/verify", headers=by(secret))
    assert answer.status_code == 200
    assert answer.headers["x-session-user"] == "ali%20%C3%BC%25"
    assert answer.headers["x-session-handle"] == body["handle"]
    assert answer.headers["cache-control"] == "no-store"


async def test_verify_refuses_what_is_no_live_session(service: httpx.AsyncClient) -> None:
    _, body = await log_in(service)
    for cookie in ({}, by("nonsense"), by(body["handle"]), by("1." + "a" * 43)):
        answer = await service.get("/v1/verify", headers=cookie)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "urn:redis-session-kit:no-session"
        assert "x-session-user" not in answer.headers


async def test_a_revoked_session_is_told_why(service: httpx.AsyncClient) -> None:
    secret, body = await log_in(service)
    answer = await service.delete(f"/v1/admin/sessions/{body['handle']}?reason=Password%20changed", headers=ADMIN)
    assert answer.json() == {"ended": [body["handle"]], "durable": False}
    answer = await service.get("/v1/verify", headers=by(secret))
    assert answer.status_code == 401
    assert answer.json()["type"] == "urn:redis-session-kit:session-revoked"
    assert answer.json()["reason"] == "Password changed"


async def test_the_evicted_session_is_named_and_told(service: httpx.AsyncClient) -> None:
    logins = [await log_in(service) for _ in range(3)]
    [evicted] = logins[2][1]["evicted"]
    secret = next(secret for secret, body in logins if body["handle"] == evicted)
    answer = await service.get("/v1/verify", headers=by(secret))
    assert answer.json()["reason"] == "session limit"


async def test_my_devices_are_listed_without_secrets(service: httpx.AsyncClient) -> None:
    first, one = await log_in(service, metadata={"device": "phone", "access_token": "very-secret"})
    second, two = await log_in(service, metadata={"device": "laptop"})
    await log_in(service, "bob")
    answer = await service.get("/v1/sessions", headers=by(second))
    listed = {session["handle"]: session for session in answer.json()}
    assert set(listed) == {one["handle"], two["handle"]}
    assert listed[two["handle"]]["current"]
    assert not listed[one["handle"]]["current"]
    assert listed[one["handle"]]["metadata"] == {"device": "phone"}
    assert first not in answer.text
    assert second not in answer.text


async def test_i_can_end_one_of_my_sessions_and_nobody_elses(service: httpx.AsyncClient) -> None:
    first, one = await log_in(service)
    second, _ = await log_in(service)
    third, three = await log_in(service, "bob")
    headers = by(second) | ORIGIN
    assert (await service.delete(f"/v1/sessions/{three['handle']}", headers=headers)).status_code == 404
    assert (await service.delete("/v1/sessions/h1-" + "a" * 43, headers=headers)).status_code == 404
    assert (await service.delete(f"/v1/sessions/{one['handle']}", headers=headers)).status_code == 200
    assert (await service.get("/v1/verify", headers=by(first))).status_code == 401
    assert (await service.get("/v1/verify", headers=by(second))).status_code == 200
    assert (await service.get("/v1/verify", headers=by(third))).status_code == 200


async def test_logout_ends_the_session_and_takes_the_cookie_back(service: httpx.AsyncClient) -> None:
    secret, _ = await log_in(service)
    answer = await service.delete("/v1/sessions/current", headers=by(secret) | ORIGIN)
    assert answer.status_code == 200
    assert "max-age=0" in answer.headers["set-cookie"].lower()
    assert (await service.get("/v1/verify", headers=by(secret))).status_code == 401


async def test_i_can_end_all_my_other_sessions(service: httpx.AsyncClient) -> None:
    first, one = await log_in(service)
    second, _ = await log_in(service)
    answer = await service.delete("/v1/sessions", headers=by(second) | ORIGIN)
    assert answer.json()["ended"] == [one["handle"]]
    assert (await service.get("/v1/verify", headers=by(first))).status_code == 401
    assert (await service.get("/v1/verify", headers=by(second))).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "https://evil.test"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://sessions.test.evil.test"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.test", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"Origin": "https://sessions.test"}, 200),
        ({"Origin": "https://app.test"}, 200),
        ({"Origin": "https://other.test"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
async def test_pages_of_other_origins_cannot_write_with_my_cookie(
    service: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    secret, _ = await log_in(service)
    for path in ("/v1/sessions", "/v1/sessions/current"):
        assert (await service.delete(path, headers=by(secret) | headers)).status_code == status
        if status == 403:
            assert (await service.get("/v1/verify", headers=by(secret))).status_code == 200


@pytest.mark.parametrize(
    "credential", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"]
)
async def test_without_the_admin_token_nothing_of_the_admin_is_reached(
    service: httpx.AsyncClient, credential: str | None
) -> None:
    secret, body = await log_in(service)
    headers = by(secret) | ORIGIN | ({} if credential is None else {"Authorization": credential})
    for method, path in (
        ("POST", "/v1/sessions"),
        ("GET", "/v1/admin/users/alice/sessions"),
        ("DELETE", "/v1/admin/users/alice/sessions"),
        ("DELETE", f"/v1/admin/sessions/{body['handle']}"),
        ("GET", "/v1/admin/stats"),
    ):
        answer = await service.request(method, path, headers=headers)
        assert answer.status_code == 401, path
        assert answer.json()["type"] == "urn:redis-session-kit:admin-token-required"
    assert (await service.get("/v1/verify", headers=by(secret))).status_code == 200


async def test_an_operator_lists_and_ends_the_sessions_of_a_user(service: httpx.AsyncClient) -> None:
    await log_in(service, "realm/alice")
    await log_in(service, "realm/alice")
    listed = await service.get("/v1/admin/users/realm%2Falice/sessions", headers=ADMIN)
    assert len(listed.json()) == 2
    ended = await service.delete("/v1/admin/users/realm%2Falice/sessions?reason=left", headers=ADMIN)
    assert sorted(ended.json()["ended"]) == sorted(session["handle"] for session in listed.json())
    stats = (await service.get("/v1/admin/stats", headers=ADMIN)).json()
    assert (stats["active_sessions"], stats["active_users"]) == (0, 0)
    assert stats["process"]["created"] == 2


async def test_the_admin_ends_sessions_by_handle_and_never_by_id(service: httpx.AsyncClient) -> None:
    secret, _ = await log_in(service)
    answer = await service.delete(f"/v1/admin/sessions/{secret}", headers=ADMIN)
    assert answer.status_code == 422
    assert secret not in answer.text
    assert (await service.delete("/v1/admin/sessions/h1-" + "a" * 43, headers=ADMIN)).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"user_id": ""}',
        b'{"user_id": 7}',
        b'{"user_id": "a", "unknown": 1}',
        b'{"user_id": "a", "ttl_seconds": 0}',
        b'{"user_id": "a", "ttl_seconds": "5"}',
        b'{"user_id": "a", "metadata": [1]}',
        b'{"user_id": "a\\u0000"}',
    ],
)
async def test_a_bad_body_is_a_problem_and_creates_nothing(service: httpx.AsyncClient, body: bytes) -> None:
    headers = ADMIN | {"Content-Type": "application/json"}
    answer = await service.post("/v1/sessions", content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert "set-cookie" not in answer.headers
    assert (await service.get("/v1/admin/stats", headers=ADMIN)).json()["active_sessions"] == 0


async def test_an_invalid_body_is_not_repeated_to_the_client(service: httpx.AsyncClient) -> None:
    answer = await service.post("/v1/sessions", json={"user_id": {"x": "very-secret"}}, headers=ADMIN)
    assert answer.status_code == 422
    assert "very-secret" not in answer.text


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_above_the_limit_is_refused(service: httpx.AsyncClient, *, chunked: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b"x" * 1024

    content: Any = chunks() if chunked else b"x" * 70_000
    answer = await service.post("/v1/sessions", content=content, headers=ADMIN | {"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["type"] == "urn:redis-session-kit:body-too-large"


async def test_a_body_above_the_limit_is_refused_before_it_is_read_where_nobody_reads_it(
    service: httpx.AsyncClient,
) -> None:
    assert (await service.request("GET", "/v1/verify", content=b"x" * 70_000)).status_code == 413


async def test_metadata_above_the_limit_is_refused(service: httpx.AsyncClient) -> None:
    answer = await service.post("/v1/sessions", json={"user_id": "a", "metadata": {"x": "y" * 20_000}}, headers=ADMIN)
    assert answer.status_code == 422
    assert "SESSION_MAX_METADATA_BYTES" in answer.json()["detail"]


async def test_unknown_paths_and_methods_are_problems(service: httpx.AsyncClient) -> None:
    for method, path, status in (("GET", "/nope", 404), ("PUT", "/v1/sessions", 405)):
        answer = await service.request(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


async def test_metrics_count_what_happened_and_name_nobody(service: httpx.AsyncClient) -> None:
    secret, body = await log_in(service, "alice-in-metrics")
    await service.get("/v1/verify", headers=by(secret))
    await service.get(f"/v1/sessions/{secret}")
    text = (await service.get("/metrics")).text
    assert "session_active 1.0" in text
    assert "auth_session_created_total 1.0" in text
    assert "auth_session_retrieved_total 1.0" in text
    assert "session_revocations_unconfirmed 0.0" in text
    assert "session_store_refused_total 0.0" in text
    assert "session_store_calls_under_way 0.0" in text
    assert 'route="/v1/verify",status="200"} 1.0' in text
    assert 'route="unmatched"' in text or 'route="/v1/sessions/{handle}"' in text
    for private in (secret, body["handle"], "alice-in-metrics"):
        assert private not in text


async def test_logs_hold_no_secret_even_where_a_client_puts_it_into_the_path(
    service: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret, _ = await log_in(service, metadata={"access_token": "very-secret"})
    await service.get("/v1/verify", headers=by(secret))
    await service.delete(f"/v1/sessions/{secret}?x={secret}", headers=by(secret) | ORIGIN)
    await service.get(f"/{secret}", headers=by(secret))
    await service.post("/v1/sessions", content=secret.encode(), headers=ADMIN)
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert any(record.name == "session_core.service.access" for record in ours)
    shown = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in ours)
    for private in (secret, "very-secret", TOKEN):
        assert private not in shown


async def test_the_limit_with_the_reject_policy_is_a_conflict() -> None:
    settings = ServiceSettings(
        session_backend="memory", session_admin_token=TOKEN, session_max_concurrent=1, session_limit_policy="reject"
    )
    transport = httpx.ASGITransport(app=make_app(settings))
    async with httpx.AsyncClient(transport=transport, base_url="https://sessions.test") as client:
        await log_in(client)
        answer = await client.post("/v1/sessions", json={"user_id": "alice"}, headers=ADMIN)
        assert answer.status_code == 409
        assert answer.json()["type"] == "urn:redis-session-kit:session-limit-reached"
