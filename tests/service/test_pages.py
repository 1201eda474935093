"""The pages in a real Chromium: login at Keycloak's own page, two browsers, the notice, the console.

KIT_SCREENSHOTS=docs/images keeps pictures of them.
"""

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser as Chromium
from playwright.async_api import BrowserContext, Page

from tests.docs.snippets import ROOT
from tests.service import secluded
from tests.service.conftest import Serve
from tests.service.gateway import Front
from tests.service.keycloak_server import BOB, KeycloakServer
from tests.service.running import COOKIE, Service, is_settled, until

pytestmark = pytest.mark.engine


@pytest.fixture
async def chromium(tmp_path: Path, keycloak: KeycloakServer) -> AsyncIterator[Chromium]:
    async with secluded.chromium(tmp_path, keycloak.port, keycloak.service_port) as browser:
        yield browser


async def context_of(chromium: Chromium) -> tuple[BrowserContext, Page, list[str]]:
    """A browser of its own, a page of it, and what its console says (refusals by the policy among it)."""
    context = await chromium.new_context(ignore_https_errors=True, viewport={"width": 1000, "height": 640})
    context.set_default_timeout(20_000)
    page = await context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in {"error", "warning"} else None)
    return context, page, said


async def log_in(page: Page, username: str) -> None:
    """From our page through Keycloak's and back."""
    await page.get_by_role("link", name="Log in").click()
    await page.get_by_label("Username").fill(username)
    await page.get_by_label("Password", exact=True).fill(f"{username}-password")
    await page.get_by_role("button", name="Sign In").click()


async def picture(page: Page, name: str) -> None:
    if folder := os.environ.get("KIT_SCREENSHOTS"):
        await page.screenshot(path=ROOT / folder / f"{name}.png")


async def test_of_two_browsers_with_a_limit_of_one_the_first_is_told_why_it_was_ended(
    serve: Serve, keycloak: KeycloakServer, chromium: Chromium
) -> None:
    async with serve(session_max_concurrent=1) as service:
        (first, one, said), (_, two, _) = await context_of(chromium), await context_of(chromium)
        await one.goto(f"{service.url}/account")
        await one.get_by_role("heading", name="You are not logged in").wait_for()
        await log_in(one, "alice")
        await one.get_by_role("heading", name="My devices").wait_for()
        [cookie] = [each for each in await first.cookies() if each.get("name") == COOKIE]
        assert (cookie.get("httpOnly"), cookie.get("secure"), cookie.get("sameSite")) == (True, True, "Lax")
        assert "alice" in await one.inner_text("main")
        assert "Chrome on Linux" in await one.inner_text("table")
        await two.goto(f"{service.url}/account")
        await log_in(two, "alice")
        await two.get_by_role("heading", name="My devices").wait_for()
        await one.reload()
        notice = one.get_by_role("alert")
        assert "You logged in on another device" in await notice.inner_text()
        await picture(one, "ended")
        assert [line for line in said if "401" not in line] == []  # the browser reports the status of the notice


async def test_devices_are_ended_one_by_one_all_others_and_by_logging_out(
    service: Service, keycloak: KeycloakServer, chromium: Chromium
) -> None:
    others = [service.browser(**{"User-Agent": agent}) for agent in ("Firefox/140 (Android 15)", "x" * 300, "")]
    for other in others:
        await other.log_in("bob")
    _, page, said = await context_of(chromium)
    await page.goto(f"{service.url}/account")
    await log_in(page, "bob")
    await page.get_by_role("heading", name="My devices").wait_for()
    assert await page.get_by_role("row").count() == 5
    await picture(page, "my-devices")
    await page.get_by_role("button", name="End the session on Firefox on Android").click()
    await page.get_by_role("heading", name="My devices").wait_for()
    assert await page.get_by_role("row").count() == 4
    assert [await other.verify() for other in others] == [401, 200, 200]
    await page.get_by_role("button", name="End all others").click()
    await page.get_by_role("heading", name="My devices").wait_for()
    assert await page.get_by_role("row").count() == 2
    assert [await other.verify() for other in others] == [401, 401, 401]
    await page.get_by_role("button", name="Log out").click()
    await page.get_by_role("heading", name="You are not logged in").wait_for()
    assert page.url == f"{service.url}/account"
    assert [line for line in said if "401" not in line] == []
    await page.get_by_role("link", name="Log in").click()
    await page.get_by_label("Username").wait_for()  # Keycloak has forgotten it too


async def test_to_end_other_sessions_a_user_whose_login_is_old_logs_in_again(
    service: Service, keycloak: KeycloakServer, chromium: Chromium
) -> None:
    other = service.browser()
    await other.log_in("bob")
    context, page, said = await context_of(chromium)
    await page.goto(f"{service.url}/account")
    await log_in(page, "bob")
    await page.get_by_role("heading", name="My devices").wait_for()
    [secret] = [each.get("value", "") for each in await context.cookies() if each.get("name") == COOKIE]
    old = await service.sessions.get_session(secret)
    assert old is not None
    await service.sessions.update_metadata(secret, {"authenticated_at": int(time.time()) - 400})
    await page.get_by_role("button", name="End all others").click()  # the page was opened while it was recent
    await page.get_by_text("Your login was some time ago").wait_for()
    assert await page.get_by_role("button", name="End").count() == 0
    assert await other.verify() == 200
    await picture(page, "log-in-again")
    await page.get_by_role("link", name="Log in again").click()
    await page.get_by_label("Password", exact=True).fill("bob-password")
    await page.get_by_role("button", name="Sign In").click()
    await page.get_by_role("button", name="End all others").click()
    await page.get_by_role("heading", name="My devices").wait_for()
    assert page.url == f"{service.url}/account"
    assert await page.get_by_role("row").count() == 2
    assert await other.verify() == 401
    await until(lambda: is_settled(service, old.handle))
    await page.reload()
    await page.get_by_role("heading", name="My devices").wait_for()  # the former session has not taken this one along
    assert [line for line in said if "401" not in line] == []


async def test_an_operator_finds_a_user_and_ends_his_sessions_with_a_reason(
    service: Service, keycloak: KeycloakServer, chromium: Chromium
) -> None:
    victim = service.browser()
    await victim.log_in("alice")
    _, page, said = await context_of(chromium)
    await page.goto(f"{service.url}/console")
    await log_in(page, "olga")
    await page.get_by_role("heading", name="Console").wait_for()
    await page.get_by_label("User name or id").fill("Alice")
    await page.get_by_role("button", name="Search").click()
    await page.get_by_label("Reason, which the user is told").first.fill("lost <b>phone</b>")
    await picture(page, "console")
    await page.get_by_role("button", name="End", exact=True).click()
    await page.get_by_text("None.").wait_for()
    assert "lost <b>phone</b>" in await page.locator("table").last.inner_text()
    answer = await victim.get("/v1/verify")
    assert answer.json()["reason"] == "lost <b>phone</b>"
    told = await victim.get("/account")
    assert "lost &lt;b&gt;phone&lt;/b&gt;" in told.text
    assert [line for line in said if "401" not in line] == []


async def test_the_console_is_for_operators_who_logged_in_lately(service: Service) -> None:
    user, operator, nobody = service.browser(), service.browser(), service.browser()
    await user.log_in("alice")
    await operator.log_in("olga")
    end = "/console/end-all"
    assert (await nobody.get("/console")).status_code == 401
    assert (await user.get("/console")).status_code == 403
    assert (await user.write("POST", end, data={"user": BOB})).status_code == 403
    assert (await operator.get("/console")).status_code == 200
    assert (
        await operator.http.post(end, data={"user": BOB}, headers={"Origin": "https://evil.test"})
    ).status_code == 403
    await service.sessions.update_metadata(operator.secret, {"authenticated_at": 1})
    page = await operator.get("/console")
    assert page.status_code == 401
    assert "max_age=3600" in page.text
    assert (await operator.write("POST", end, data={"user": BOB})).status_code == 401
    made_up = await service.sessions.create_session("carol", {"operator": True, "authenticated_at": 1 << 40})
    cookie = {"Cookie": f"{COOKIE}={made_up.session_id}"}
    assert (await nobody.get("/console", headers=cookie)).status_code == 403


async def test_nobody_ends_the_sessions_of_others_on_his_own_page(service: Service) -> None:
    mine, other = service.browser(), service.browser()
    await mine.log_in("alice")
    await other.log_in("bob")
    [handle] = [one.handle for one in await service.sessions.get_user_sessions(BOB)]
    for name in (handle, "nonsense"):
        assert (await mine.write("POST", f"/account/sessions/{name}/end")).status_code == 303
    assert (await mine.http.post("/account/end-others", headers={"Origin": "https://evil.test"})).status_code == 403
    assert await other.verify() == 200


async def test_pages_load_nothing_from_elsewhere_and_cannot_be_framed(service: Service) -> None:
    browser = service.browser()
    await browser.log_in("olga")
    for path in ("/account", "/console"):
        answer = await browser.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert "<script" not in answer.text
        assert " style=" not in answer.text
        assert browser.secret not in answer.text


async def test_a_script_of_a_page_asks_the_example_with_the_cookie_that_it_cannot_read(
    example_front: Front, chromium: Chromium
) -> None:
    context, page, _ = await context_of(chromium)
    await page.goto(example_front.url)
    await page.get_by_text("not logged in").wait_for()
    await log_in(page, "alice")
    await page.get_by_text("Hello alice").wait_for()
    assert COOKIE not in str(await page.evaluate("document.cookie"))
    assert any(cookie.get("name") == COOKIE for cookie in await context.cookies())
