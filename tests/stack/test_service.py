"""The session service of a running deployment, from the outside: what `make up` shows and a client relies on."""

import json
import re
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from http.client import HTTPResponse

import pytest

from tests.stack.kit import ROOT, Access, docker, eventually

pytestmark = [pytest.mark.stack, pytest.mark.engine]


def call(running: Access, method: str, path: str, body: object = None, **headers: str) -> HTTPResponse:
    assert running.outputs.url.startswith("https://")
    request = urllib.request.Request(  # noqa: S310
        running.outputs.url + path,
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json", **headers},
        method=method,
    )
    context = ssl.create_default_context(cafile=str(running.ca_file))
    reply: HTTPResponse = urllib.request.urlopen(request, context=context, timeout=20)  # noqa: S310
    return reply


def admin(running: Access) -> dict[str, str]:
    token = running.outputs.admin_token
    assert token
    return {"Authorization": f"Bearer {token.get_secret_value()}"}


def test_the_first_session_of_make_up_is_created_and_read_back(running: Access) -> None:
    outputs = running.stack.pulumi("stack", "output", "--json", "--show-secrets")

    done = subprocess.run(
        [sys.executable, "ci/first_session.py", running.stack.name],
        cwd=ROOT,
        input=outputs,
        capture_output=True,
        text=True,
        check=True,
    )

    assert re.search(r"A session of first-session-\w+ was created \(durable: true\)", done.stdout)
    assert running.outputs.url in done.stdout
    assert admin(running)["Authorization"].split()[1] not in done.stdout


def test_a_revoked_session_is_refused_with_its_reason(running: Access) -> None:
    created = call(running, "POST", "/v1/sessions", {"user_id": "bob"}, **admin(running))
    cookie = {"Cookie": created.headers["Set-Cookie"].partition(";")[0]}
    handle = json.loads(created.read())["handle"]
    assert call(running, "GET", "/v1/verify", **cookie).headers["X-Session-User"] == "bob"

    call(running, "DELETE", f"/v1/admin/sessions/{handle}?reason=lost+phone", **admin(running))

    with pytest.raises(urllib.error.HTTPError) as refused:
        call(running, "GET", "/v1/verify", **cookie)
    assert refused.value.code == 401
    assert "lost phone" in refused.value.read().decode()


def test_one_instance_may_stop_without_a_failed_request(running: Access) -> None:
    created = call(running, "POST", "/v1/sessions", {"user_id": "carol"}, **admin(running))
    cookie = {"Cookie": created.headers["Set-Cookie"].partition(";")[0]}
    container = running.stack.container("session-1")

    stopping = subprocess.Popen(["docker", "restart", container], stdout=subprocess.DEVNULL)
    answers: list[int] = []
    while stopping.poll() is None or len(answers) < 50:
        answers.append(call(running, "GET", "/v1/verify", **cookie).status)

    assert set(answers) == {200}
    health = "{{.State.Health.Status}}"
    eventually("a healthy instance", lambda: docker("inspect", "--format", health, container) == "healthy", 60)


def test_health_and_readiness_answer(running: Access) -> None:
    assert call(running, "GET", "/healthz").status == 200
    assert call(running, "GET", "/readyz").status == 200


def test_figures_are_not_for_the_outside(running: Access) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        call(running, "GET", "/metrics")

    assert refused.value.code == 404


def test_the_exporter_scrapes_every_redis_and_sentinel(running: Access) -> None:
    script = (
        "import sys, ssl, urllib.request as u; c = ssl.create_default_context(cafile='/run/kit/tls/ca.crt');"
        "print(u.urlopen('https://exporter:9121/scrape?target=rediss://' + sys.argv[1], context=c).read().decode())"
    )
    for address in (*running.outputs.redis_nodes, *running.outputs.sentinels):
        shown = docker("exec", running.stack.container("session-1"), "python3", "-c", script, address)
        assert "redis_up 1" in shown, address
