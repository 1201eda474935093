"""Login and logout with a real Keycloak, from both sides."""

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from session_core.ids import ref_of
from tests.service.conftest import Serve
from tests.service.keycloak_server import ALICE, BOB, KeycloakServer
from tests.service.running import ADMIN, COOKIE, Browser, Service, is_settled, until
from tests.session_core.servers import Server

pytestmark = pytest.mark.engine


async def test_a_login_at_keycloaks_page_opens_a_session_of_its_subject(
    service: Service, keycloak: KeycloakServer
) -> None:
    browser = service.browser(**{"User-Agent": "A browser"})
    answer = await browser.log_in(path="/v1/oidc/login?return_to=/v1/sessions")
    assert answer.headers["location"] == "/v1/sessions"
    assert answer.headers["cache-control"] == "no-store"
    verified = await browser.get("/v1/verify")
    assert verified.headers["x-session-user"] == ALICE
    assert verified.headers["x-session-name"] == "alice"
    [mine] = (await browser.get("/v1/sessions")).json()
    assert mine["metadata"]["iss"] == keycloak.realm
    assert mine["metadata"]["sid"] in keycloak.sids(ALICE)
    assert mine["metadata"]["user_agent"] == "A browser"
    assert not {"access_token", "refresh_token", "id_token"} & set(mine["metadata"])
    kept = await service.sessions.get_session(browser.secret)
    assert kept is not None
    assert {"access_token", "refresh_token", "id_token"} <= set(kept.metadata)


async def test_the_browser_leaves_with_state_nonce_and_a_hashed_verifier(service: Service) -> None:
    first, second = [await service.browser().get("/v1/oidc/login") for _ in range(2)]
    asked = [parse_qs(urlsplit(one.headers["location"]).query) for one in (first, second)]
    for name in ("state", "nonce", "code_challenge"):
        assert asked[0][name] != asked[1][name]
        assert len(asked[0][name][0]) == 43
    assert asked[0]["code_challenge_method"] == ["S256"]
    cookie = first.headers["set-cookie"]
    assert cookie.startswith("__Host-login-")
    assert {"secure", "httponly", "samesite=lax", "max-age=600"} <= {part.strip().lower() for part in cookie.split(";")}
    secret = cookie.partition("=")[2].partition(".")[0]
    assert secret not in first.headers["location"]


@pytest.mark.parametrize(
    "there",
    [
        "https://evil.test/",
        "//evil.test",
        "///evil.test",
        "/\\evil.test",
        "javascript:alert(1)",
        "https://localhost.evil.test/",
        "x",
        "",
    ],
)
async def test_a_login_never_ends_at_a_place_that_is_not_trusted(service: Service, there: str) -> None:
    browser = service.browser()
    answer = await browser.get("/v1/oidc/login", params={"return_to": there})
    assert answer.status_code == 422
    assert "set-cookie" not in answer.headers


async def test_where_a_login_returns_to_is_checked_again_when_it_does(service: Service) -> None:
    from session_core.service.login import Login

    browser = service.browser()
    back = await browser.come_back()
    name, value = next((each.name, each.value or "") for each in browser.http.cookies.jar if "login" in each.name)
    login = Login.from_cookie(value)
    assert login is not None
    _, forged = Login(login.secret, "https://evil.test/").cookie
    browser.http.cookies.clear()
    answer = await browser.get(back, headers={"Cookie": f"{name}={forged}"})
    assert answer.status_code == 401
    assert "location" not in answer.headers


async def refused(browser: Browser, address: str) -> None:
    answer = await browser.get(address)
    assert answer.status_code == 401, answer.text
    assert answer.json()["type"] == "urn:redis-session-kit:login-failed"
    assert COOKIE not in answer.headers.get("set-cookie", "")


async def test_only_the_browser_that_began_a_login_can_finish_it(service: Service) -> None:
    thief, owner = service.browser(), service.browser()
    back = await owner.come_back()
    await refused(thief, back)
    assert (await owner.get(back)).status_code == 303


async def test_a_login_is_finished_once(service: Service) -> None:
    browser = service.browser()
    back = await browser.come_back()
    login_cookies = {each.name: each.value or "" for each in browser.http.cookies.jar if "login" in each.name}
    assert (await browser.get(back)).status_code == 303
    other = service.browser()
    for name, value in login_cookies.items():
        other.http.cookies.set(name, value, domain="localhost.local")
    cookie = "; ".join(f"{name}={value}" for name, value in login_cookies.items())
    answer = await other.get(back, headers={"Cookie": cookie})
    assert answer.status_code == 401
    assert "finished before" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("old", "new"),
    [("state=", "state=x"), ("iss=", "iss=https://evil.test/"), ("code=", "code=x"), ("code=", "error=")],
)
async def test_an_answer_that_is_not_keycloaks_is_refused(service: Service, old: str, new: str) -> None:
    browser = service.browser()
    back = await browser.come_back()
    assert old in back
    await refused(browser, back.replace(old, new, 1))


async def test_every_character_of_the_state_counts(service: Service) -> None:
    browser = service.browser()
    back = await browser.come_back()
    state = parse_qs(urlsplit(back).query)["state"][0]
    await refused(browser, back.replace(state, state[:-1] + ("a" if state[-1] != "a" else "b")))


@pytest.mark.parametrize("name", ["state", "code"])
async def test_an_answer_that_says_something_twice_is_refused(service: Service, name: str) -> None:
    browser = service.browser()
    back = await browser.come_back()
    await refused(browser, back.replace("?", f"?{name}=x&", 1))


async def test_an_id_token_of_another_login_is_refused(service: Service, keycloak: KeycloakServer) -> None:
    browser = service.browser()
    back = await browser.come_back()

    async def redeem(*_arguments: object) -> dict[str, Any]:
        return await asyncio.to_thread(keycloak.tokens)

    service.app.state.keycloak.redeem = redeem  # a good token, without the nonce of this login
    await refused(browser, back)


async def test_a_code_of_another_login_is_refused_even_in_the_same_browser(service: Service) -> None:
    browser = service.browser()
    first, second = await browser.come_back(), await browser.come_back()
    codes = [parse_qs(urlsplit(back).query)["code"][0] for back in (first, second)]
    await refused(browser, second.replace(codes[1], codes[0]))


async def test_a_code_that_comes_too_late_is_refused(service: Service, keycloak: KeycloakServer) -> None:
    browser = service.browser()
    lifetime = (await asyncio.to_thread(keycloak.admin, "GET", ""))["accessCodeLifespan"]
    await asyncio.to_thread(keycloak.admin, "PUT", "", {"accessCodeLifespan": 1})
    try:
        back = await browser.come_back()
        await asyncio.sleep(2.5)
        await refused(browser, back)
    finally:
        await asyncio.to_thread(keycloak.admin, "PUT", "", {"accessCodeLifespan": lifetime})


async def test_two_tabs_log_in_side_by_side(service: Service) -> None:
    browser = service.browser()
    first, second = await browser.come_back(), await browser.come_back()
    assert (await browser.get(first)).status_code == 303
    assert (await browser.get(second)).status_code == 303


async def test_logging_in_again_ends_the_session_before(service: Service) -> None:
    browser = service.browser()
    await browser.log_in()
    former = browser.secret
    await browser.log_in()
    assert browser.secret != former
    gone = await service.sessions.get_session(former)
    assert gone is not None
    assert gone.revocation is not None
    assert gone.revocation.reason == "logged in again"


@pytest.mark.parametrize("limit", [0, 1])
async def test_a_second_login_in_one_browser_keeps_keycloaks_session_for_the_new_one(
    serve: Serve, keycloak: KeycloakServer, limit: int
) -> None:
    """The former session is ended, by us or by the limit; Keycloak's is the same for both, and ends with the last."""
    async with serve(session_max_concurrent=limit) as service:
        browser = service.browser()
        await browser.log_in("bob")
        former, [sid] = ref_of(browser.secret).handle, await sids_here(service, BOB)
        await browser.log_in("bob")
        assert await sids_here(service, BOB) == [sid]
        await until(lambda: is_settled(service, former))
        assert await browser.verify() == 200
        assert sid in await asyncio.to_thread(keycloak.sids, BOB)
        await service.sessions.revoke_user_sessions(BOB, "the last one")

        async def gone() -> bool:
            return sid not in await asyncio.to_thread(keycloak.sids, BOB)

        await until(gone)


async def sids_here(service: Service, user: str) -> list[object]:
    return [one.metadata["sid"] for one in await service.sessions.get_user_sessions(user)]


async def test_logout_ends_both_sides_and_comes_back(service: Service, keycloak: KeycloakServer) -> None:
    browser = service.browser()
    await browser.log_in()
    secret, sids = browser.secret, keycloak.sids(ALICE)
    answer = await browser.write("POST", "/v1/oidc/logout")
    assert answer.status_code == 303
    assert f"{COOKIE}=" in answer.headers["set-cookie"]
    gone = await service.sessions.get_session(secret)
    assert gone is not None
    assert not gone.is_active
    back = await browser.get(answer.headers["location"])
    assert back.status_code == 302
    assert back.headers["location"] == f"{service.url}/account"
    assert len(sids - keycloak.sids(ALICE)) == 1
    assert (await browser.at_keycloak()).status_code == 200  # it asks for the password again


async def test_logout_needs_a_page_of_ours(service: Service) -> None:
    browser = service.browser()
    await browser.log_in()
    assert (await browser.http.post("/v1/oidc/logout", headers={"Origin": "https://evil.test"})).status_code == 403
    assert await browser.verify() == 200


async def test_keycloak_ends_one_session_by_its_sid(service: Service, keycloak: KeycloakServer) -> None:
    phone, laptop = service.browser(), service.browser()
    await phone.log_in()
    await laptop.log_in()
    listed = (await phone.get("/v1/sessions")).json()
    sid = next(one["metadata"]["sid"] for one in listed if one["current"])
    await asyncio.to_thread(keycloak.admin, "DELETE", f"/sessions/{sid}")
    answer = await phone.get("/v1/verify")
    assert answer.status_code == 401
    assert answer.json()["reason"] == "ended by Keycloak"
    assert await laptop.verify() == 200


@pytest.mark.parametrize("how", ["evicted", "operator", "command line"])
async def test_what_ends_here_ends_at_keycloak(serve: Serve, keycloak: KeycloakServer, how: str) -> None:
    async with serve(session_max_concurrent=1) as service:
        first = service.browser()
        await first.log_in("bob")
        [handle] = [one.handle for one in await service.sessions.get_user_sessions(BOB)]
        [sid] = [one.metadata["sid"] for one in await service.sessions.get_user_sessions(BOB)]
        if how == "evicted":
            await service.browser().log_in("bob")
        elif how == "operator":
            await first.http.delete(f"/v1/admin/sessions/{handle}", headers=ADMIN)
        else:
            await service.sessions.revoke_session(handle, "on the command line")

        async def gone() -> bool:
            return sid not in await asyncio.to_thread(keycloak.sids, BOB)

        await until(gone)
        assert (await first.at_keycloak()).status_code == 200  # it has to log in again


async def test_the_store_holds_nothing_that_opens_keycloak(service: Service, redis: Server) -> None:
    browser = service.browser()
    await browser.log_in()
    session = await service.sessions.get_session(browser.secret)
    assert session is not None
    with redis.admin() as admin:
        keys = admin.keys("*")
        dump = b"".join(admin.dump(key) or b"" for key in keys) + b"".join(keys)
        ephemeral = [key for key in keys if key.startswith(b"session_ephemeral:")]
        assert ephemeral
        assert all(admin.pttl(key) > 0 for key in ephemeral)
    for name in ("access_token", "refresh_token", "id_token"):
        for part in str(session.metadata[name]).split("."):
            assert part.encode() not in dump
    assert ref_of(browser.secret).digest.encode() in dump
    assert browser.secret.partition(".")[2].encode() not in dump


async def test_the_password_login_is_off_unless_it_is_asked_for(service: Service) -> None:
    answer = await service.browser().write(
        "POST", "/v1/oidc/password", json={"username": "alice", "password": "alice-password"}
    )
    assert answer.status_code == 404


async def test_a_password_logs_in_and_a_wrong_one_does_not(serve: Serve) -> None:
    async with serve(session_password_login=True) as service:
        browser = service.browser()
        good = {"username": "alice", "password": "alice-password"}
        answer = await browser.write("POST", "/v1/oidc/password", json=good)
        assert answer.status_code == 201
        assert answer.json()["user_id"] == ALICE
        assert await browser.verify() == 200
        for body, status in (({"username": "alice", "password": "wrong"}, 401), ({"username": "alice"}, 422)):
            answer = await service.browser().write("POST", "/v1/oidc/password", json=body)
            assert answer.status_code == status
            assert "wrong" not in json.dumps({**answer.json(), "detail": ""})


async def test_many_passwords_for_one_user_and_many_logins_of_one_address_are_stopped(serve: Serve) -> None:
    async with serve(session_password_login=True, session_login_attempts=10) as service:
        browser = service.browser()
        wrong = [{"username": name, "password": "wrong"} for name in ("alice", "Alice", "ALICE")]
        statuses = [(await browser.write("POST", "/v1/oidc/password", json=each)).status_code for each in wrong]
        assert statuses == [401, 401, 429]
        answers = [await browser.get("/v1/oidc/login") for _ in range(8)]
        assert [answer.status_code for answer in answers] == [303] * 7 + [429]
        assert answers[-1].headers["retry-after"] == "60"


async def test_wrong_admin_tokens_are_counted_and_the_right_one_passes(serve: Serve) -> None:
    async with serve(session_login_attempts=2) as service:
        browser = service.browser()
        wrong = {"Authorization": "Bearer wrong"}
        statuses = [(await browser.get("/v1/admin/stats", headers=wrong)).status_code for _ in range(3)]
        assert statuses == [401, 401, 429]
        assert (await browser.get("/v1/admin/stats", headers=ADMIN)).status_code == 200


async def test_tries_are_counted_by_the_address_that_the_gateway_has_seen(serve: Serve) -> None:
    async with serve(session_login_attempts=2, session_client_ip_header="X-Forwarded-For") as service:

        async def login(forwarded: str) -> int:
            answer = await service.browser().get("/v1/oidc/login", headers={"X-Forwarded-For": forwarded})
            return answer.status_code

        # What stands in front of the last entry comes from the client.
        assert [await login(f"10.0.0.{made_up}, 192.0.2.1") for made_up in range(3)] == [303, 303, 429]
        assert await login("10.0.0.0, 192.0.2.2") == 303


async def test_a_login_with_a_session_that_keycloak_ends_meanwhile_is_refused(
    service: Service, keycloak: KeycloakServer
) -> None:
    browser = service.browser()
    back = await browser.come_back()
    tied = service.app.state.tied
    opened = tied._sessions.create_session

    async def create(user: str, metadata: dict[str, Any]) -> object:
        session = await opened(user, metadata)
        await asyncio.to_thread(keycloak.admin, "DELETE", f"/sessions/{metadata['sid']}")
        return session

    tied._sessions.create_session = create
    await refused(browser, back)


async def test_without_keycloak_sessions_work_and_logins_say_so(serve: Serve) -> None:
    async with serve(keycloak_server_url="https://localhost:9") as service:
        answer = await service.browser().get("/v1/oidc/login")
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:redis-session-kit:login-unavailable"
        session = await service.sessions.create_session("carol")
        client = service.browser()
        assert (await client.get("/v1/verify", headers={"Cookie": f"{COOKIE}={session.session_id}"})).status_code == 200


async def test_a_service_without_keycloak_has_no_login(serve: Serve) -> None:
    async with serve(keycloak_server_url="") as service:
        for method, path in (("GET", "/v1/oidc/login"), ("POST", "/v1/oidc/backchannel-logout")):
            answer: httpx.Response = await service.browser().write(method, path)
            assert answer.status_code == 404
            assert answer.json()["type"] == "urn:redis-session-kit:login-not-configured"
