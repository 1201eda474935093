"""The way of metadata into a record and back: checked, encoded, its secret entries sealed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from session_core import metadata as json_form
from session_core import sealing
from session_core.errors import SessionConflict
from session_core.records import Record
from session_core.session import JsonValue, Metadata
from session_core.settings import Settings


@dataclass(frozen=True, slots=True)
class Content:
    """Metadata as it is stored: what everybody with rights on Redis may read, and the sealed rest with its key."""

    meta: bytes
    sealed: bytes = b""
    wrap: bytes = b""


@dataclass(frozen=True, slots=True)
class Opened:
    """A record, the session id that it was read with, and the envelope key as wrapped for that id (or empty)."""

    record: Record
    session_id: str
    wrap: bytes
    renamed: bool


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of the metadata: entries to set, names to remove, further names to seal."""

    entries: Mapping[str, JsonValue]
    remove: frozenset[str]
    secret_names: frozenset[str]


class Contents:
    """Makes and opens the content of sessions under one set of settings."""

    def __init__(self, settings: Settings) -> None:
        """Keep the limit and which names are secret."""
        self._secret_names = settings.session_secret_metadata
        self._limit = settings.session_max_metadata_bytes

    def make(
        self, metadata: Mapping[str, JsonValue], secret_names: Iterable[str], session_id: str, user_id: str
    ) -> Content:
        """Store the secret entries sealed, the others as JSON.

        Raises:
            InvalidMetadata: not JSON, or too large.
        """
        plain, secret = self._divide(metadata, self._secret_names | json_form.checked_names(secret_names))
        if not secret:
            return Content(plain)
        envelope_key = sealing.new_envelope_key()
        return Content(plain, sealing.seal(secret, envelope_key, user_id), sealing.wrap(envelope_key, session_id))

    def open(self, record: Record, session_id: str, wrap: bytes) -> Metadata:
        """Return all entries that this session id opens; `wrap` is the envelope key under it, or empty.

        Raises:
            SealBroken: the sealed part was tampered with.
        """
        entries = json_form.decode(record.meta)
        if record.sealed and wrap:
            key = sealing.unwrap(wrap, session_id)
            entries |= json_form.decode(sealing.open_seal(record.sealed, key, record.user))
        return entries

    def rewrap(self, wrap: bytes, session_id: str, new_session_id: str) -> bytes:
        """Return the envelope key wrapped for another session id; empty if there is none."""
        return sealing.wrap(sealing.unwrap(wrap, session_id), new_session_id) if wrap else b""

    def change(self, opened: Opened, change: Change) -> Content:
        """Merge changes into the content of a record; the envelope key stays what it is.

        Raises:
            InvalidMetadata: the result is not JSON, or too large.
            SessionConflict: the name was rotated away, and only the new one can open or seal what is there.
        """
        record = opened.record
        if record.sealed and not opened.wrap:
            raise _renamed()
        key = sealing.unwrap(opened.wrap, opened.session_id) if opened.wrap else b""
        before = json_form.decode(sealing.open_seal(record.sealed, key, record.user)) if record.sealed and key else {}
        after = {**json_form.decode(record.meta), **before, **change.entries}
        kept = {name: value for name, value in after.items() if name not in change.remove}
        plain, secret = self._divide(kept, self._secret_names | change.secret_names | before.keys())
        if not secret:
            return Content(plain)
        if key:
            return Content(plain, sealing.seal(secret, key, record.user))
        if opened.renamed:
            raise _renamed()
        key = sealing.new_envelope_key()
        return Content(plain, sealing.seal(secret, key, record.user), sealing.wrap(key, opened.session_id))

    def _divide(self, metadata: Mapping[str, JsonValue], secret_names: frozenset[str]) -> tuple[bytes, bytes]:
        whole = json_form.encode(metadata, self._limit)
        secret = {name: value for name, value in metadata.items() if name in secret_names}
        if not secret:
            return whole, b""
        plain = {name: value for name, value in metadata.items() if name not in secret_names}
        return json_form.encode(plain, self._limit), json_form.encode(secret, self._limit)


def _renamed() -> SessionConflict:
    return SessionConflict("the session was rotated: use its new id")
