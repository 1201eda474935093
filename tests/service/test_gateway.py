"""nginx in front of an application that embeds nothing, and of one that embeds the library."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request

from tests.service.conftest import Serve
from tests.service.gateway import Front, in_front
from tests.service.keycloak_server import ALICE
from tests.service.running import ADMIN, COOKIE, Browser
from tests.session_core.servers import free_port

pytestmark = pytest.mark.engine


def echo() -> FastAPI:
    """Says what headers reached it."""
    app = FastAPI()

    @app.api_route("/{path:path}", methods=["GET", "POST"])
    async def say(request: Request) -> dict[str, Any]:
        return {"headers": request.headers.items(), "body": (await request.body()).decode()}

    return app


@pytest.fixture
async def front(serve: Serve, tmp_path: Path, certificates: Path) -> AsyncIterator[Front]:
    async with in_front(serve, echo(), free_port(), tmp_path, certificates) as front:
        yield front


async def headers_at_the_application(browser: Browser, path: str, **sent: Any) -> list[tuple[str, str]]:
    answer = await browser.get(path, **sent)
    assert answer.status_code == 200, answer.text
    return [(name, value) for name, value in answer.json()["headers"] if name.replace("_", "-").startswith("x-session")]


async def test_the_application_learns_who_asks_and_nobody_can_say_so_himself(front: Front) -> None:
    session = await front.service.sessions.create_session("ali ü", {"preferred_username": "Ali"})
    cookie = {"Cookie": f"{COOKIE}={session.session_id}"}
    forged = {"X-Session-User": "admin", "x-session-handle": "h", "X_Session_User": "admin", "X-Session-Name": "admin"}
    got = await headers_at_the_application(front.browser(), "/protected/x", headers=cookie | forged)
    assert sorted(got) == [
        ("x-session-expires", session.expires_at.isoformat()),
        ("x-session-handle", session.handle),
        ("x-session-name", "Ali"),
        ("x-session-user", "ali%20%C3%BC"),
    ]
    answer = await front.browser().http.post("/protected/x", headers=cookie, content=b"a body")
    assert answer.json()["body"] == "a body"
    assert session.session_id not in answer.text


async def test_where_nobody_has_to_be_logged_in_nobody_can_say_who_he_is_either(front: Front) -> None:
    forged = {f"X-Session-{name}": "admin" for name in ("User", "Name", "Handle", "Expires")}
    assert await headers_at_the_application(front.browser(), "/public", headers=forged | {"X_Session_User": "a"}) == []


async def test_who_is_not_logged_in_does_not_reach_the_application(front: Front) -> None:
    for headers in ({}, {"Cookie": f"{COOKIE}=x"}, {"X-Session-User": "admin"}, {"Authorization": "Bearer x"}):
        answer = await front.browser().get("/protected/x", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["x-session-denied"] == "no-session"
        assert answer.json() == {"login": "/v1/oidc/login"}


async def test_who_was_thrown_out_is_told_why(front: Front) -> None:
    session = await front.service.sessions.create_session("alice")
    cookie = {"Cookie": f"{COOKIE}={session.session_id}"}
    assert (await front.browser().get("/protected/x", headers=cookie)).status_code == 200
    await front.service.sessions.revoke_session(session.handle, "Ende: größer")
    answer = await front.browser().get("/protected/x", headers=cookie)
    assert answer.status_code == 401
    assert answer.headers["x-session-denied"] == "session-revoked"
    assert answer.headers["x-session-reason"] == "Ende:%20gr%C3%B6%C3%9Fer"


async def test_a_store_that_is_away_is_503_and_not_401(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    from session_core.errors import StoreUnavailable

    async def away(_session_id: str) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(front.service.sessions, "get_session", away)
    answer = await front.browser().get("/protected/x", headers={"Cookie": f"{COOKIE}=1.{'a' * 43}"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"


async def test_figures_are_not_for_the_outside(front: Front) -> None:
    assert (await front.browser().get("/metrics")).status_code == 404


async def test_the_example_application_serves_those_who_logged_in(example_front: Front) -> None:
    front, service = example_front, example_front.service
    browser = front.browser()
    assert (await browser.get("/api/message")).status_code == 401
    assert (await browser.get("/api/hello")).json() == {"hello": "you"}
    await browser.log_in()
    assert (await browser.get("/api/message")).json() == {"message": "Hello alice"}
    assert (await browser.get("/api/hello")).json() == {"hello": "alice"}
    assert (await browser.get("/api/account-number")).json() == {"account": f"of {ALICE}"}
    await service.sessions.update_metadata(browser.secret, {"authenticated_at": 1})
    old = await browser.get("/api/account-number")
    assert old.status_code == 401
    assert old.headers["www-authenticate"] == 'Bearer error="insufficient_user_authentication", max_age="300"'
    await browser.http.delete(f"/v1/admin/users/{ALICE}/sessions?reason=left", headers=ADMIN)
    told = (await browser.get("/api/message")).json()
    assert told == {"detail": {"error": "session-revoked", "reason": "left"}}
    twice = {"Cookie": f"{COOKIE}={browser.secret}; {COOKIE}=1.{'a' * 43}"}
    assert (await front.browser().get("/api/message", headers=twice)).json()["detail"] == {"error": "no-session"}
