"""The operations of one load user, each checked against what was written."""

import random
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

from loadtests.level import Found, Known, Level, RefusedError
from loadtests.workloads import Workload

CLOCK_MS: Final = 50
"""How far the clocks of two servers may be apart: after a failover another one decides what has expired."""
ENDED_KEPT: Final = 100
ENDED_SHARE: Final = 0.05
"""Of the reads: of sessions that were ended."""


class WrongAnswerError(Exception):
    """An answer contradicts what was written; the message says how, without what opens a session."""


class LostError(WrongAnswerError):
    """A session that was acknowledged, and should live, is not there."""


@dataclass(slots=True)
class LoadUser:
    """Creates, reads, extends and ends the sessions of some users that nobody else uses."""

    level: Level
    workload: Workload
    run: str = field(default_factory=lambda: uuid4().hex[:12])
    live: list[Known] = field(default_factory=list)
    ended: list[Known] = field(default_factory=list)
    doubtful: set[str] = field(default_factory=set)
    """Names of sessions that may live or not: what ended them was not confirmed."""
    unanswered: set[str] = field(default_factory=set)
    """Users one of whose logins was not answered: of such a session we know no name."""
    unconfirmed: int = 0
    lost: int = 0
    """Acknowledged sessions that `audit` has not found."""

    def prepare(self) -> None:
        """Log in before the clock runs."""
        for _ in range(self.workload.prepared):
            self.create()

    def do(self, operation: str) -> None:
        """Do one operation of the workload.

        Raises:
            WrongAnswerError: the answer contradicts what was written.
            RefusedError: refused or not answered.
        """
        if self.workload.reconnects:
            self.level.close()
        if operation == "create" or not self.live:
            self.create()
        else:
            {"validate": self.validate, "touch": self.touch, "revoke": self.revoke}[operation]()

    def create(self) -> None:
        """Log a user in; at the limit, exactly the sessions that we know of may have to go."""
        user = self._someone()
        answered = False
        try:
            created = self.level.create(user, uuid4().hex, self.workload.ttl_seconds)
            answered = True
        except RefusedError as error:
            answered = error.kind == "full"
            raise
        finally:  # also if the run ends in the middle of it
            if not answered:
                self._doubt(user)
        if created is None:
            return  # the policy `reject` at the limit
        self.unconfirmed += not created.session.durable
        for name in created.evicted:
            self._evicted(name, created.session)
        self.live.append(created.session)
        if not created.same:
            raise WrongAnswerError("the session is not the one that was asked for")

    def validate(self) -> None:
        """Read a session that lives, or one that was ended: it must not answer as one that lives."""
        if self.ended and random.random() < ENDED_SHARE:  # noqa: S311
            if self.level.read(random.choice(self.ended)).alive:  # noqa: S311
                raise WrongAnswerError("a session that was ended answers as one that lives")
            return
        known = random.choice(self.live)  # noqa: S311
        self._judge(known, self.level.read(known))

    def touch(self) -> None:
        """Use a session."""
        known = random.choice(self.live)  # noqa: S311
        self._judge(known, self.level.touch(known))

    def revoke(self) -> None:
        """End a session."""
        known = random.choice(self.live)  # noqa: S311
        self.live.remove(known)
        self.doubtful.add(known.name)
        found, durable = self.level.revoke(known)
        self.unconfirmed += not durable
        if durable:
            self.doubtful.discard(known.name)
            self.ended = [*self.ended[1 - ENDED_KEPT :], known]
        if not found.alive:
            _lost_unless_expired(known, found)

    def audit(self) -> None:
        """Read all sessions that should live, and count the acknowledged ones that do not."""
        for known in list(self.live):
            try:
                self._judge(known, self.level.read(known))
            except WrongAnswerError:
                self.lost += 1

    def clean(self) -> None:
        """End whatever is left of our users."""
        for user in {known.user for known in self.live} | self.unanswered:
            self.level.end_all(user)

    def _someone(self) -> str:
        [rank] = random.choices(range(self.workload.users_each), cum_weights=self.workload.weights)  # noqa: S311
        return f"load-{self.run}-{rank}"

    def _judge(self, known: Known, found: Found) -> None:
        if not found.alive:
            self.live.remove(known)
            _lost_unless_expired(known, found)
        elif not found.same:
            raise WrongAnswerError("the session is not the one that was written")

    def _evicted(self, name: str, by: Known) -> None:
        gone = [known for known in self.live if known.name == name]
        if not gone and name not in self.doubtful and by.user not in self.unanswered:
            raise WrongAnswerError("a session was evicted that we have not written, or have ended")
        for known in gone:
            self.live.remove(known)
        if by.durable:
            self.doubtful.discard(name)
        else:
            self.doubtful.add(name)

    def _doubt(self, user: str) -> None:
        """A login of this user may have happened, and may have evicted any other session of the user."""
        self.unanswered.add(user)
        for known in self.live:
            if known.user == user:
                known.durable = False


def _lost_unless_expired(known: Known, found: Found) -> None:
    if known.durable and found.now < known.expires - CLOCK_MS:
        raise LostError("a session that lives is not there")
