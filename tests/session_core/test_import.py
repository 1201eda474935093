"""Sessions of the former system are brought over: once, whole, with their ids, and nothing is deleted there."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import redis as redis_py

from session_core import SessionManager, protocol
from session_core.errors import InvalidSessionId, SettingsError
from session_core.ids import adopted_id, old_ref, ref_of
from session_core.link import Link
from session_core.migration.importer import Importer, Report, settings_of_old
from session_core.migration.old import UnreadableError, parse
from session_core.protocol import session_key
from session_core.records import Burial, ImportedSession, Limit
from session_core.service.app import make_app
from session_core.service.settings import ServiceSettings
from tests.session_core.conftest import APP_PASSWORD, Make, redis_settings
from tests.session_core.former import READER_PASSWORD, READER_RULE, Former
from tests.session_core.servers import Server
from tests.session_core.test_cli import Run, run
from tests.session_core.test_durability import pair

__all__ = ["pair", "run"]
pytestmark = pytest.mark.engine


@pytest.fixture
def former(redis: Server) -> Iterator[Former]:
    with redis.admin() as admin:
        admin.execute_command("ACL", "SETUSER", "reader", "reset", "on", f">{READER_PASSWORD}", *READER_RULE.split())
    client = redis_py.Redis(host="127.0.0.1", port=redis.port, db=1)
    yield Former(client, f"redis://reader:{READER_PASSWORD}@127.0.0.1:{redis.port}/1")
    client.close()


async def bring(former: Former, redis: Server, *, dry_run: bool = False, **settings: Any) -> Report:
    before = former.content()
    report = await Importer(settings_of_old(former.url, None), redis_settings(redis, **settings), dry_run=dry_run).run()
    assert former.content() == before
    return report


@pytest.fixture
def sessions(on_redis: Make) -> SessionManager:
    return on_redis(session_old_ids=True)


async def test_an_old_cookie_goes_on_with_its_user_its_metadata_and_the_time_it_had_left(
    former: Former, redis: Server, sessions: SessionManager
) -> None:
    cookie = former.log_in("user:alice", age=timedelta(hours=2), ttl=1800)
    report = await bring(former, redis)
    assert (report.found, report.imported) == (1, 1)

    found = await sessions.get_session(cookie)
    assert found is not None
    assert found.is_active
    assert found.user_id == "user:alice"
    assert found.metadata == {
        "ip": "192.168.1.1",
        "access_token": "very-secret",
        "username": "alice",
        "roles": ["user", "admin"],
    }
    assert found.session_id == adopted_id(cookie, "user:alice")
    assert timedelta(0) < datetime.now(UTC) - timedelta(hours=2) - found.created_at < timedelta(seconds=10)
    assert found.max_expires_at - found.created_at == timedelta(days=7)
    [listed] = await sessions.get_user_sessions("user:alice")
    assert listed.handle == found.handle
    assert "access_token" not in listed.metadata
    assert await sessions.list_active_users() == ["user:alice"]


async def test_the_time_left_is_that_of_redis(former: Former, redis: Server, on_redis: Make) -> None:
    long, short = former.log_in("alice", ttl=7200), former.log_in("alice", ttl=100, expires_at="2001-01-01T00:00:00Z")
    lasting = former.log_in("alice", ttl=None, expires_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    await bring(former, redis)
    still = on_redis(session_old_ids=True, session_sliding_window=False)
    for cookie, left in ((long, 7200), (short, 100), (lasting, 3600)):
        found = await still.get_session(cookie)
        assert found is not None
        assert abs((found.expires_at - datetime.now(UTC)).total_seconds() - left) < 5


async def test_an_imported_session_can_do_what_every_session_can(
    former: Former, redis: Server, sessions: SessionManager
) -> None:
    cookie = former.log_in("alice", ttl=600)
    await bring(former, redis)
    refreshed = await sessions.refresh_session(cookie)
    assert refreshed is not None
    assert refreshed.expires_at - datetime.now(UTC) > timedelta(hours=23)
    updated = await sessions.update_metadata(cookie, {"ip": "10.0.0.1"})
    assert updated is not None
    assert updated.metadata["ip"] == "10.0.0.1"
    assert (await sessions.inspect_session(cookie)) is not None
    assert await sessions.revoke_session(cookie, "stolen")
    after = await sessions.get_session(cookie)
    assert after is not None
    assert after.revocation is not None
    assert after.revocation.reason == "stolen"


async def test_a_rotation_retires_the_old_id(former: Former, redis: Server, sessions: SessionManager) -> None:
    cookie = former.log_in("alice")
    await bring(former, redis)
    renewed = await sessions.rotate_session(cookie, grace_seconds=1)
    assert renewed is not None
    assert cookie not in renewed.session_id
    assert renewed.metadata["access_token"] == "very-secret"
    in_grace = await sessions.get_session(cookie)
    assert in_grace is not None
    assert in_grace.handle == renewed.handle
    assert in_grace.metadata["access_token"] == "very-secret"
    await asyncio.sleep(1.1)
    assert await sessions.get_session(cookie) is None
    assert (await bring(former, redis)).already == 1
    assert await sessions.get_session(cookie) is None
    assert await sessions.get_session(renewed.session_id) is not None


async def test_old_ids_are_refused_unless_they_are_asked_for(former: Former, redis: Server, on_redis: Make) -> None:
    cookie = former.log_in("alice")
    await bring(former, redis)
    with pytest.raises(InvalidSessionId):
        await on_redis().get_session(cookie)
    accepting = on_redis(session_old_ids=True)
    assert await accepting.get_session("A" * 43) is None
    for malformed in ("A" * 42, "A" * 44, "A" * 42 + "é", ""):
        with pytest.raises(InvalidSessionId):
            await accepting.get_session(malformed)


async def test_a_second_run_changes_nothing_and_brings_nothing_back(
    former: Former, redis: Server, sessions: SessionManager
) -> None:
    ended, kept = former.log_in("alice"), former.log_in("alice")
    await bring(former, redis)
    await sessions.revoke_session(ended)
    with redis.admin() as admin:  # the end of the tombstone, a day later
        assert admin.delete(session_key(ref_of(adopted_id(ended, "alice"))))
        before = {key: admin.dump(key) for key in admin.keys("*")}
        report = await bring(former, redis)
        assert {key: admin.dump(key) for key in admin.keys("*")} == before
    assert (report.found, report.imported, report.already) == (2, 0, 2)
    assert await sessions.get_session(ended) is None
    assert await sessions.get_session(kept) is not None


async def test_a_run_that_was_cut_off_is_finished_by_the_next(
    former: Former, redis: Server, sessions: SessionManager
) -> None:
    cookie = former.log_in("alice")
    await bring(former, redis)
    note = old_ref(cookie)
    assert note is not None
    with redis.admin() as admin:  # as if it had ended between the session and its note
        assert admin.delete(session_key(note))
    assert await sessions.get_session(cookie) is None
    before = await sessions.get_user_sessions("alice")
    assert (await bring(former, redis)).imported == 1
    assert await sessions.get_user_sessions("alice") == before
    assert await sessions.get_session(cookie) is not None


async def test_a_second_try_does_not_revive_what_was_ended_in_between(
    former: Former, redis: Server, sessions: SessionManager
) -> None:
    cookie = former.log_in("alice")
    await bring(former, redis)
    note = old_ref(cookie)
    assert note is not None
    with redis.admin() as admin:
        admin.delete(session_key(note))
    await sessions.revoke_user_sessions("alice", "stolen")
    assert (await bring(former, redis)).imported == 1
    found = await sessions.get_session(cookie)
    assert found is not None
    assert not found.is_active
    assert await sessions.count_user_sessions("alice") == 0


async def test_what_cannot_be_brought_over_is_counted_by_what_is_wrong(former: Former, redis: Server) -> None:
    former.log_in("alice")
    former.log_in("alice", ttl=None, user_id=None, created_at=None)  # a hash that came back after its deletion
    former.log_in("alice", session_id="too-short-to-be-an-id-of-256-bits")
    former.log_in("alice", created_at="yesterday")
    former.log_in("alice", metadata="__import__('os').system('true')")
    former.log_in("alice", metadata=json.dumps({"blob": "x" * 20_000}))
    former.log_in("alice", metadata=b'{"a": "\xff"}')
    former.log_in("x" * 300)
    former.log_in("alice", ttl=None, expires_at="2001-01-01T00:00:00+00:00")
    former.log_in("alice", age=timedelta(days=8))
    former.client.set("session:user:alice:1", "a string of another part of the former system")
    former.client.lpush("user_sessions:alice", "gone")
    former.client.hset("session:{12}:ours", "user", "alice")
    former.client.delete("user_sessions:" + "x" * 300)
    report = await bring(former, redis)
    assert report.unreadable == {"fields": 1, "id": 1, "times": 1, "metadata": 2, "user_id": 1, "encoding": 1}
    assert (report.found, report.imported, report.expired, report.too_old) == (10, 1, 1, 1)
    assert (report.dead_entries, report.unlisted) == (1, 1)


async def test_metadata_of_the_oldest_release_is_read_and_never_run(
    former: Former, redis: Server, sessions: Any
) -> None:
    text = str({"ip": "1.2.3.4", "mfa": True, "nothing": None, "pair": (1, 2)})
    cookie = former.log_in("alice", metadata=text, roles="")
    await bring(former, redis)
    found = await sessions.get_session(cookie)
    assert found.metadata == {
        "ip": "1.2.3.4",
        "mfa": True,
        "nothing": None,
        "pair": [1, 2],
        "username": "alice",
        "roles": [],
    }


async def test_roles_in_the_metadata_give_no_rights(former: Former, redis: Server, sessions: Any) -> None:
    cookie = former.log_in("alice", metadata='{"roles": ["root"], "username": "root"}', roles="user")
    await bring(former, redis)
    found = await sessions.get_session(cookie)
    assert found.metadata == {"username": "alice", "roles": ["user"]}


@pytest.mark.parametrize("policy", ["oldest", "reject"])
async def test_the_limit_holds_for_what_is_imported(former: Former, redis: Server, on_redis: Make, policy: str) -> None:
    made = [former.log_in("alice", age=timedelta(minutes=n)) for n in range(7)]
    report = await bring(former, redis, session_max_concurrent=3, session_limit_policy=policy)
    assert (report.imported, report.evicted) == (7, 4)
    sessions = on_redis(session_old_ids=True, session_max_concurrent=3)
    found = [await sessions.get_session(cookie) for cookie in made]
    assert [one.is_active for one in found if one] == [True] * 3 + [False] * 4
    assert await sessions.count_user_sessions("alice") == await sessions.count_active_sessions() == 3
    assert {one.revocation.reason for one in found if one and one.revocation} == {"session limit"}


async def test_a_dead_session_takes_nobody_s_place(former: Former, redis: Server, on_redis: Make) -> None:
    sessions = on_redis(session_old_ids=True)
    await sessions.create_session("alice")
    await sessions.create_session("alice", ttl_seconds=1)
    cookie = former.log_in("alice", age=timedelta(hours=1))
    await asyncio.sleep(1.1)
    report = await bring(former, redis, session_max_concurrent=2)
    assert (report.imported, report.evicted) == (1, 0)
    found = await sessions.get_session(cookie)
    assert found is not None
    assert found.is_active


async def test_imports_are_confirmed_by_replicas_also_when_they_are_repeated(pair: tuple[Server, Server]) -> None:
    primary, replica = pair
    with redis_py.Redis(host="127.0.0.1", port=primary.port, db=1) as client:
        former = Former(client, f"redis://127.0.0.1:{primary.port}/1")
        cookie = former.log_in("alice")
        assert (await bring(former, primary, session_wait_replicas=1)).unconfirmed == 0
        again = ImportedSession(ref_of(adopted_id(cookie, "alice")), "alice", 1, 1, b"{}", b"", b"", "v", 1, 1, 1)
        link = Link(redis_settings(primary, session_wait_replicas=1))
        replica.docker("pause")
        try:
            call = protocol.import_session(again, Limit(0, "oldest"), Burial(1, 1))
            assert await link.ask_durably(call) == (("known", 0), False)
            former.log_in("alice")
            report = await bring(former, primary, session_wait_replicas=1)
        finally:
            replica.docker("unpause")
            await link.aclose()
        assert (report.imported, report.already, report.unconfirmed) == (1, 1, 1)


async def test_the_streams_tell_of_what_was_imported(former: Former, redis: Server, sessions: SessionManager) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    former.log_in("alice")
    await bring(former, redis)
    async with asyncio.timeout(5):
        event = await anext(sessions.events(before))
    assert (event.kind, event.user_id, event.reason) == ("created", "alice", "imported")


async def test_a_login_from_the_future_is_a_login_of_now(former: Former, redis: Server, sessions: Any) -> None:
    later = (datetime.now(UTC) + timedelta(hours=5)).isoformat()
    cookie = former.log_in("alice", age=timedelta(hours=-5), ttl=7200, last_accessed=later)
    await bring(former, redis)
    found = await sessions.get_session(cookie)
    assert abs(found.created_at - datetime.now(UTC)) < timedelta(seconds=5)
    assert abs(found.last_seen_at - datetime.now(UTC)) < timedelta(seconds=5)


async def test_a_dry_run_writes_nothing(former: Former, redis: Server) -> None:
    former.log_in("alice")
    former.log_in("bob", age=timedelta(days=8))
    with redis.admin() as admin:
        before = admin.keys("*")
        report = await bring(former, redis, dry_run=True)
        assert admin.keys("*") == before
    assert (report.found, report.imported, report.too_old) == (2, 1, 1)
    assert "dry run" in "\n".join(report.lines())


async def test_no_old_id_is_stored_and_the_keys_are_the_declared_ones(former: Former, redis: Server) -> None:
    cookies = [former.log_in("alice") for _ in range(5)]
    await bring(former, redis)
    with redis.admin() as admin:
        keys = admin.keys("*")
        stored = b"".join([*keys, *(admin.dump(key) or b"" for key in keys)])
        notes = [key for key in keys if b":old:" in key]
        assert len(notes) == 5
        lasting = {key.partition(b"{")[0] for key in keys if admin.pttl(key) == -1}
        assert lasting == {b"session_index:", b"session_events:", b"session_meta"}
    assert not any(cookie.encode() in stored for cookie in [*cookies, "very-secret"])


async def test_many_sessions_of_many_users_arrive(former: Former, redis: Server, sessions: SessionManager) -> None:
    for n in range(600):  # more than one page
        former.log_in(f"user:{n % 100}")
    report = await bring(former, redis)
    assert report.imported == report.found == 600
    assert await sessions.count_active_sessions() == 600
    assert await sessions.count_active_users() == 100


async def test_the_command_reports_to_people_and_to_programs(former: Former, run: Run) -> None:
    former.log_in("alice")

    def check() -> None:
        people = run("import", "--from", former.url, "--dry-run")
        assert people.returncode == 0, people.stderr
        assert people.stdout.startswith("1 sessions found\n")
        assert "1 would be imported" in people.stdout
        done = json.loads(run("import", "--from", "-", "--json", stdin=former.url + "\n").stdout)
        assert (done["found"], done["imported"], done["dry_run"], done["unreadable"]) == (1, 1, False, {})
        refused = run("import", "--from", former.url.replace(READER_PASSWORD, "wrong-password"))
        assert refused.returncode == 1
        assert "the old database" in refused.stderr
        assert "wrong-password" not in refused.stderr
        assert refused.stderr.count("\n") == 1

    await asyncio.to_thread(check)


def test_the_old_database_takes_no_credentials_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_USERNAME", "sessions")
    monkeypatch.setenv("REDIS_PASSWORD", "for-the-new-one")
    monkeypatch.setenv("REDIS_SSL", "true")
    monkeypatch.setenv("REDIS_ADDRESS_MAP", "*=127.0.0.1")
    old = settings_of_old("redis://old:6379/1", None)
    assert (old.redis_username, old.redis_password.get_secret_value(), old.wait_replicas) == ("", "", 0)
    assert (old.tls, old.redis_address_map) == (False, "")
    with pytest.raises(SettingsError):
        settings_of_old("old:6379", None)


@pytest.mark.parametrize("text", ["[1]", "{'a': 1 + 1}", "{'a': open('x')}", "{" * 5000, '{"a": NaN}', "{'a': {1}}"])
def test_what_is_no_mapping_of_literals_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableError, match="metadata"):
        parse({"user_id": "alice", "created_at": "2026-01-01T00:00:00Z", "metadata": text})


def test_times_without_a_zone_are_utc() -> None:
    assert parse({"user_id": "a", "created_at": "2026-01-01T00:00:00"}).created == 1767225600000


async def test_the_service_lets_an_old_cookie_in(former: Former, redis: Server) -> None:
    cookie = former.log_in("alice")
    await bring(former, redis)
    for accepted in (True, False):
        settings = ServiceSettings(
            session_admin_token="x" * 32,
            session_cookie_name="session_id",
            session_old_ids=accepted,
            redis_url=redis.url,
            redis_username="sessions",
            redis_password=APP_PASSWORD,
        )
        app = make_app(settings)
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="https://sessions.test") as client,
        ):
            answer = await client.get("/v1/verify", headers={"Cookie": f"session_id={cookie}"})
            assert answer.status_code == (200 if accepted else 401)
            assert answer.headers.get("X-Session-User") == ("alice" if accepted else None)
