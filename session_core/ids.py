"""Session ids, handles and buckets.

A session id ``<bucket>.<43 url-safe characters>`` carries 256 random bits and is a bearer secret: only the client holds
it. Redis stores its SHA-256, the digest. A handle ``h<bucket>-<digest>`` names the same session, opens nothing, and may
be shown, logged and listed. The bucket is a hash of the user id, so that all keys of one user share a cluster slot.
"""

import re
import secrets
from binascii import b2a_base64
from hashlib import sha256
from typing import Final, NamedTuple

from session_core.errors import InvalidSessionId

BUCKETS: Final = 256
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_SESSION_ID: Final = re.compile(r"(0|[1-9]\d{0,2})\.[A-Za-z0-9_-]{43}", re.ASCII)
_OLD_ID: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_HANDLE: Final = re.compile(r"h(0|[1-9]\d{0,2})-([A-Za-z0-9_-]{43})", re.ASCII)


class Ref(NamedTuple):
    """Where a session is stored: its bucket and the digest of its id."""

    bucket: int
    digest: str

    @property
    def handle(self) -> str:
        """The public name of the session."""
        return f"h{self.bucket}-{self.digest}"


def bucket_of(user_id: str) -> int:
    """Return the bucket of a user, 0 to 255."""
    return sha256(user_id.encode()).digest()[0]


def new_session_id(user_id: str) -> str:
    """Make a session id for a user from 256 bits of the system's random source."""
    return f"{bucket_of(user_id)}.{secrets.token_urlsafe(32)}"


def ref_of(session_id: str) -> Ref:
    """Return where the session with this secret id is stored.

    Raises:
        InvalidSessionId: malformed, or a handle: a handle opens no session.
    """
    match = _SESSION_ID.fullmatch(session_id) if isinstance(session_id, str) else None
    bucket = int(match[1]) if match is not None else BUCKETS
    if bucket >= BUCKETS:
        what = "a handle, not a session id" if is_handle(session_id) else "not a session id"
        message = f"the value is {what}"
        raise InvalidSessionId(message)
    return Ref(bucket, _base64(sha256(session_id.encode("ascii")).digest()))


def ref_of_either(session_id_or_handle: str) -> Ref:
    """Return where the session named by its secret id or by its handle is stored.

    Raises:
        InvalidSessionId: neither of the two.
    """
    match = _HANDLE.fullmatch(session_id_or_handle) if isinstance(session_id_or_handle, str) else None
    if match is not None and int(match[1]) < BUCKETS:
        return Ref(int(match[1]), match[2])
    return ref_of(session_id_or_handle)


def is_handle(value: object) -> bool:
    """Tell whether this has the form of a handle."""
    return isinstance(value, str) and _HANDLE.fullmatch(value) is not None


def old_ref(session_id: object) -> Ref | None:
    """Return where it is noted whose session an id of the former system is; None if it has not the form of one.

    The former system's ids are 43 url-safe characters without a bucket. No handle has the form of such a Ref, so that
    nothing but the id leads to the note (docs/migration.md).
    """
    if not isinstance(session_id, str) or _OLD_ID.fullmatch(session_id) is None:
        return None
    digest = sha256(session_id.encode("ascii")).digest()
    return Ref(digest[0], f"old:{_base64(digest)}")


def adopted_id(old_session_id: str, user_id: str) -> str:
    """Return the session id that an id of the former system becomes: the same 256 bits, with the user's bucket."""
    return f"{bucket_of(user_id)}.{old_session_id}"


def _base64(digest: bytes) -> str:
    return b2a_base64(digest, newline=False)[:-1].translate(_URL_SAFE).decode("ascii")
