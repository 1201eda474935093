"""What the functions do with states that no call of ours brings about: keys that the server evicted, a long backlog."""

import asyncio
from itertools import pairwise
from string import ascii_lowercase, ascii_uppercase, digits

import pytest

from session_core import library, protocol, scripts
from session_core.ids import BUCKETS, Ref, adopted_id, bucket_of, new_session_id, ref_of
from session_core.link import Link
from session_core.protocol import session_key
from session_core.records import (
    Burial,
    ImportedSession,
    Limit,
    NewSession,
    Note,
    Rotation,
    Update,
    UserRevocation,
)
from tests.session_core.conftest import Make, redis_settings
from tests.session_core.servers import Server

pytestmark = pytest.mark.engine
ALICE = bucket_of("alice")


async def test_a_session_that_the_server_evicted_takes_up_no_place(on_redis: Make, redis: Server) -> None:
    sessions = on_redis(session_max_concurrent=2)
    gone, kept = [await sessions.create_session("alice") for _ in range(2)]
    with redis.admin() as admin:
        admin.delete(protocol.session_key(ref_of(gone.session_id)))
    assert [one.handle for one in await sessions.get_user_sessions("alice")] == [kept.handle]
    assert (await sessions.create_session("alice")).evicted == ()
    assert await sessions.count_user_sessions("alice") == 2


async def test_nothing_of_a_dead_record_that_is_still_there_gets_into_a_new_session(
    on_redis: Make, redis: Server
) -> None:
    ref = ref_of(new_session_id("alice"))
    dead = {"user": "alice", "expires": 1, "next": "successor", "evicted": "others", "sealed": "s", "wrap": "w"}
    with redis.admin() as admin:
        admin.hset(protocol.session_key(ref), mapping=dead)
    new = NewSession(ref, "alice", 1000, 2000, b"{}", b"", b"", "v")
    store = on_redis()._store
    answer, _ = await store.create(new)
    for record in (answer.record, (await store.read(ref)).record):
        assert record is not None
        assert (record.successor, record.evicted, record.sealed, record.wrap) == ("", (), b"", b"")


async def test_in_the_very_millisecond_of_its_end_a_session_is_dead(redis: Server) -> None:
    at_its_end = """
    local session, set, user = KEYS[1], KEYS[2], KEYS[3]
    local now = now_ms() -- it does not move while a script runs
    redis.call('HSET', session, 'user', 'alice', 'expires', now)
    redis.call('ZADD', set, now, 'x')
    redis.call('ZADD', user, now, 'x')
    local found = {load(session, now) and 'read' or '', #FUNCTIONS.session_listing_v1({user}),
      FUNCTIONS.session_count_v1({set}), #FUNCTIONS.session_users_v1({set}, {9})[2]}
    redis.call('HSET', session, 'expires', now + 1)
    redis.call('ZADD', set, now + 1, 'x')
    found[5], found[6] = FUNCTIONS.session_count_v1({set}), #FUNCTIONS.session_users_v1({set}, {9})[2]
    found[7], found[8] = load(session, now) and 'read' or '', #FUNCTIONS.session_listing_v1({user})
    return found"""
    library_as_script = scripts._HEAD.format(flags="") + library.source().partition("\n")[2]
    with redis.admin() as admin:
        keys = ("session:{1}:x", "session_index:{1}", "user_sessions:{1}:alice")
        found = admin.eval(library_as_script + at_its_end, len(keys), *keys)
    assert found == [b"", 0, 0, 0, 1, 1, b"read", 2]


async def test_revoke_all_goes_on_after_a_session_that_the_server_evicted(on_redis: Make, redis: Server) -> None:
    sessions = on_redis()
    gone, kept = [await sessions.create_session("alice") for _ in range(2)]
    with redis.admin() as admin:
        admin.delete(protocol.session_key(ref_of(gone.session_id)))
    assert (await sessions.revoke_user_sessions("alice")).handles == (kept.handle,)
    assert await sessions.count_user_sessions("alice") == 0
    assert await sessions.list_active_users() == []


@pytest.mark.parametrize("lost", ["user_sessions", "user_expiry"])
async def test_log_out_everywhere_and_the_list_find_what_one_of_the_two_sets_still_names(
    on_redis: Make, redis: Server, lost: str
) -> None:
    sessions = on_redis()
    made = [await sessions.create_session("alice") for _ in range(3)]
    with redis.admin() as admin:
        [key] = admin.keys(f"{lost}:*")
        admin.delete(key)
    made.append(await sessions.create_session("alice"))
    handles = sorted(one.handle for one in made)
    assert sorted(one.handle for one in await sessions.get_user_sessions("alice")) == handles
    assert sorted((await sessions.revoke_user_sessions("alice")).handles) == handles
    for one in made:
        found = await sessions.get_session(one.session_id)
        assert found is not None
        assert not found.is_active


@pytest.mark.parametrize("policy", ["oldest", "idle"])
async def test_the_limit_holds_although_the_server_evicted_the_order_of_logins(
    on_redis: Make, redis: Server, policy: str
) -> None:
    sessions = on_redis(session_max_concurrent=2, session_limit_policy=policy)
    made = [await sessions.create_session("alice", ttl_seconds=100 + n) for n in range(2)]
    with redis.admin() as admin:
        admin.delete(protocol.user_key("alice"))
    assert (await sessions.create_session("alice")).evicted == (made[0].handle,)
    assert await sessions.count_user_sessions("alice") == 2


async def test_of_equally_idle_sessions_the_older_one_goes(on_redis: Make, redis: Server) -> None:
    sessions = on_redis(session_max_concurrent=9, session_limit_policy="idle")
    made = [await sessions.create_session("alice") for _ in range(9)]
    with redis.admin() as admin:
        for session in made:
            admin.hset(protocol.session_key(ref_of(session.session_id)), "seen", 1)
    for session in made:
        assert (await sessions.create_session("alice")).evicted == (session.handle,)


async def test_of_several_that_have_to_go_the_oldest_goes_first_whoever_was_seen_last(on_redis: Make) -> None:
    many, few = on_redis(), on_redis(session_max_concurrent=1)
    made = [await many.create_session("alice") for _ in range(3)]
    await asyncio.sleep(0.002)
    await many.refresh_session(made[0].session_id)
    assert (await few.create_session("alice")).evicted == tuple(one.handle for one in made)


async def test_of_several_that_are_equally_idle_the_older_ones_go(on_redis: Make, redis: Server) -> None:
    many, few = on_redis(), on_redis(session_max_concurrent=6, session_limit_policy="idle")
    made = [await many.create_session("alice") for _ in range(12)]
    with redis.admin() as admin:
        for session in made:
            admin.hset(protocol.session_key(ref_of(session.session_id)), "seen", 1)
    assert (await few.create_session("alice")).evicted == tuple(one.handle for one in made[:7])


async def test_what_a_session_does_not_have_takes_up_no_memory(on_redis: Make, redis: Server) -> None:
    session = await on_redis().create_session("alice")
    with redis.admin() as admin:
        assert b"" not in admin.hvals(protocol.session_key(ref_of(session.session_id)))


async def test_a_login_clears_any_number_of_the_users_expired_sessions(on_redis: Make, redis: Server) -> None:
    sessions = on_redis()
    with redis.admin() as admin:
        for key in (protocol.expiry_key("alice"), protocol.user_key("alice")):
            admin.zadd(key, {f"old-{n}": 1000 + n for n in range(2500)})
        await sessions.create_session("alice")
        assert admin.zcard(protocol.expiry_key("alice")) == 1
        assert admin.zcard(protocol.user_key("alice")) == 1


async def test_one_login_in_eight_clears_some_of_what_expired_in_its_bucket(on_redis: Make, redis: Server) -> None:
    store = on_redis()._store
    indexes = (f"session_index:{{{ALICE}}}", f"session_index:{{{ALICE}}}:users")
    refs = [Ref(ALICE, f"{first}{'a' * 42}") for first in ascii_uppercase + ascii_lowercase + digits + "-_"]
    with redis.admin() as admin:
        for key in indexes:
            admin.zadd(key, {f"old-{n}": 1000 + n for n in range(64 * 10)})
        cleared, before = 0, admin.zcard(indexes[0])
        for ref in refs:  # one for each character that a digest can begin with
            await store.create(NewSession(ref, "alice", 60_000, 60_000, b"{}", b"", b"", "v"))
            dead = [admin.zcount(key, 0, 2000) for key in indexes]
            assert dead[0] == dead[1]
            assert before - dead[0] in {0, 64}
            cleared += dead[0] != before
            before = dead[0]
    assert cleared == 8
    assert before == 64 * 2


async def test_a_page_of_users_is_about_as_long_as_was_asked_for(on_redis: Make) -> None:
    sessions = on_redis()
    for number in range(40):
        await sessions.create_session(f"user-{number}")
    per_bucket = [sum(bucket_of(f"user-{n}") == bucket for n in range(40)) for bucket in range(BUCKETS)]
    first, second = [bucket for bucket, users in enumerate(per_bucket) if users][:2]
    looked_at, users = await sessions._store.users(0, per_bucket[first])
    assert (looked_at, len(users)) == (first + 1, per_bucket[first])
    looked_at, users = await sessions._store.users(0, per_bucket[first] + 1)
    assert looked_at == second + 1
    assert await sessions._store.users(0, 0) == (1, [f"user-{n}" for n in range(40) if bucket_of(f"user-{n}") == 0])


async def test_a_repeated_rotation_answers_the_same_also_when_the_session_has_ended_since(on_redis: Make) -> None:
    store = on_redis()._store
    old, new = (ref_of(new_session_id("alice")) for _ in range(2))
    await store.create(NewSession(old, "alice", 60_000, 120_000, b"{}", b"", b"", "v1"))
    what = Rotation(old, new, "v1", "v2", b"", 10_000)
    first, _ = await store.rotate(what)
    again, _ = await store.rotate(what)
    assert (first.code, first.record) == ("ok", again.record)
    await store.revoke(new, Note("stolen"))
    ended, _ = await store.rotate(what)
    assert ended.record is not None
    assert (ended.code, ended.record.reason) == ("revoked", "stolen")


async def test_what_was_revoked_between_the_two_steps_is_neither_rotated_nor_changed(on_redis: Make) -> None:
    store = on_redis()._store
    old, new = (ref_of(new_session_id("alice")) for _ in range(2))
    await store.create(NewSession(old, "alice", 60_000, 120_000, b"{}", b"", b"", "v1"))
    await store.revoke(old, Note("stolen"))
    for answer, _ in (
        await store.rotate(Rotation(old, new, "v1", "v2", b"", 10_000)),
        await store.update(Update(old, "v1", "v2", b"{}", b"", b"")),
    ):
        assert answer.record is not None
        assert (answer.code, answer.record.reason) == ("revoked", "stolen")


async def test_a_change_that_comes_again_behind_sixteen_of_others_is_known_and_no_later_one(on_redis: Make) -> None:
    store, ref = on_redis()._store, ref_of(new_session_id("alice"))
    versions = [f"version{number:02}" for number in range(19)]
    changes = [
        Update(ref, before, after, b'{"at": "%s"}' % after.encode(), b"", b"") for before, after in pairwise(versions)
    ]
    await store.create(NewSession(ref, "alice", 60_000, 120_000, b"{}", b"", b"", versions[0]))
    for change in changes[:17]:
        assert (await store.update(change))[0].code == "ok"
    again = (await store.update(changes[0]))[0]
    assert again.record is not None
    assert (again.code, again.record.meta) == ("ok", changes[16].meta)
    assert (await store.update(changes[17]))[0].code == "ok"
    assert (await store.update(changes[0]))[0].code == "stale"


async def test_what_ended_between_the_two_steps_is_missing(on_redis: Make) -> None:
    store = on_redis()._store
    old, new = (ref_of(new_session_id("alice")) for _ in range(2))
    assert (await store.rotate(Rotation(old, new, "v1", "v2", b"", 10_000)))[0].code == "missing"
    assert (await store.update(Update(old, "v1", "v2", b"{}", b"", b"")))[0].code == "missing"


async def test_a_login_in_the_first_instant_after_the_cut_off_is_spared(on_redis: Make, redis: Server) -> None:
    store = on_redis()._store
    refs = [ref_of(new_session_id("alice")) for _ in range(2)]
    for ref in refs:
        await store.create(NewSession(ref, "alice", 60_000, 120_000, b"{}", b"", b"", "v1"))
    cutoff = await store.now()
    with redis.admin() as admin:
        for ref, created in zip(refs, (f"{cutoff}.999", cutoff + 1), strict=True):
            admin.hset(protocol.session_key(ref), "created", created)
    gone, _ = await store.revoke_user(UserRevocation("alice", cutoff, "", Note()))
    assert gone == (refs[0].digest,)


async def test_what_has_no_time_left_is_not_imported_and_nothing_empty_is_stored(redis: Server) -> None:
    refs = [ref_of(adopted_id(name * 43, "alice")) for name in "ab"]
    link = Link(redis_settings(redis))
    for ref, left, told in ((refs[0], 0, ("missing", 0)), (refs[1], 60_000, ("ok", 0))):
        new = ImportedSession(ref, "alice", 60_000, 2**45, b"{}", b"", b"", "v", 1, 1, left)
        assert await link.ask(protocol.import_session(new, Limit(0, "oldest"), Burial(60_000, 10))) == told
    await link.aclose()
    with redis.admin() as admin:
        assert not admin.exists(session_key(refs[0]))
        assert b"" not in admin.hvals(session_key(refs[1]))
