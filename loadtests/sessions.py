"""The operations of one load user on sessions in Redis, each checked against what was written."""

import random
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

from loadtests.client import Client
from loadtests.workloads import Workload
from session_core import protocol
from session_core.ids import Ref, new_session_id, ref_of
from session_core.records import Answer, Burial, Limit, NewSession, Note, UserRevocation
from session_core.settings import Settings

METADATA: Final = b'{"device": "load test", "agent": "%s"}' % (b"x" * 250)
TOMBSTONE_MS: Final = 60_000
"""Short: what a load test revokes is of no use to anybody afterwards."""
EVENTS: Final = 400
CLOCK_MS: Final = 50
"""How far the clocks of two servers may be apart: after a failover another one decides what has expired."""


class WrongAnswerError(Exception):
    """An answer contradicts what was written; the message says how, without an id that opens a session."""


@dataclass(slots=True)
class Known:
    """A session as we have written it."""

    ref: Ref
    user: str
    version: str
    expires: int
    """Milliseconds of the server's clock, not counting extensions: those are not confirmed by a replica."""
    durable: bool


@dataclass(slots=True)
class LoadUser:
    """Creates, reads, extends and ends the sessions of some users that nobody else uses."""

    client: Client
    workload: Workload
    settings: Settings
    run: str = field(default_factory=lambda: uuid4().hex[:12])
    live: list[Known] = field(default_factory=list)
    ended: list[Known] = field(default_factory=list)
    unconfirmed: int = 0

    def prepare(self) -> None:
        """Log in before the clock runs."""
        for _ in range(self.workload.prepared):
            self.create()

    def do(self, operation: str) -> None:
        """Do one operation of the workload.

        Raises:
            WrongAnswerError: the answer contradicts what was written.
            RedisError: refused or not answered.
        """
        if self.workload.reconnects:
            self.client.close()
        if operation == "create" or not self.live:
            self.create()
        else:
            {"validate": self.validate, "touch": self.touch, "revoke": self.revoke}[operation]()

    def create(self) -> None:
        """Log a user in; at the limit, exactly the sessions that we know of may have to go."""
        user = self._someone()
        session_id = new_session_id(user)
        ref, version = ref_of(session_id), uuid4().hex
        ttl = self.workload.ttl_seconds
        new = NewSession(
            ref,
            user,
            ttl * 1000,
            max(ttl, self.settings.session_max_lifetime_seconds) * 1000,
            METADATA,
            b"",
            b"",
            version,
        )
        limit = Limit(self.settings.session_max_concurrent, self.settings.session_limit_policy)
        answer, durable = self.client.ask_durably(protocol.create(new, limit, Burial(TOMBSTONE_MS, EVENTS)))
        self.unconfirmed += not durable
        if answer.record is None:
            return  # the policy `reject` at the limit
        known = Known(ref, user, version, answer.record.expires, durable)
        _same(answer, known)
        for digest in answer.record.evicted:
            self._evicted(digest)
        self.live.append(known)

    def validate(self) -> None:
        """Read a session that lives, or one that was ended: it must not answer as one that lives."""
        if self.ended and random.random() < 0.05:  # noqa: S311, PLR2004 - a twentieth of the reads
            known = random.choice(self.ended)  # noqa: S311
            if self.client.ask(protocol.read(known.ref)).code == "ok":
                raise WrongAnswerError("a session that was ended answers as one that lives")
            return
        known = random.choice(self.live)  # noqa: S311
        self._judge(known, self.client.ask(protocol.read(known.ref)))

    def touch(self) -> None:
        """Extend a session."""
        known = random.choice(self.live)  # noqa: S311
        self._judge(known, self.client.ask(protocol.refresh(known.ref, protocol.ALWAYS)))

    def revoke(self) -> None:
        """End a session."""
        known = random.choice(self.live)  # noqa: S311
        note = Note("load test")
        answer, durable = self.client.ask_durably(protocol.revoke(known.ref, note, Burial(TOMBSTONE_MS, EVENTS)))
        self.unconfirmed += not durable
        self.live.remove(known)
        if durable:
            self.ended = [*self.ended[-99:], known]
        if answer.record is None or answer.record.revoked is None:
            _gone(known, answer)

    def clean(self) -> None:
        """End whatever is left of our users."""
        now = self.client.ask(protocol.clock())
        for user in {known.user for known in self.live}:
            what = UserRevocation(user, now, "", Note("load test"))
            self.client.ask(protocol.revoke_user(what, Burial(TOMBSTONE_MS, EVENTS)))

    def _someone(self) -> str:
        [rank] = random.choices(range(self.workload.users_each), cum_weights=self.workload.weights)  # noqa: S311
        return f"load-{self.run}-{rank}"

    def _judge(self, known: Known, answer: Answer) -> None:
        if answer.code == "ok":
            _same(answer, known)
        else:
            self.live.remove(known)
            _gone(known, answer)

    def _evicted(self, digest: str) -> None:
        gone = [known for known in self.live if known.ref.digest == digest]
        if not gone:
            raise WrongAnswerError("a session was evicted that we have not written, or have ended")
        self.live.remove(gone[0])


def _gone(known: Known, answer: Answer) -> None:
    if known.durable and answer.now < known.expires - CLOCK_MS:
        raise WrongAnswerError(f"a session that lives is not there: {answer.code}")


def _same(answer: Answer, known: Known) -> None:
    record = answer.record
    if record is None or (record.user, record.version, record.meta) != (known.user, known.version, METADATA):
        raise WrongAnswerError("the session is not the one that was written")
