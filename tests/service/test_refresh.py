"""Keycloak's tokens are refreshed by one process at a time, with refresh tokens that may be used once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from session_core import Session, SessionManager
from session_core.keycloak import KeycloakClient, KeycloakSettings, KeycloakUnavailable, Tokens
from session_core.keycloak import sessions as sessions_module
from session_core.keycloak.sessions import KeycloakSessions
from tests.service.keycloak_server import KeycloakServer
from tests.service.running import ADMIN, Service
from tests.session_core.conftest import redis_settings
from tests.session_core.servers import Server

pytestmark = pytest.mark.engine


class Process:
    """What one process has: connections of its own to the store and to Keycloak."""

    def __init__(self, server: Server, keycloak: KeycloakServer) -> None:
        self.sessions = SessionManager(redis_settings(server))
        self.keycloak = KeycloakClient(KeycloakSettings(**keycloak.settings))
        self.tied = KeycloakSessions(self.sessions, self.keycloak)
        self.refreshed = 0
        refresh = self.keycloak.refresh

        async def counting(token: str) -> Tokens:
            self.refreshed += 1
            return await refresh(token)

        self.answer_refreshes(counting)

    def answer_refreshes(self, answer: Callable[[str], Awaitable[Tokens]]) -> None:
        """Put something in the place of Keycloak's answer to a refresh."""
        self.keycloak.__dict__["refresh"] = answer

    async def open(self) -> Session:
        tokens = await self.keycloak.authenticate("alice", "alice-password")
        return await self.tied.open(tokens, await self.keycloak.verify_id_token(tokens["id_token"], None), {})

    async def expire(self, session: Session) -> Session:
        expired = await self.sessions.update_metadata(session.session_id, {"access_expires_at": 1})
        assert expired is not None
        return expired

    async def aclose(self) -> None:
        await self.keycloak.aclose()
        await self.sessions.aclose()


@pytest.fixture
async def processes(redis: Server, keycloak: KeycloakServer) -> AsyncIterator[list[Process]]:
    made = [Process(redis, keycloak) for _ in range(3)]
    yield made
    for process in made:
        await process.aclose()


async def test_of_many_callers_in_several_processes_one_refreshes_and_all_get_its_token(
    processes: list[Process],
) -> None:
    session = await processes[0].open()
    old = session.metadata["access_token"]
    for _ in range(3):  # a refresh token that was used twice would have ended the session by now
        before = sum(process.refreshed for process in processes)
        expired = await processes[0].expire(session)
        got = await asyncio.gather(*(process.tied.fresh(expired) for process in processes for _ in range(10)))
        tokens = {one.metadata["access_token"] for one in got if one is not None}
        assert len(tokens) == 1
        assert old not in tokens
        old = tokens.pop()
        assert sum(process.refreshed for process in processes) - before == 1
    assert await processes[1].keycloak.get_user_info(str(old))


async def test_a_good_token_is_not_refreshed(processes: list[Process]) -> None:
    session = await processes[0].open()
    again = await processes[1].tied.fresh(session)
    assert again is not None
    assert again.metadata["access_token"] == session.metadata["access_token"]
    assert processes[1].refreshed == 0


async def test_requests_go_on_while_one_process_asks_keycloak(processes: list[Process]) -> None:
    expired = await processes[0].expire(await processes[0].open())
    answered = asyncio.Event()
    refresh = processes[0].keycloak.refresh

    async def slow(token: str) -> Tokens:
        await answered.wait()
        return await refresh(token)

    processes[0].answer_refreshes(slow)
    asking = asyncio.create_task(processes[0].tied.follow(expired))
    await asyncio.sleep(0.2)
    others = await asyncio.gather(*(process.tied.follow(expired) for process in processes[1:] for _ in range(5)))
    assert all(one is not None and one.is_active for one in others)
    assert not asking.done()
    answered.set()
    followed = await asking
    assert followed is not None
    assert followed.metadata["access_token"] != expired.metadata["access_token"]


async def test_while_keycloak_is_away_sessions_go_on_and_it_is_left_alone_for_a_while(processes: list[Process]) -> None:
    process = processes[0]
    expired = await process.expire(await process.open())
    asked = 0

    async def away(_token: str) -> Tokens:
        nonlocal asked
        asked += 1
        raise KeycloakUnavailable("away")

    process.answer_refreshes(away)
    for _ in range(5):
        followed = await process.tied.follow(expired)
        assert followed is not None
        assert followed.is_active
    assert asked == 1
    with pytest.raises(KeycloakUnavailable):  # a token cannot be made up
        await process.tied.fresh(expired)


async def test_a_process_that_died_in_the_middle_does_not_hold_others_up_for_ever(
    processes: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    expired = await processes[0].expire(await processes[0].open())
    monkeypatch.setattr(sessions_module, "PATIENCE_SECONDS", 0.2)
    await processes[0].sessions.ephemeral.claim("refresh", expired.handle, 1.0)
    with pytest.raises(KeycloakUnavailable):
        await processes[1].tied.fresh(expired)
    await asyncio.sleep(1.0)
    again = await processes[1].tied.fresh(expired)
    assert again is not None
    assert again.metadata["access_token"] != expired.metadata["access_token"]


async def test_a_back_end_with_the_admin_token_gets_the_users_access_token(
    service: Service, keycloak: KeycloakServer
) -> None:
    browser = service.browser()
    await browser.log_in()
    await service.sessions.update_metadata(browser.secret, {"access_expires_at": 1})
    path = "/v1/oidc/access-token"
    assert (await browser.http.post(path)).status_code == 401
    assert (await service.browser().http.post(path, headers=ADMIN)).status_code == 401
    answer: dict[str, Any] = (await browser.http.post(path, headers=ADMIN)).json()
    assert set(answer) == {"access_token", "expires_at"}
    client = KeycloakClient(KeycloakSettings(**keycloak.settings))
    assert (await client.get_user_info(answer["access_token"]))["preferred_username"] == "alice"
    await client.aclose()
