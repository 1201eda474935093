"""AUTH_MODE: tokens, sessions, or both."""

import asyncio
import re
import time
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.service.conftest import Serve
from tests.service.keycloak_server import ALICE, BOB, KeycloakServer
from tests.service.running import Service

pytestmark = pytest.mark.engine
SECRET = "a-secret-of-the-former-system-32-bytes"


def legacy(secret: str = SECRET, **changes: Any) -> str:
    claims = {"sub": "old-user", "exp": int(time.time()) + 60} | changes
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(secret))


async def who(service: Service, token: str | None = None, cookie: str | None = None) -> str:
    """The user that /v1/verify names, or what it says instead."""
    browser = service.browser()
    headers = {}
    if token is not None:
        headers["Authorization"] = token if " " in token or not token or token == "Bearer" else f"Bearer {token}"
    if cookie is not None:
        headers["Cookie"] = f"__Host-session_id={cookie}"
    answer = await browser.get("/v1/verify", headers=headers)
    await browser.http.aclose()
    if answer.status_code == 200:
        assert ("x-session-handle" in answer.headers) == (
            token is None or service.app.state.settings.auth_mode == "session"
        )
        return str(answer.headers["x-session-user"])
    assert answer.status_code == 401
    return str(answer.json()["type"].removeprefix("urn:redis-session-kit:"))


async def counted(service: Service) -> dict[str, float]:
    text = (await service.browser().get("/metrics")).text
    return {
        by: float(number) for by, number in re.findall(r'^auth_requests_total{by="(\w+)"} (\S+)$', text, re.MULTILINE)
    }


async def test_dual_mode_takes_the_header_first_then_the_cookie(serve: Serve, keycloak: KeycloakServer) -> None:
    async with serve(auth_mode="dual", jwt_secret_key=SECRET) as service:
        token = (await asyncio.to_thread(keycloak.tokens))["access_token"]
        cookie = (await service.sessions.create_session(BOB)).session_id
        assert await who(service, token=token) == ALICE
        assert await who(service, token=legacy()) == "old-user"
        assert await who(service, cookie=cookie) == BOB
        assert await who(service, token=token, cookie=cookie) == ALICE
        assert await who(service, token=f"bearer  {token}") == ALICE
        assert await who(service) == "no-session"
        assert await who(service, token="x", cookie=cookie) == "invalid-token"
        assert await counted(service) == {"session": 1, "keycloak_token": 3, "legacy_token": 1}


async def test_session_mode_takes_no_token_and_token_mode_no_session(serve: Serve, keycloak: KeycloakServer) -> None:
    token = (await asyncio.to_thread(keycloak.tokens))["access_token"]
    async with serve(auth_mode="session", jwt_secret_key=SECRET) as service:
        cookie = (await service.sessions.create_session(BOB)).session_id
        assert await who(service, token=token) == "no-session"
        assert await who(service, token=legacy()) == "no-session"
        assert await who(service, token=token, cookie=cookie) == BOB
        assert await counted(service) == {"session": 1, "keycloak_token": 0, "legacy_token": 0}
    async with serve(auth_mode="token") as service:
        assert await who(service, token=token) == ALICE
        assert await who(service, cookie=cookie) == "no-session"
        assert await who(service, token=legacy()) == "invalid-token"
        browser = service.browser()
        assert (await browser.get("/v1/sessions", headers={"Cookie": f"__Host-session_id={cookie}"})).status_code == 401


async def test_what_is_no_good_access_token_for_us_is_refused(serve: Serve, keycloak: KeycloakServer) -> None:
    async with serve(auth_mode="dual", jwt_secret_key=SECRET) as service:
        ours = await asyncio.to_thread(keycloak.tokens)
        theirs = await asyncio.to_thread(keycloak.tokens, "alice", "another-application")
        header, payload, signature = ours["access_token"].split(".")
        for token in (
            ours["id_token"],
            ours["refresh_token"],
            theirs["access_token"],
            f"{header}.{payload}.{signature[:-8]}AAAAAAAA",
            legacy(secret="another-secret-of-at-least-32-bytes!!"),
            legacy(exp=int(time.time()) - 60),
            "Basic YTpi",
            "Bearer",
            "",
        ):
            assert await who(service, token=token) == "invalid-token", token


async def test_a_new_key_of_the_realm_is_picked_up(serve: Serve, keycloak: KeycloakServer, monkeypatch: Any) -> None:
    from session_core.keycloak import keys

    async with serve(auth_mode="dual") as service:
        assert await who(service, token=(await asyncio.to_thread(keycloak.tokens))["access_token"]) == ALICE
        component = {
            "name": "rotated",
            "providerId": "rsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "config": {"priority": ["1000"], "enabled": ["true"], "active": ["true"], "keySize": ["2048"]},
        }
        await asyncio.to_thread(keycloak.admin, "POST", "/components", component)
        monkeypatch.setattr(keys, "AGAIN_SECONDS", 0)
        assert await who(service, token=(await asyncio.to_thread(keycloak.tokens))["access_token"]) == ALICE
