# ruff: noqa: S311 - chance picks what is done, no secret
"""Histories of logins and logouts while a primary goes away, and what must hold for each of them afterwards.

Outcomes: `durable` (done, and a replica confirmed it), `unconfirmed` (done, and none did in time), `fail` (certainly
not done), `info` (nobody knows). Only what is certain is judged: durable writes, and what a read has shown.
"""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from conformance.checkers.limit import Lifetime, overlap
from session_core import SessionManager
from session_core.errors import StoreError, StoreUnavailable

USERS = tuple(f"user-{number}" for number in range(8))


@dataclass
class Login:
    """One session that a caller was told of. Times are those of this process, in seconds.

    Attributes:
        told: when the answer to the login was there.
        seen: when a question began whose answer showed the session alive, at the latest.
        ended: when a logout, or the login that evicted it, began; `revoked` if the logout was durable.
    """

    session_id: str
    user_id: str
    durable: bool
    told: float
    seen: float = 0.0
    ended: float | None = None
    revoked: bool = False

    @property
    def lifetime(self) -> Lifetime:
        """When it certainly lived: until the last question that it was seen by, or its end if that came first."""
        return Lifetime(self.told, min(self.seen, self.ended or self.seen))


@dataclass
class History:
    """What happened: every login that was answered, and how each call ended."""

    logins: dict[str, Login] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    answered: list[float] = field(default_factory=list)
    crowds: list[int] = field(default_factory=list)

    def longest_gap(self) -> float:
        """Seconds that went by without a login being accepted."""
        return max(
            (later - earlier for earlier, later in zip(self.answered, self.answered[1:], strict=False)), default=0
        )

    async def record(self, sessions: SessionManager, seconds: float) -> None:
        """Two clients for each user log in, look, and log out, until the time is over."""
        deadline = time.monotonic() + seconds
        await asyncio.gather(*(self._use(sessions, user, deadline) for user in (*USERS, *USERS)))

    async def _use(self, sessions: SessionManager, user: str, deadline: float) -> None:
        while time.monotonic() < deadline:
            await asyncio.sleep(random.random() / 20)
            await self._log_in(sessions, user)
            await self._look(sessions, user)
            if random.random() < 0.3:
                await self._log_out(sessions, user)

    async def _log_in(self, sessions: SessionManager, user: str) -> None:
        start = time.monotonic()
        try:
            made = await sessions.create_session(user)
        except StoreError as error:
            self._failed("create", error)
            return
        told = time.monotonic()
        self.answered.append(told)
        self.outcomes["create " + ("durable" if made.durable else "unconfirmed")] += 1
        self.logins[made.handle] = Login(made.session_id, user, bool(made.durable), told)
        for handle in made.evicted:
            if handle in self.logins and self.logins[handle].ended is None:
                self.logins[handle].ended = start

    async def _look(self, sessions: SessionManager, user: str) -> None:
        start = time.monotonic()
        try:
            listed = await sessions.get_user_sessions(user)
        except StoreError as error:
            self._failed("list", error)
            return
        self.crowds.append(len(listed))
        for session in listed:
            if session.handle in self.logins:
                self.logins[session.handle].seen = start

    async def _log_out(self, sessions: SessionManager, user: str) -> None:
        mine = [one for one in self.logins.values() if one.user_id == user and one.ended is None]
        if not mine:
            return
        one = mine[-1]
        one.ended = time.monotonic()
        try:
            outcome = await sessions.revoke_session(one.session_id, "logout")
        except StoreError as error:
            self._failed("revoke", error)
            return
        one.revoked = outcome.durable
        self.outcomes["revoke " + ("durable" if outcome.durable else "unconfirmed")] += 1

    def _failed(self, what: str, error: StoreError) -> None:
        unknown = isinstance(error, StoreUnavailable) and error.outcome_unknown
        self.outcomes[f"{what} {'info' if unknown else 'fail'}"] += 1


@dataclass
class Verdict:
    """What was found afterwards.

    Attributes:
        lost: durable logins of which nothing is left, not even a tombstone.
        back: durable logouts whose session is alive.
        crowd: the longest listing of one user.
        overlap: the most sessions of one user that certainly lived at the same moment.
    """

    lost: int = 0
    back: int = 0
    crowd: int = 0
    overlap: int = 0


async def judge(history: History, sessions: SessionManager) -> Verdict:
    """Ask for every session of the history, after everything has healed."""
    verdict = Verdict(crowd=max(history.crowds, default=0))
    logins = list(history.logins.values())
    states = await asyncio.gather(*(sessions.inspect_session(one.session_id) for one in logins))
    for one, found in zip(logins, states, strict=True):
        verdict.lost += one.durable and found is None
        verdict.back += one.revoked and found is not None and found.is_active
    for user in USERS:
        verdict.crowd = max(verdict.crowd, len(await sessions.get_user_sessions(user)))
        mine = [one.lifetime for one in logins if one.user_id == user and one.durable]
        verdict.overlap = max(verdict.overlap, overlap(mine))
    return verdict
