"""The memory back end as the model of Redis: both are told the same, and have to answer the same, times included.

Time passes for real, on the server: sessions live for some tens of milliseconds. The model has no clock of its own;
it is given the server's time of each answer. So what is right never depends on how fast the machine is.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from session_core import Settings, protocol
from session_core.ids import Ref, bucket_of, new_session_id, ref_of
from session_core.memory import MemoryStore
from session_core.protocol import ALWAYS, Call, event_keys
from session_core.records import Answer, NewSession, Note, Rotation, Update, UserRevocation
from session_core.redis_store import RedisStore
from session_core.store import Store

T = TypeVar("T")
USERS: Final = ("alice", "bob")
LONG_MS: Final = 3_600_000
TTLS: Final = st.sampled_from([LONG_MS, 40, 120, LONG_MS])
PICK: Final = st.integers(0, 11)
"""Which of the ids, `Sessions._pick`."""
TWICE: Final = st.sampled_from([False, False, True])
"""The same words once more, as after a lost reply."""
NOTES: Final = st.sampled_from([Note(), Note("stolen", "admin")])


class Clockless(MemoryStore):
    """The model: it is whatever time it is told."""

    at = 0

    async def now(self, user_id: str | None = None) -> int:
        return self.at


class Sessions(RuleBasedStateMachine):
    """Attributes: `steps` counts those of all machines together."""

    steps = 0

    def __init__(self, settings: Callable[..., Settings], empty: Callable[[], object]) -> None:
        super().__init__()
        self._settings = settings
        empty()
        self._runner = asyncio.Runner()
        self._logins: list[NewSession] = []
        self._refs: list[Ref] = []
        self._versions = 0

    @initialize(limit=st.sampled_from([2, 0, 1, 3]), policy=st.sampled_from(["oldest", "idle", "reject"]))
    def start(self, limit: int, policy: str) -> None:
        chosen = {"session_max_concurrent": limit, "session_limit_policy": policy}
        self._model = Clockless(Settings(session_backend="memory", **chosen))
        self._real = RedisStore(self._settings(**chosen))

    def teardown(self) -> None:
        if hasattr(self, "_real"):
            self._compare_events()
            self._run(self._real.aclose())
        self._runner.close()

    @rule(user=st.sampled_from(USERS), ttl=TTLS, lives=st.sampled_from([1, 2, 1000]), secret=st.booleans())
    def log_in(self, user: str, ttl: int, lives: int, *, secret: bool) -> None:
        self._log_in(user, ttl, lives, secret=secret)

    @precondition(lambda self: self._logins)
    @rule(pick=st.integers(1, 4))
    def log_in_again_as_after_a_lost_reply(self, pick: int) -> None:
        new = self._logins[-min(pick, len(self._logins))]
        self._both(lambda store: _first(store.create(new)))

    @rule(pick=PICK, threshold=st.sampled_from([ALWAYS, 20, LONG_MS, 10 * LONG_MS]))
    def refresh(self, pick: int, threshold: int) -> None:
        ref = self._pick(pick)
        self._both(lambda store: store.refresh(ref, threshold))

    @rule(pick=PICK, note=NOTES)
    def revoke(self, pick: int, note: Note) -> None:
        ref = self._pick(pick)
        self._both(lambda store: _first(store.revoke(ref, note)))

    @rule(user=st.sampled_from(USERS), age=st.sampled_from([0, 0, 30]), spare=PICK, note=NOTES)
    def revoke_all(self, user: str, age: int, spare: int, note: Note) -> None:
        cutoff = self._run(self._real.now()) - age
        spared = self._pick(spare) if spare % 2 else Ref(0, "")
        digest = spared.digest if spared.bucket == bucket_of(user) else ""
        what = UserRevocation(user, cutoff, digest, note)
        words = protocol.revoke_user(what, self._real.burial).words
        reply: Any = self._run(self._real.link.ask(Call(words, lambda reply, _now: reply, writes=True)))
        self._model.at, gone = reply[1], tuple(digest.decode() for digest in reply[2])
        assert (gone, False) == self._run(self._model.revoke_user(what))

    @rule(
        pick=PICK, grace=st.sampled_from([0, 20, LONG_MS]), rewrap=st.booleans(), guess=st.integers(0, 5), twice=TWICE
    )
    def rotate(self, pick: int, grace: int, guess: int, *, rewrap: bool, twice: bool) -> None:
        old = self._pick(pick)
        new = ref_of(new_session_id(USERS[0] if old.bucket == bucket_of(USERS[0]) else USERS[1]))
        expected = self._known_version(old) if guess else "wrong"
        what = Rotation(old, new, expected, self._version(), b"rewrapped" if rewrap else b"", grace)
        self._refs.append(new)
        for _ in range(1 + twice):
            self._both(lambda store: _first(store.rotate(what)))

    @rule(
        pick=PICK,
        guess=st.integers(0, 5),
        sealed=st.sampled_from([b"", b"\xffnew"]),
        wrap=st.sampled_from([b"", b"other"]),
        twice=TWICE,
    )
    def update(self, pick: int, guess: int, sealed: bytes, wrap: bytes, *, twice: bool) -> None:
        ref, version = self._pick(pick), self._version()
        expected = self._known_version(ref) if guess else "wrong"
        what = Update(ref, expected, version, f'{{"n":"{version}"}}'.encode(), sealed, wrap)
        for _ in range(1 + twice):
            self._both(lambda store: _first(store.update(what)))

    @rule(milliseconds=st.sampled_from([0, 0, 1, 15]))
    def let_time_pass(self, milliseconds: int) -> None:
        """0: until the next end, if it is near."""
        ends = [end for end in self._model._gone_at.values() if end > self._model.at]
        left = min(ends, default=self._model.at + LONG_MS) - time.time_ns() // 1_000_000
        time.sleep((milliseconds or (0 < left < 150) * left) / 1000 + 0.001)

    @invariant()
    def everything_reads_the_same(self) -> None:
        if not hasattr(self, "_real"):
            return
        type(self).steps += 1
        for ref in self._refs[-6:]:
            self._both(lambda store, ref=ref: store.read(ref))  # type: ignore[misc]
        # These come without a time: right is what the model says at a moment in between.
        first = self._run(self._real.now())
        real = self._run(_overview(self._real))
        moments = range(first, self._run(self._real.now()) + 1)
        said = []
        for self._model.at in moments:
            said.append(self._run(_overview(self._model)))
        for number, answer in enumerate(real):
            assert answer in [one[number] for one in said]

    def _compare_events(self) -> None:
        begin = dict.fromkeys(event_keys(), "0-0")
        for user in USERS:
            key = event_keys()[bucket_of(user)]
            told = [
                [entry.fields for entry in self._run(store.events(begin, 1)) if entry.key == key]
                for store in (self._real, self._model)
            ]
            assert told[0] == told[1]

    def _both(self, ask: Callable[[Store], Coroutine[Any, Any, Answer]]) -> None:
        """Ask Redis, then the model at the moment that Redis answered."""
        real = self._run(ask(self._real))
        self._model.at = real.now
        model = self._run(ask(self._model))
        assert real == model, f"Redis: {real}; the model: {model}"

    def _pick(self, pick: int) -> Ref:
        """One of the latest ids; mostly of those that live, where something can go wrong."""
        known = [(ref, self._model._load(ref, self._model.at)) for ref in self._refs]
        living = [ref for ref, record in known if record is not None and record.revoked is None]
        if not living and (pick < 9 or not self._refs):
            living = [self._log_in(USERS[pick % 2], LONG_MS)]
        pool = living if pick < 9 else self._refs
        return pool[-1 - pick % min(len(pool), 3)]

    def _log_in(self, user: str, ttl: int, lives: int = 2, *, secret: bool = False) -> Ref:
        ref = ref_of(new_session_id(user))
        sealed, wrap = (b"\x00sealed", b"wrap") if secret else (b"", b"")
        new = NewSession(ref, user, ttl, min(lives * ttl, 2 * LONG_MS), b'{"n":1}', sealed, wrap, self._version())
        self._logins.append(new)
        self._refs.append(ref)
        self._both(lambda store: _first(store.create(new)))
        return ref

    def _known_version(self, ref: Ref) -> str:
        record = self._model._records.get(ref)
        while record is not None and record.successor:
            record = self._model._records.get(Ref(ref.bucket, record.successor))
        return record.version if record is not None else ""

    def _version(self) -> str:
        self._versions += 1
        return f"v{self._versions}"

    def _run(self, asked: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(asked)


async def _first(asked: Coroutine[Any, Any, tuple[Answer, bool]]) -> Answer:
    answer, durable = await asked
    assert not durable
    return answer


async def _overview(store: Store) -> list[object]:
    _, users = await store.users(0, 1000)
    found: list[object] = [sorted(users), await store.count_users(), await store.count()]
    for user in USERS:
        found += [await store.list_user(user), await store.count(user)]
    return found
