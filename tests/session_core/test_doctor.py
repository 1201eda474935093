"""`session-core doctor` on real servers, each with one fault: it names the fault and what to do."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from session_core import Settings, doctor
from session_core.deploy import load_functions
from session_core.doctor import Finding, State, examine
from tests.session_core import servers
from tests.session_core.conftest import Make, redis_settings
from tests.session_core.sentinel_group import certificates
from tests.session_core.servers import TLS_PORT, Server
from tests.session_core.test_cli import Run, run
from tests.session_core.test_durability import pair

__all__ = ["pair", "run"]
pytestmark = pytest.mark.engine
ADMIN = {"redis_username": "", "redis_password": ""}
"""The default user of the test servers may do everything."""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PATIENCE_SECONDS", 1.0)


async def told(settings: Settings, **named: Any) -> dict[tuple[str, State], str]:
    found: list[Finding] = [finding async for finding in examine(settings, **named)]
    return {(finding.about, finding.state): finding.text for finding in found}


async def wrong(settings: Settings, about: str, **named: Any) -> str:
    return (await told(settings, **named))[about, "wrong"]


@pytest.fixture
def tls_only(bridge: Any, tmp_path: Path) -> Iterator[Server]:
    """A server of which the tests use the TLS port only."""
    tmp_path.chmod(0o755)
    certificates(tmp_path)
    with servers.redis_server(bridge, alias="tls", certificates=tmp_path) as server:
        yield server


async def test_all_is_well_but_what_the_applications_user_cannot_see(redis: Server, on_redis: Make) -> None:
    await on_redis().create_session("alice")
    found = await told(redis_settings(redis))
    assert {about for about, state in found if state == "ok"} >= {"connection", "replication", "clock", "sessions"}
    assert {about for about, state in found if state == "wrong"} == {"tls"}
    assert "REDIS_USERNAME" in found["memory", "unseen"]
    assert found["sessions", "ok"].startswith("1 live sessions")
    assert "never FLUSHDB" in found["sessions", "ok"]
    assert "noeviction" in (await told(redis_settings(redis, **ADMIN)))["memory", "ok"]


async def test_a_refused_login_names_the_variables(redis: Server) -> None:
    assert "REDIS_PASSWORD" in await wrong(redis_settings(redis, redis_password="wrong"), "connection")
    with redis.admin() as admin:
        admin.config_set("requirepass", "secret")
    try:
        text = await wrong(redis_settings(redis, **ADMIN), "connection")
    finally:
        with redis.admin(password="secret") as admin:
            admin.config_set("requirepass", "")
    assert "Authentication required" in text
    assert "REDIS_PASSWORD" in text


async def test_tls_to_a_plain_port_is_recognised(redis: Server) -> None:
    text = await wrong(redis_settings(redis, redis_url=redis.url.replace("redis:", "rediss:")), "tls")
    assert "answers without TLS: redis://" in text


async def test_a_plain_connection_to_a_tls_port_is_recognised(tls_only: Server) -> None:
    port = tls_only.container.get_exposed_port(TLS_PORT)
    settings = Settings(redis_url=f"redis://127.0.0.1:{port}")
    found = [finding.text async for finding in examine(settings) if finding.about == "tls"]
    assert f"127.0.0.1:{port} speaks TLS: rediss://" in found[-1]


async def test_a_certificate_of_another_authority_is_named(tls_only: Server, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    settings = Settings(**(tls_only.settings | {"redis_ca_file": certificates(other)}))
    assert "certificate of the server was refused" in await wrong(settings, "connection")


async def test_another_database_is_recognised(redis: Server) -> None:
    elsewhere = redis.url.removesuffix("/0")
    text = await wrong(redis_settings(redis, redis_url=f"{elsewhere}/3", **ADMIN), "database")
    assert "database 3 has no session_meta, database 0 has" in text
    assert "database 0 only" in await wrong(redis_settings(redis, redis_url=f"{elsewhere}/3"), "database")
    many = await wrong(redis_settings(redis, redis_url=f"{elsewhere}/99", **ADMIN), "database")
    assert "ends in database 99, and the server has not so many" in many


async def test_a_back_end_without_a_server_is_told_from_a_server() -> None:
    [finding] = [each async for each in examine(Settings(session_backend="memory", redis_url="redis://127.0.0.1:1/0"))]
    assert (finding.state, finding.about) == ("ok", "settings")
    assert "no Redis is used" in finding.text


async def test_after_a_flushdb_it_says_so_and_what_to_do_instead(redis: Server) -> None:
    with redis.admin() as admin:
        admin.flushdb()
    text = await wrong(redis_settings(redis), "database")
    assert "FLUSHDB" in text
    assert "session-core revoke" in text
    await load_functions(redis_settings(redis))
    assert ("database", "wrong") not in await told(redis_settings(redis))


async def test_missing_functions_are_named_with_the_command_that_loads_them(redis: Server) -> None:
    with redis.admin() as admin:
        admin.execute_command("FUNCTION", "FLUSH")
    assert "session-core functions load" in await wrong(redis_settings(redis), "library")


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_policy_that_logs_users_out_is_wrong(redis: Server, policy: str) -> None:
    with redis.admin() as admin:
        admin.config_set("maxmemory-policy", policy)
        try:
            text = await wrong(redis_settings(redis, **ADMIN), "memory")
        finally:
            admin.config_set("maxmemory-policy", "noeviction")
    assert policy in text
    assert "logs users out" in text


async def test_a_replica_that_lags_or_is_gone_is_named(pair: tuple[Server, Server]) -> None:
    primary, replica = pair
    settings = redis_settings(primary, session_wait_replicas=1)
    assert ("replication", "ok") in await told(settings)
    replica.docker("pause")
    with primary.admin() as admin:
        admin.set("x", "y" * 1000)
        assert "behind: " in await wrong(settings, "replication")
        replica.docker("unpause")
        replica.docker("kill")
        for _ in range(100):
            if not admin.info("replication")["connected_slaves"]:
                break
            await asyncio.sleep(0.05)
    text = await wrong(settings, "replication")
    assert "0 replicas are connected, SESSION_WAIT_REPLICAS is 1" in text


async def test_a_replica_instead_of_the_primary_is_named(pair: tuple[Server, Server]) -> None:
    _, replica = pair
    settings = Settings(redis_url=replica.url)
    assert "is a replica of primary:6379 and refuses writes" in await wrong(settings, "replication")


async def test_a_clock_that_is_off_is_named(redis: Server) -> None:
    ours = (await told(redis_settings(redis)))["clock", "ok"]
    assert "NTP" not in ours
    text = await wrong(redis_settings(redis), "clock", clock=lambda: 0)
    assert "NTP" in text


async def test_a_misspelt_variable_is_named_and_those_of_others_are_not(
    redis: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SESSION_TTL_SECOND", "SESSION_ADMIN_TOKEN", "SESSION_COOKIE_NAME", "REDIS_HOST", "REDIS_PORT"):
        monkeypatch.setenv(name, "60")
    found = [
        one.text async for one in examine(redis_settings(redis)) if (one.about, one.state) == ("settings", "wrong")
    ]
    assert found == ["SESSION_TTL_SECOND is no setting and says nothing: SESSION_TTL_SECONDS is meant?"]


async def test_the_command_speaks_to_people_and_to_programs(run: Run, redis: Server) -> None:
    def check() -> None:
        people, programs = run("doctor"), run("doctor", "--json")
        assert people.returncode == programs.returncode == 1
        assert "WRONG no TLS" in people.stdout
        assert "?     memory and eviction policy" in people.stdout
        told = json.loads(programs.stdout)
        assert told["healthy"] is False
        assert {finding["state"] for finding in told["findings"]} == {"ok", "wrong", "unseen"}

    await asyncio.to_thread(check)


async def test_status_is_0_where_nothing_is_wrong(run: Run, shared_valkey: Server, on_valkey: Make) -> None:
    reach = {name.upper(): str(value) for name, value in shared_valkey.settings.items()}

    def check() -> None:
        found = run("doctor", **reach)
        assert found.returncode == 0, found.stdout

    await asyncio.to_thread(check)
