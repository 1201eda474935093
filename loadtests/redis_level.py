"""The operations on Redis itself, by the words of the session library: what a server costs without the service."""

from collections.abc import Callable
from typing import Final, TypeVar

from redis.exceptions import RedisError

from loadtests.client import Client
from loadtests.level import Created, Found, Known, RefusedError
from session_core import protocol
from session_core.connection import sort
from session_core.errors import StoreFull
from session_core.ids import Ref, new_session_id, ref_of
from session_core.protocol import Call
from session_core.records import Answer, Burial, Limit, NewSession, Note, UserRevocation
from session_core.settings import Settings

T = TypeVar("T")
METADATA: Final = b'{"device": "load test", "agent": "%s"}'
BURIAL: Final = Burial(60_000, 400)
"""Short: what a load test revokes is of no use to anybody afterwards."""
NOTE: Final = Note("load test")


class RedisLevel:
    """On one connection to the primary."""

    def __init__(self, settings: Settings, agent_bytes: int) -> None:
        """Keep how to connect; `agent_bytes`: length of the longest value in the metadata of its sessions."""
        self._client = Client(settings)
        self._metadata = METADATA % (b"x" * agent_bytes)
        self._limit = Limit(settings.session_max_concurrent, settings.session_limit_policy)
        self._lifetime_seconds = settings.session_max_lifetime_seconds

    def create(self, user: str, mark: str, ttl_seconds: int) -> Created | None:
        """Log in."""
        ref = ref_of(new_session_id(user))
        lifetime = max(ttl_seconds, self._lifetime_seconds)
        new = NewSession(ref, user, ttl_seconds * 1000, lifetime * 1000, self._metadata, b"", b"", mark)
        answer, durable = _tried(lambda: self._client.ask_durably(protocol.create(new, self._limit, BURIAL)))
        if answer.record is None:
            return None
        known = Known(user, ref.digest, ref, mark, answer.record.expires, durable)
        return Created(known, answer.record.evicted, self._same(known, answer))

    def read(self, known: Known) -> Found:
        """HMGET."""
        return self._ask(known, protocol.read(_ref(known)))

    def touch(self, known: Known) -> Found:
        """Extend it."""
        return self._ask(known, protocol.refresh(_ref(known), protocol.ALWAYS))

    def revoke(self, known: Known) -> tuple[Found, bool]:
        """Put a tombstone in its place."""
        answer, durable = _tried(lambda: self._client.ask_durably(protocol.revoke(_ref(known), NOTE, BURIAL)))
        ended = answer.record is not None and answer.record.revoked is not None
        return Found(ended, answer.now), durable

    def end_all(self, user: str) -> None:
        """End all that were created until now."""
        now = _tried(lambda: self._client.ask(protocol.clock(protocol.user_key(user))))
        _tried(lambda: self._client.ask(protocol.revoke_user(UserRevocation(user, now, "", NOTE), BURIAL)))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _ask(self, known: Known, call: Call[Answer]) -> Found:
        answer = _tried(lambda: self._client.ask(call))
        return Found(answer.code == "ok", answer.now, self._same(known, answer))

    def _same(self, known: Known, answer: Answer) -> bool:
        record = answer.record
        written = (known.user, known.mark, self._metadata)
        return record is not None and (record.user, record.version, record.meta) == written


def _ref(known: Known) -> Ref:
    ref: Ref = known.key
    return ref


def _tried(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except (RedisError, OSError) as error:
        final = sort(error)
        if final is None:
            raise RefusedError("unavailable", f"not answered in time: {error}") from error
        kind = "full" if isinstance(final, StoreFull) else type(final).__name__
        raise RefusedError(kind, str(final)) from error
