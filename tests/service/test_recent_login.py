"""How long ago a login may be for what it is asked for, and how a client is told to log in again."""

import asyncio
import json
import time

import pytest

from tests.docs.snippets import ROOT, snippets
from tests.service.conftest import Serve
from tests.service.keycloak_server import ALICE
from tests.service.running import Service

pytestmark = pytest.mark.engine
[DOCUMENTED] = [json.loads(each.text) for each in snippets(ROOT / "docs" / "service.md") if each.language == "json"]


async def test_a_client_is_told_how_to_log_in_again_before_it_ends_other_sessions(service: Service) -> None:
    phone, laptop = service.browser(), service.browser()
    await phone.log_in()
    await laptop.log_in()
    [handle] = [one["handle"] for one in (await laptop.get("/v1/sessions")).json() if not one["current"]]
    await service.sessions.update_metadata(laptop.secret, {"authenticated_at": int(time.time()) - 301})
    for path in (f"/v1/sessions/{handle}", "/v1/sessions"):
        answer = await laptop.write("DELETE", path)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == ('Bearer error="insufficient_user_authentication", max_age="300"')
        told = answer.json()
        assert told == DOCUMENTED
    assert await phone.verify() == 200
    asked = await laptop.at_keycloak(f"{told['login']}&return_to=/account")
    assert asked.status_code == 200  # Keycloak knows the user, and asks all the same
    await laptop.log_in(path=told["login"])
    assert (await laptop.write("DELETE", "/v1/sessions")).status_code == 200
    assert await phone.verify() == 401
    await service.sessions.update_metadata(laptop.secret, {"authenticated_at": 1})
    assert (await laptop.write("DELETE", "/v1/sessions/current")).status_code == 200  # logging out is always possible


async def test_a_login_that_keycloak_answers_without_asking_is_as_old_as_the_one_before(service: Service) -> None:
    browser = service.browser()
    await browser.log_in()
    [first] = await service.sessions.get_user_sessions(ALICE)
    await asyncio.sleep(1.1)
    await browser.log_in()
    [second] = await service.sessions.get_user_sessions(ALICE)
    assert second.handle != first.handle
    assert second.metadata["authenticated_at"] == first.metadata["authenticated_at"]
    await asyncio.sleep(1.1)
    await browser.log_in(path="/v1/oidc/login?prompt=login")
    [third] = await service.sessions.get_user_sessions(ALICE)
    assert int(str(third.metadata["authenticated_at"])) > int(str(first.metadata["authenticated_at"]))


async def test_how_recent_a_login_must_be_can_be_set_and_switched_off(serve: Serve) -> None:
    for seconds, status in ((0, 200), (60, 401), (600, 200)):
        async with serve(session_recent_login_seconds=seconds) as service:
            browser = service.browser()
            await browser.log_in()
            await service.sessions.update_metadata(browser.secret, {"authenticated_at": int(time.time()) - 400})
            assert (await browser.write("DELETE", "/v1/sessions")).status_code == status
