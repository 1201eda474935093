"""Checks of what callers hand in (nothing is sent before they pass), and the JSON form of metadata."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final, cast

from session_core.errors import InvalidMetadata, InvalidReason, InvalidTtl, InvalidUserId
from session_core.session import JsonValue, Metadata

MAX_USER_ID_BYTES: Final = 256
MAX_REASON_CHARACTERS: Final = 256
MAX_GRACE_SECONDS: Final = 300
"""Of an id that was rotated away: long enough for any request in flight."""
_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")
_ENCODER: Final = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))
_DECODER: Final = json.JSONDecoder()
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


def checked_user_id(user_id: str) -> str:
    """Return the user id.

    Raises:
        InvalidUserId: not text, empty, longer than 256 bytes of UTF-8, or with control characters.
    """
    if not isinstance(user_id, str) or not user_id:
        message = "user_id must be text and not empty"
        raise InvalidUserId(message)
    try:
        size = len(user_id.encode())
    except UnicodeEncodeError:
        size = MAX_USER_ID_BYTES + 1
    if size > MAX_USER_ID_BYTES:
        message = f"user_id must be at most {MAX_USER_ID_BYTES} bytes of UTF-8"
        raise InvalidUserId(message)
    if _CONTROL.search(user_id):
        message = "user_id must not hold control characters"
        raise InvalidUserId(message)
    return user_id


def checked_ttl(ttl_seconds: int, longest: int) -> int:
    """Return the TTL in seconds.

    Raises:
        InvalidTtl: not a whole number, below 1, or above the absolute lifetime.
    """
    if isinstance(ttl_seconds, bool) or not isinstance(ttl_seconds, int) or not 1 <= ttl_seconds <= longest:
        message = f"ttl_seconds must be a whole number from 1 to {longest} (SESSION_MAX_LIFETIME_SECONDS)"
        raise InvalidTtl(message)
    return ttl_seconds


def checked_grace(grace_seconds: int) -> int:
    """Return the grace of an id that is rotated away, in seconds.

    Raises:
        InvalidTtl: not a whole number from 0 to MAX_GRACE_SECONDS.
    """
    whole = isinstance(grace_seconds, int) and not isinstance(grace_seconds, bool)
    if not whole or not 0 <= grace_seconds <= MAX_GRACE_SECONDS:
        message = f"grace_seconds must be a whole number from 0 to {MAX_GRACE_SECONDS}"
        raise InvalidTtl(message)
    return grace_seconds


def checked_names(names: Iterable[str]) -> frozenset[str]:
    """Return names of metadata as a set.

    Raises:
        InvalidMetadata: not texts, or one text in place of several.
    """
    found = frozenset(names) if isinstance(names, Iterable) and not isinstance(names, str | bytes) else None
    if found is None or not all(isinstance(name, str) for name in found):
        message = "names of metadata must be an iterable of texts, such as ['access_token']"
        raise InvalidMetadata(message)
    return found


def checked_entries(entries: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """Return entries of metadata.

    Raises:
        InvalidMetadata: not a mapping; its values are looked at by `encode`.
    """
    if not isinstance(entries, Mapping):
        message = "metadata must be a mapping of names to JSON values"
        raise InvalidMetadata(message)
    return entries


def checked_note(text: str | None, what: str) -> str:
    """Return the reason or actor of a revocation, the empty string for None.

    Raises:
        InvalidReason: not text, or longer than 256 characters.
    """
    if text is None:
        return ""
    if not isinstance(text, str) or len(text) > MAX_REASON_CHARACTERS or not _encodable(text):
        message = f"{what} must be text of at most {MAX_REASON_CHARACTERS} characters"
        raise InvalidReason(message)
    return text


def encode(metadata: Mapping[str, JsonValue], limit: int) -> bytes:
    """Return the metadata as compact JSON, UTF-8.

    Raises:
        InvalidMetadata: not a JSON object, changed by a round trip (tuples, number keys), or above the limit in bytes.
    """
    plain = dict(checked_entries(metadata))
    try:
        text = _ENCODER.encode(plain)
        encoded = text.encode()
        kept = _is_flat(plain) or json.loads(text) == plain
    except (TypeError, ValueError, RecursionError):
        kept = False
    if not kept:
        message = "metadata must be JSON: text as keys; text, finite numbers, booleans, null, lists, objects as values"
        raise InvalidMetadata(message)
    if len(encoded) > limit:
        message = f"metadata is {len(encoded)} bytes of JSON, allowed are {limit} (SESSION_MAX_METADATA_BYTES)"
        raise InvalidMetadata(message)
    return encoded


def decode(encoded: bytes) -> Metadata:
    """Return what `encode` was given; the empty mapping for no bytes."""
    return cast("Metadata", _DECODER.raw_decode(encoded.decode())[0]) if encoded else {}


def _is_flat(plain: Mapping[str, JsonValue]) -> bool:
    return all(type(name) is str and type(value) in _SCALARS for name, value in plain.items())


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
