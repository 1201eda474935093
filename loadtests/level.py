"""What a load user needs of a level: Redis itself, or the session service.

What the answers have to be is not a level's affair (`loadtests.sessions`).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


class RefusedError(Exception):
    """An operation was refused or not answered.

    Attributes:
        kind: class of the error, for the thresholds: `full`, `unavailable`, or the level's own word.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(slots=True)
class Known:
    """A session as we have written it.

    Attributes:
        user: whose it is.
        name: how the level tells in answers which session is meant; opens nothing.
        key: what the level opens it with.
        mark: part of its metadata; no other session has it.
        expires: milliseconds of the clock that `Found.now` is of, not counting extensions: those are not confirmed.
        durable: a replica has confirmed it, or none was asked to.
    """

    user: str
    name: str
    key: Any
    mark: str
    expires: int
    durable: bool


class Found(NamedTuple):
    """What an answer says of a session: whether it lives, the time then, and whether all of it is as it was written."""

    alive: bool
    now: int
    same: bool = True


class Created(NamedTuple):
    """A login: its session, the names of those that had to go for it, and whether it says what was asked for."""

    session: Known
    evicted: tuple[str, ...]
    same: bool


class Level(Protocol):
    """The operations. Each raises RefusedError."""

    def create(self, user: str, mark: str, ttl_seconds: int) -> Created | None:
        """Log in; None if the user's limit does not allow another session."""

    def read(self, known: Known) -> Found:
        """Look whether it lives."""

    def touch(self, known: Known) -> Found:
        """Use it."""

    def revoke(self, known: Known) -> tuple[Found, bool]:
        """End it: what it was before, and whether a replica has confirmed it."""

    def end_all(self, user: str) -> None:
        """End all sessions of a user."""

    def close(self) -> None:
        """Close the connections; the next operation opens new ones."""
