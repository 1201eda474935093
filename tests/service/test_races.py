"""What several requests do at the same moment, and what several processes count together."""

import asyncio
from collections import Counter

import pytest

from tests.service.conftest import Serve
from tests.service.keycloak_server import ALICE
from tests.service.running import ADMIN, COOKIE, Service
from tests.session_core.servers import free_port

pytestmark = pytest.mark.engine


async def test_of_many_callbacks_with_one_code_one_logs_in(service: Service) -> None:
    browser = service.browser()
    back = await browser.come_back()
    cookies = "; ".join(f"{each.name}={each.value}" for each in browser.http.cookies.jar if "login" in each.name)
    others = [service.browser() for _ in range(10)]
    answers = await asyncio.gather(*(other.get(back, headers={"Cookie": cookies}) for other in others))
    assert Counter(answer.status_code for answer in answers) == {303: 1, 401: 9}
    assert sum(f"{COOKIE}=" in answer.headers.get("set-cookie", "") for answer in answers) == 1
    assert len(await service.sessions.get_user_sessions(ALICE)) == 1


async def test_logins_of_one_user_at_once_leave_no_more_sessions_than_allowed(serve: Serve) -> None:
    async with serve(session_max_concurrent=2) as service:
        browsers = [service.browser() for _ in range(6)]
        addresses = [await browser.come_back() for browser in browsers]
        answers = await asyncio.gather(*(browser.get(at) for browser, at in zip(browsers, addresses, strict=True)))
        assert [answer.status_code for answer in answers] == [303] * 6
        statuses = await asyncio.gather(*(browser.verify() for browser in browsers))
        assert Counter(statuses) == {200: 2, 401: 4}


@pytest.mark.parametrize("what", ["logins", "wrong admin tokens"])
async def test_two_processes_count_tries_together(serve: Serve, what: str) -> None:
    path, headers = ("/v1/oidc/login", {}) if what == "logins" else ("/v1/admin/stats", {"Authorization": "Bearer x"})
    let = 303 if what == "logins" else 401
    async with serve(session_login_attempts=5) as one, serve(port=free_port(), session_login_attempts=5) as two:
        browsers = [one.browser(), two.browser()] * 5
        answers = await asyncio.gather(*(browser.get(path, headers=headers) for browser in browsers))
        assert Counter(answer.status_code for answer in answers) == {let: 5, 429: 5}
        assert (await two.browser().get("/v1/admin/stats", headers=ADMIN)).status_code == 200
