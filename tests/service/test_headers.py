"""Headers of every answer: what browsers may do with it, and that no other origin reads it."""

import re

import pytest

from session_core.service.middleware import YEAR_SECONDS
from tests.service.conftest import Serve
from tests.service.running import ADMIN, COOKIE, Service

pytestmark = pytest.mark.engine
PATHS = ("/v1/verify", "/v1/sessions", "/v1/openapi.json", "/healthz", "/account/style.css", "/nowhere", "/account")
OUTSIDE = {"Host": "sessions.example.org"}


async def test_every_answer_says_what_browsers_may_do_with_it(service: Service) -> None:
    browser = service.browser()
    await browser.log_in()
    answers = [await browser.get(path) for path in PATHS]
    answers += [await browser.http.post("/v1/oidc/logout"), await browser.get("/v1/admin/stats", headers=ADMIN)]
    answers += [await service.browser().get("/v1/verify"), await browser.get("/v1/verify", headers={"X": "x" * 40_000})]
    assert {answer.status_code for answer in answers} == {200, 401, 403, 404, 431}
    for answer in answers:
        headers = answer.headers
        assert headers.get_list("x-content-type-options") == ["nosniff"], answer.url
        assert headers["referrer-policy"] in {"no-referrer", "same-origin"}
        [policy] = headers.get_list("content-security-policy")
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers.get_list("cache-control") == ["no-store"]


async def test_so_does_the_answer_to_an_error_that_nobody_expected(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    async def bug() -> None:
        message = "a secret of the server"
        raise RuntimeError(message)

    service.app.add_api_route("/bug", bug)
    answer = await service.browser().get("/bug", headers=OUTSIDE)
    assert (answer.status_code, answer.json()["title"]) == (500, "internal error")
    assert "secret" not in answer.text
    assert "a secret of the server" in caplog.text
    assert {*answer.headers} >= {"x-content-type-options", "content-security-policy", "strict-transport-security"}
    requests = (await service.browser().get("/metrics", headers=ADMIN)).text
    assert re.search(r'route="/bug",status="500"', requests), requests


async def test_over_tls_browsers_are_told_to_come_back_over_tls_but_not_to_a_machine_of_a_developer(
    service: Service,
) -> None:
    for host in (OUTSIDE["Host"], f"{OUTSIDE['Host']}:8443"):
        answer = await service.browser().get("/v1/verify", headers={"Host": host})
        told = answer.headers["strict-transport-security"]
        assert told == f"max-age={YEAR_SECONDS}; includeSubDomains"
    for host in ("localhost", "localhost:8443", "127.0.0.1:8443"):
        answer = await service.browser().get("/v1/verify", headers={"Host": host})
        assert "strict-transport-security" not in answer.headers


async def test_a_service_without_tls_does_not_speak_of_it(serve: Serve) -> None:
    async with serve(session_public_url="", keycloak_server_url="") as service:
        answer = await service.browser().get("/v1/verify", headers=OUTSIDE)
        assert "strict-transport-security" not in answer.headers
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("origin", ["https://evil.test", "null", "https://trusted.test"])
async def test_no_page_of_another_origin_reads_an_answer(serve: Serve, origin: str) -> None:
    """Trusted origins may write; what comes back is not for them either."""
    async with serve(session_trusted_origins={"https://trusted.test"}) as service:
        browser = service.browser()
        await browser.log_in()
        asked = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "x-any"}
        for path in ("/v1/sessions", "/v1/verify", "/account"):
            plain = await browser.get(path, headers={"Origin": origin})
            assert plain.status_code == 200
            preflight = await browser.http.options(path, headers={"Origin": origin} | asked)
            assert preflight.status_code == 405
            for answer in (plain, preflight):
                assert [name for name in answer.headers if name.startswith("access-control-")] == []
        assert COOKIE in browser.http.cookies
