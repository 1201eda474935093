"""The words on the wire: builds commands and reads replies. No I/O, no clock, no settings.

A `Call` is one command with the reading of its reply; whoever sends it (the asynchronous client, a synchronous one, the
command line) decides about connections, time limits and repeats. Times are milliseconds of the server's clock.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar, cast

from session_core.address import Address
from session_core.ids import BUCKETS, Ref, bucket_of
from session_core.records import (
    Answer,
    Burial,
    Code,
    ImportedSession,
    Limit,
    NewSession,
    Note,
    Record,
    Rotation,
    StreamEntry,
    Update,
    UserRevocation,
)

Word: TypeAlias = bytes | str | int
Reply: TypeAlias = "bytes | str | int | float | list[Reply] | None"
T = TypeVar("T")

ALWAYS: Final = -1
"""Threshold of `refresh` that extends whatever is left."""

FIELDS: Final = (
    "user", "created", "expires", "limit", "ttl", "seen", "version", "meta", "sealed", "wrap", "next", "revoked",
    "reason", "actor", "evicted",
)  # fmt: skip
"""Order of a record in replies: functions/common.lua has the same list."""


class Call(NamedTuple, Generic[T]):
    """One command.

    Attributes:
        words: the command and its arguments.
        read: turns the reply, and the server's time if `clock` asks for it, into the result.
        clock: the reply does not tell the time: send TIME along.
        writes: goes to the primary, and may be followed by WAIT.
        blocks: the server keeps the connection for a while before it answers.
        at: which server of a cluster is meant, by its address or a key, where the words hold no key.
    """

    words: tuple[Word, ...]
    read: Callable[[Reply, int], T]
    clock: bool = False
    writes: bool = False
    blocks: bool = False
    at: Address | str = ""


def session_key(ref: Ref) -> str:
    """Return the key of a session."""
    return f"session:{{{ref.bucket}}}:{ref.digest}"


def user_key(user_id: str) -> str:
    """Return the key of a user's sessions by creation."""
    return f"user_sessions:{{{bucket_of(user_id)}}}:{user_id}"


def expiry_key(user_id: str) -> str:
    """Return the key of a user's sessions by expiry."""
    return f"user_expiry:{{{bucket_of(user_id)}}}:{user_id}"


def index_keys() -> tuple[str, ...]:
    """Return the keys of all live sessions by expiry, one for each bucket."""
    return tuple(f"session_index:{{{bucket}}}" for bucket in range(BUCKETS))


def user_index_keys(first: int = 0) -> tuple[str, ...]:
    """Return the keys of all active users by expiry, from a bucket on."""
    return tuple(f"session_index:{{{bucket}}}:users" for bucket in range(first, BUCKETS))


def event_keys() -> tuple[str, ...]:
    """Return the keys of the event streams, one for each bucket."""
    return tuple(f"session_events:{{{bucket}}}" for bucket in range(BUCKETS))


def read(ref: Ref) -> Call[Answer]:
    """Read a session without touching it."""
    return Call(("HMGET", session_key(ref), *FIELDS), _read_record, clock=True)


def create(new: NewSession, limit: Limit, burial: Burial) -> Call[Answer]:
    """Store a session and make room for it: codes ok, limit."""
    words = (
        session_key(new.ref), new.user, new.ttl_ms, new.lifetime_ms, new.meta, new.sealed, new.wrap, new.version,
        limit.count, limit.policy, burial.keep_ms, burial.events,
    )  # fmt: skip
    return Call(("FCALL", "session_create_v1", 1, *words), _read_answer, writes=True)


def refresh(ref: Ref, threshold_ms: int) -> Call[Answer]:
    """Extend a session if less than the threshold is left: codes ok, revoked, missing."""
    return Call(("FCALL", "session_refresh_v1", 1, session_key(ref), threshold_ms), _read_answer, writes=True)


def revoke(ref: Ref, note: Note, burial: Burial) -> Call[Answer]:
    """Put a tombstone in the place of a session: codes ok, missing."""
    words = (session_key(ref), note.reason, note.actor, burial.keep_ms, burial.events)
    return Call(("FCALL", "session_revoke_v1", 1, *words), _read_answer, writes=True)


def revoke_user(what: UserRevocation, burial: Burial) -> Call[tuple[str, ...]]:
    """Revoke a user's sessions up to a moment; returns their digests."""
    note = what.note
    words = (user_key(what.user), what.cutoff, what.spared, note.reason, note.actor, burial.keep_ms, burial.events)
    return Call(("FCALL", "session_revoke_user_v1", 1, *words), _read_digests, writes=True)


def rotate(what: Rotation, burial: Burial) -> Call[Answer]:
    """Give a session a new name: codes ok, missing, revoked, rotated, stale."""
    keys = (session_key(what.old), session_key(what.new))
    words = (what.expected, what.version, what.wrap, what.grace_ms, burial.keep_ms, burial.events)
    return Call(("FCALL", "session_rotate_v1", 2, *keys, *words), _read_answer, writes=True)


def update(what: Update) -> Call[Answer]:
    """Replace the metadata if the version is the expected one: codes ok, missing, revoked, stale."""
    words = (session_key(what.ref), what.expected, what.version, what.meta, what.sealed, what.wrap)
    return Call(("FCALL", "session_update_v1", 1, *words), _read_answer, writes=True)


def import_session(new: ImportedSession, limit: Limit, burial: Burial) -> Call[tuple[str, int]]:
    """Store a session of the former system; returns ok, known or missing, and how many sessions had to go."""
    words = (
        session_key(new.ref), new.user, new.created, new.seen, new.left_ms, new.ttl_ms, new.lifetime_ms, new.meta,
        new.sealed, new.wrap, new.version, limit.count, limit.policy, burial.keep_ms, burial.events,
    )  # fmt: skip

    def read_import(reply: Reply, _now: int) -> tuple[str, int]:
        code, evicted = _items(reply)
        return _text(code), _number(evicted)

    return Call(("FCALL", "session_import_v1", 1, *words), read_import, writes=True)


def note_old_id(old: Ref, user_id: str, created: int, until: int) -> Call[None]:
    """Note whose session an id of the former system is (`session_core.ids.old_ref`); `until`: ms."""
    words = ("FCALL", "session_note_old_id_v1", 1, session_key(old), user_id, created, until)
    return Call(words, lambda _reply, _now: None, writes=True)


def list_user(user_id: str) -> Call[list[tuple[str, Record]]]:
    """List a user's live sessions by creation: digest and record; see `Store.list_user` for what it leaves out."""

    def read_listing(reply: Reply, _now: int) -> list[tuple[str, Record]]:
        items: Any = _items(reply)
        return [
            (_text(digest), Record(user_id, _moment(created), int(expires), int(limit), 0, int(seen), "", meta or b""))
            for digest, (created, expires, limit, seen, meta, _) in zip(items[::2], items[1::2], strict=True)
        ]

    return Call(("FCALL_RO", "session_listing_v1", 1, user_key(user_id)), read_listing)


def count(keys: Sequence[str]) -> Call[int]:
    """Count the live members of sets by expiry (`index_keys`, `expiry_key`)."""
    return Call(("FCALL_RO", "session_count_v1", len(keys), *keys), _read_count)


def users(keys: Sequence[str], about: int) -> Call[tuple[int, list[str]]]:
    """List the active users of whole buckets (`user_index_keys`); returns how many buckets that were, and the users."""

    def read_users(reply: Reply, _now: int) -> tuple[int, list[str]]:
        looked_at, names = _items(reply)
        return _number(looked_at), [_text(name) for name in _items(names)]

    return Call(("FCALL_RO", "session_users_v1", len(keys), *keys, about), read_users)


def clock(key: str = "") -> Call[int]:
    """Ask for the time of the server, in a cluster of the one that holds a key."""
    return Call(("TIME",), lambda reply, _now: read_time(reply), at=key)


def revision(server: Address | str = "") -> Call[int]:
    """Ask a server for the revision of the function library."""
    return Call(("FCALL_RO", "session_library_v1", 0), lambda reply, _now: _number(reply), at=server)


def layout() -> Call[tuple[int, int]]:
    """Ask for the number of buckets and the schema of the data; 0 where nothing is written yet."""

    def read_layout(reply: Reply, _now: int) -> tuple[int, int]:
        buckets, schema = (int(_text(item) or 0) for item in _items(reply))
        return buckets, schema

    return Call(("HMGET", "session_meta", "buckets", "schema"), read_layout)


def events(positions: Mapping[str, str], block_ms: int) -> Call[list[StreamEntry]]:
    """Read entries of the event streams after these positions (key: entry id); 0 does not wait for the first."""
    block: tuple[Word, ...] = ("BLOCK", block_ms) if block_ms else ()  # to Redis 0 means for ever
    words = ("XREAD", "COUNT", 1000, *block, "STREAMS", *positions, *positions.values())
    return Call(words, _read_entries, blocks=block_ms > 0)


def wait(replicas: int, timeout_ms: int) -> tuple[Word, ...]:
    """Return the command that waits until the connection's last write has reached the replicas."""
    return ("WAIT", replicas, timeout_ms)


def read_time(reply: Reply) -> int:
    """Read the reply of TIME."""
    seconds, micros = _items(reply)
    return _number(seconds) * 1000 + _number(micros) // 1000


def _read_record(reply: Reply, now: int) -> Answer:
    record = _record(reply)
    if record is None or (record.revoked is None and record.expires <= now):
        return Answer("missing", now)
    return Answer("ok" if record.revoked is None else "revoked", now, record)


def _read_answer(reply: Reply, _now: int) -> Answer:
    code, now, record, *digest = _items(reply)
    return Answer(cast("Code", _text(code)), _number(now), _record(record), _text(digest[0]) if digest else "")


def _read_digests(reply: Reply, _now: int) -> tuple[str, ...]:
    _, _, digests = _items(reply)
    return tuple(_text(digest) for digest in _items(digests))


def _read_entries(reply: Reply, _now: int) -> list[StreamEntry]:
    found = []
    for stream in _items(reply or []):
        key, entries = _items(stream)
        for entry in _items(entries):
            position, fields = _items(entry)
            texts = [_text(field) for field in _items(fields)]
            found.append(StreamEntry(_text(key), _text(position), dict(zip(texts[::2], texts[1::2], strict=True))))
    return found


def _read_count(reply: Reply, _now: int) -> int:
    return _number(reply)


def _record(reply: Reply) -> Record | None:
    if reply is None:
        return None
    fields = cast("list[Any]", _items(reply))
    user, created, expires, limit, ttl, seen, version, meta, sealed, wrap, successor, *end = fields
    if user is None:
        return None
    revoked, reason, actor, evicted = end
    return Record(
        _text(user), _moment(created), int(expires or 0), int(limit or 0), int(ttl or 0), int(seen or 0),
        _text(version), meta or b"", sealed or b"", wrap or b"", _text(successor),
        None if revoked is None else int(revoked), _text(reason), _text(actor), tuple(_text(evicted).split()),
    )  # fmt: skip


def _moment(created: bytes | None) -> int:
    return int(float(created or 0))  # its decimals are for the order


def _items(reply: Reply) -> list[Reply]:
    if not isinstance(reply, list):
        message = f"a list was expected in the reply, not {type(reply).__name__}"
        raise TypeError(message)
    return reply


def _text(reply: Reply) -> str:
    if reply is None:
        return ""
    return reply.decode() if isinstance(reply, bytes) else str(reply)


def _number(reply: Reply) -> int:
    return int(reply) if isinstance(reply, bytes | int) else 0
