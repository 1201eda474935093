"""Logout tokens, and what Keycloak does without telling."""

import asyncio
from typing import Any

import pytest

from session_core.keycloak import InvalidToken
from session_core.keycloak.sessions import KeycloakSessions
from tests.service.conftest import Serve
from tests.service.keycloak_server import ALICE, BOB, KeycloakServer
from tests.service.running import Browser, Service

pytestmark = pytest.mark.engine
PATH = "/v1/oidc/backchannel-logout"


@pytest.fixture
def heard(service: Service, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The logout tokens that Keycloak has sent."""
    tokens: list[str] = []
    checked = service.app.state.keycloak.verify_logout_token

    async def noting(token: str) -> Any:
        tokens.append(token)
        return await checked(token)

    monkeypatch.setattr(service.app.state.keycloak, "verify_logout_token", noting)
    return tokens


async def sid_of(service: Service, browser: Browser) -> str:
    session = await service.sessions.get_session(browser.secret)
    assert session is not None
    return str(session.metadata["sid"])


async def test_a_logout_token_works_once(service: Service, keycloak: KeycloakServer, heard: list[str]) -> None:
    browser = service.browser()
    await browser.log_in()
    await asyncio.to_thread(keycloak.admin, "DELETE", f"/sessions/{await sid_of(service, browser)}")
    [token] = heard
    assert await browser.verify() == 401
    again = await service.browser().http.post(PATH, data={"logout_token": token})
    assert again.status_code == 400
    assert again.json() == {"error": "invalid_request", "error_description": "this logout token came before"}
    assert again.headers["cache-control"] == "no-store"


async def test_a_logout_token_that_the_store_did_not_take_may_come_again(
    service: Service, keycloak: KeycloakServer, heard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from session_core.errors import StoreUnavailable

    browser = service.browser()
    await browser.log_in()

    async def away(*_arguments: object, **_more: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as broken:
        broken.setattr(service.sessions, "revoke_session", away)
        await asyncio.to_thread(keycloak.admin, "DELETE", f"/sessions/{await sid_of(service, browser)}")
    twice = await service.browser().http.post(PATH, data={"logout_token": [heard[0], heard[0]]})
    assert twice.status_code == 400
    assert await browser.verify() == 200
    answer = await service.browser().http.post(PATH, data={"logout_token": heard[0]})
    assert answer.status_code == 200
    assert await browser.verify() == 401


@pytest.mark.parametrize(
    "form",
    [{}, {"logout_token": ""}, {"logout_token": "x"}, {"logout_token": "a.b.c"}, {"logout_token": ["a", "b"]}],
)
async def test_anything_else_is_refused(service: Service, form: dict[str, Any]) -> None:
    browser = service.browser()
    await browser.log_in()
    answer = await service.browser().http.post(PATH, data=form)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"
    assert await browser.verify() == 200


async def test_tokens_of_other_kinds_end_nothing(service: Service, keycloak: KeycloakServer) -> None:
    browser = service.browser()
    await browser.log_in()
    tokens = await asyncio.to_thread(keycloak.tokens)
    for kind in ("access_token", "id_token", "refresh_token"):
        answer = await service.browser().http.post(PATH, data={"logout_token": tokens[kind]})
        assert answer.status_code == 400
    many = "&".join(f"x{n}=1" for n in range(50))
    answer = await service.browser().http.post(PATH, content=many.encode())
    assert answer.status_code == 400
    assert await browser.verify() == 200


@pytest.mark.parametrize("names", ["sub", "sid"])
async def test_a_token_may_name_only_the_user_or_only_the_session(service: Service, names: str) -> None:
    first, second, other = service.browser(), service.browser(), service.browser()
    await first.log_in()
    await second.log_in()
    await other.log_in("bob")
    claims = {"iss": "i", "jti": names} | ({"sub": ALICE} if names == "sub" else {"sid": await sid_of(service, first)})
    tied: KeycloakSessions = service.app.state.tied
    assert len(await tied.ended_by_keycloak(claims)) == (2 if names == "sub" else 1)
    assert [await first.verify(), await second.verify()] == [401, 401 if names == "sub" else 200]
    assert await other.verify() == 200
    with pytest.raises(InvalidToken):
        await tied.ended_by_keycloak(claims)
    assert await tied.ended_by_keycloak({"iss": "i", "jti": "x", "sid": "unknown"}) == ()


async def expire(service: Service, *browsers: Browser) -> None:
    """As if the life of the access token were over."""
    for browser in browsers:
        await service.sessions.update_metadata(browser.secret, {"access_expires_at": 1})


async def test_when_keycloak_ends_all_and_tells_of_one_the_others_end_with_their_access_tokens(
    service: Service, keycloak: KeycloakServer
) -> None:
    browsers = [service.browser() for _ in range(3)]
    for browser in browsers:
        await browser.log_in()
    await asyncio.to_thread(keycloak.admin, "POST", f"/users/{ALICE}/logout")
    told = [await browser.verify() for browser in browsers]
    assert told.count(401) <= 1  # if it is more, Keycloak has learned to tell (keycloak#22914)
    await expire(service, *(browser for browser, status in zip(browsers, told, strict=True) if status == 200))
    for browser in browsers:
        answer = await browser.get("/v1/verify")
        assert answer.status_code == 401
        assert answer.json()["reason"] == "ended by Keycloak"


async def test_a_disabled_user_is_out_when_the_access_token_has_expired(
    service: Service, keycloak: KeycloakServer
) -> None:
    browser = service.browser()
    await browser.log_in("bob")
    try:
        await asyncio.to_thread(keycloak.admin, "PUT", f"/users/{BOB}", {"enabled": False})
        assert await browser.verify() == 200
        await expire(service, browser)
        assert await browser.verify() == 401
    finally:
        await asyncio.to_thread(keycloak.admin, "PUT", f"/users/{BOB}", {"enabled": True})


async def test_a_session_that_does_not_follow_stays(serve: Serve, keycloak: KeycloakServer) -> None:
    async with serve(keycloak_follow=False) as service:
        browser = service.browser()
        await browser.log_in()
        session = await service.sessions.get_session(browser.secret)
        assert session is not None
        await asyncio.to_thread(keycloak.admin, "POST", f"/users/{ALICE}/logout")
        if await browser.verify() == 401:
            return  # it was the one that Keycloak told of
        await expire(service, browser)
        assert await browser.verify() == 200
