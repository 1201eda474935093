"""No page of another origin writes with a user's cookie, wherever the service has a write."""

import pytest

from session_core.service import account, admin, console, oidc, operations, sessions
from tests.service.running import COOKIE, Service

pytestmark = pytest.mark.engine
EVIL = {"Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site"}
NEED_MORE_THAN_A_COOKIE = {
    ("POST", "/v1/sessions"): 401,
    ("POST", "/v1/oidc/access-token"): 401,
    ("POST", "/v1/oidc/backchannel-logout"): 400,
    ("DELETE", "/v1/admin/users/{user_id:path}/sessions"): 401,
    ("DELETE", "/v1/admin/sessions/{handle}"): 401,
}
READS = {"GET", "HEAD"}


def writes() -> list[tuple[str, str]]:
    routers = (part.router for part in (sessions, oidc, account, console, admin, operations))
    routes = [(method, route.path) for router in routers for route in router.routes for method in route.methods]
    return sorted(each for each in routes if each[0] not in READS)


@pytest.mark.parametrize(("method", "path"), writes())
async def test_a_page_of_another_origin_writes_nothing(service: Service, method: str, path: str) -> None:
    operator = service.browser()
    await operator.log_in("olga")
    other = await service.sessions.create_session("bob")
    address = path.replace("{user_id:path}", "bob").replace("{handle}", other.handle)
    answer = await operator.http.request(method, address, headers=EVIL)
    assert answer.status_code == NEED_MORE_THAN_A_COOKIE.get((method, path), 403), answer.text
    assert COOKIE not in answer.headers.get("set-cookie", "")
    assert await operator.verify() == 200
    kept = await service.sessions.get_session(other.session_id)
    assert kept is not None
    assert kept.is_active
