"""Bad input and parts that are away: an answer in time, never a 500, and no session that is not there."""

import asyncio
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error

from session_core.ids import ref_of
from session_core.service.app import make_app
from session_core.service.settings import ServiceSettings
from tests.service.conftest import Serve
from tests.service.running import ADMIN, COOKIE, TOKEN, Service
from tests.session_core.servers import Server

ISSUER = {
    "keycloak_server_url": "http://127.0.0.1:9",  # nobody there
    "keycloak_realm": "r",
    "keycloak_client_id": "c",
    "keycloak_client_secret": "s",
    "session_public_url": "https://sessions.test",
}
GIVEN: dict[str, Any] = {
    "session_backend": "memory",
    "session_admin_token": TOKEN,
    "session_login_attempts": 1_000_000,
    "session_password_login": True,
    "auth_mode": "dual",
    "jwt_secret_key": "k" * 32,
    **ISSUER,
}


SOMEBODY = f"{COOKIE}=somebody".encode()
WHO = {"nobody": {}, "a back end": ADMIN, "a user": {"Cookie": SOMEBODY.decode()}}


class Anew:
    """The application, made anew whenever it is started: a test client does so for each request."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            self.app = make_app(ServiceSettings(_env_file=None, **GIVEN))
        elif (b"cookie", SOMEBODY) in scope["headers"]:
            session = await self.app.state.sessions.create_session("alice")
            real = (b"cookie", f"{COOKIE}={session.session_id}".encode())
            scope["headers"] = [real if header == (b"cookie", SOMEBODY) else header for header in scope["headers"]]
        await self.app(scope, receive, send)


schema = schemathesis.openapi.from_asgi("/v1/openapi.json", Anew())


def test_whom_the_cookie_of_the_fuzz_stands_for_is_let_in() -> None:
    assert schema["/v1/verify"]["GET"].Case(headers=WHO["a user"]).call().status_code == 200
    assert schema["/v1/verify"]["GET"].Case(headers=WHO["nobody"]).call().status_code == 401


@pytest.mark.parametrize("who", WHO)
@schema.parametrize()
@hypothesis.settings(max_examples=25, deadline=None, derandomize=True)
def test_nothing_that_the_schema_allows_or_forbids_breaks_the_service(case: Any, who: str) -> None:
    case.headers = {**(case.headers or {}), **WHO[who], "Origin": "http://testserver"}
    answer = case.call()
    if answer.status_code == 503:  # Keycloak is away, and says so
        assert answer.json()["type"] == "urn:redis-session-kit:login-unavailable"
        return
    case.validate_response(answer, checks=[not_a_server_error])


@pytest.mark.engine
async def test_odd_cookies_and_headers_are_refused_and_open_nothing(service: Service) -> None:
    session = await service.sessions.create_session("alice")
    good, other = session.session_id, f"1.{'a' * 43}"
    for cookie in (
        f"{COOKIE}={good}; {COOKIE}={other}",
        f"{COOKIE}={other}; {COOKIE}={good}",
        f"{COOKIE}={good}x",
        f'{COOKIE}="{good}"',
        f"{COOKIE}={good.upper()}",
        f"{COOKIE} ={good}",
        f"{COOKIE.lower()}={good}",
        f"{COOKIE}={'x' * 8000}",
        f"{COOKIE}=%00",
        ";;;===;;;",
        f"session_id={good}",
    ):
        answer = await service.browser().get("/v1/verify", headers={"Cookie": cookie})
        assert answer.status_code == 401, cookie
    assert (await service.browser().get("/v1/verify", headers={"Cookie": "x=" + "y" * 40_000})).status_code == 431
    twice = [("Cookie", f"{COOKIE}={good}"), ("Cookie", f"{COOKIE}={other}")]
    assert (await service.browser().http.get("/v1/verify", headers=twice)).status_code == 401
    assert (await service.browser().get("/v1/verify", headers={"Cookie": f"{COOKIE}={good}"})).status_code == 200


@pytest.mark.engine
async def test_while_redis_is_away_every_way_in_is_closed_and_says_so(serve: Serve, redis: Server) -> None:
    async with serve(session_deadline_seconds=0.5) as service:
        browser, other = service.browser(), service.browser()
        await browser.log_in()
        back = await other.come_back()
        redis.docker("pause")
        try:
            for method, path in (
                ("GET", "/v1/verify"),
                ("GET", "/account"),
                ("GET", "/console"),
                ("GET", "/v1/oidc/login"),
                ("POST", "/v1/oidc/logout"),
                ("POST", "/account/end-others"),
            ):
                async with asyncio.timeout(3):
                    answer = await browser.write(method, path)
                assert answer.status_code == 503, path
                assert answer.headers["retry-after"] == "2"
            answer = await other.get(back)
            assert answer.status_code == 503
            assert COOKIE not in answer.headers.get("set-cookie", "")
            assert (await browser.get("/healthz")).status_code == 200
        finally:
            redis.docker("unpause")
        async with asyncio.timeout(10):
            while await browser.verify() != 200:  # noqa: ASYNC110 - what is waited for happens elsewhere
                await asyncio.sleep(0.1)
        assert (await browser.get("/account")).status_code == 200


@pytest.mark.engine
async def test_logins_and_their_refusals_are_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with serve(session_password_login=True) as service:
        browser = service.browser()
        back = await browser.come_back()
        await browser.get(back)
        handle = ref_of(browser.secret).handle
        await browser.get(back)
        await browser.write("POST", "/v1/oidc/logout")
        for word in ("wrong", "alice-password"):
            await browser.write("POST", "/v1/oidc/password", json={"username": "alice", "password": word})
        await browser.http.post("/v1/sessions", json={"user_id": "carol"}, headers=ADMIN)
        await browser.get("/v1/admin/stats", headers={"Authorization": "Bearer wrong"})
    ours = [record for record in caplog.records if record.name.startswith("session_core.service.")]
    said = [record.getMessage() for record in ours if record.name != "session_core.service.access"]
    assert [text.partition(":")[0] for text in said if not text.startswith("ready")] == [
        "logged in",
        "login refused",
        "logged out",
        "login refused",
        "logged in with a password",
        "a back end logged a user in",
        "wrong admin token",
    ]
    assert {"session": handle} in [getattr(record, "fields", None) for record in ours]


@pytest.mark.engine
async def test_no_log_line_holds_a_secret_of_a_login(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    browser = service.browser()
    back = await browser.come_back()
    await browser.get(back)
    session = await service.sessions.get_session(browser.secret)
    assert session is not None
    await browser.get(back)
    await browser.http.post("/v1/oidc/backchannel-logout", data={"logout_token": str(session.metadata["id_token"])})
    # pytest hears the access log of uvicorn, which is off; httpx is the test's own client too.
    others = ("httpx", "httpcore", "hpack", "asyncio", "uvicorn.access")
    ours = [record for record in caplog.records if not record.name.startswith(others)]
    shown = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in ours)
    assert "logout token refused" in shown
    code = back.partition("code=")[2].partition("&")[0]
    tokens = [str(session.metadata[name]) for name in ("access_token", "refresh_token", "id_token")]
    for secret in (browser.secret, code, *tokens, *(token.rpartition(".")[2] for token in tokens)):
        assert secret
        assert secret not in shown
