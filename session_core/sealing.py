"""Keeps secret metadata from everybody who does not hold the session id: a dump of Redis opens nothing.

The secret entries are encrypted (AES-256-GCM) under a random envelope key. The envelope key is encrypted under a key
derived from the session id, of which Redis knows only the SHA-256. A rotation wraps the envelope key anew and leaves
the sealed part as it is. Form of both: one byte 1, 12 bytes nonce, ciphertext with tag.
"""

import hmac
import secrets
from typing import TYPE_CHECKING, Final

from session_core.errors import SealBroken

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_WRAP: Final = b"redis-session-kit wrap 1"
_SEALED: Final = b"redis-session-kit sealed 1 "


def new_envelope_key() -> bytes:
    """Make a random key for the sealed part of one session."""
    return secrets.token_bytes(_KEY_BYTES)


def wrap(envelope_key: bytes, session_id: str) -> bytes:
    """Encrypt the envelope key so that only the session id opens it."""
    return _encrypt(_key_of(session_id), envelope_key, _WRAP)


def unwrap(wrapped: bytes, session_id: str) -> bytes:
    """Return the envelope key.

    Raises:
        SealBroken: not wrapped for this session id.
    """
    return _decrypt(_key_of(session_id), wrapped, _WRAP)


def seal(plain: bytes, envelope_key: bytes, user_id: str) -> bytes:
    """Encrypt the secret entries, bound to their user."""
    return _encrypt(envelope_key, plain, _SEALED + user_id.encode())


def open_seal(sealed: bytes, envelope_key: bytes, user_id: str) -> bytes:
    """Return the secret entries.

    Raises:
        SealBroken: changed, of another user, or under another key.
    """
    return _decrypt(envelope_key, sealed, _SEALED + user_id.encode())


def _key_of(session_id: str) -> bytes:
    # The id carries 256 random bits, so one HMAC derives as good a key as a slow function would. It is not the SHA-256
    # of the id, which Redis knows.
    return hmac.digest(session_id.encode("ascii"), _WRAP, "sha256")


def _encrypt(key: bytes, plain: bytes, bound_to: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return _VERSION + nonce + _cipher(key).encrypt(nonce, plain, bound_to)


def _decrypt(key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag

    nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    try:
        if sealed[:1] == _VERSION:
            return _cipher(key).decrypt(nonce, ciphertext, bound_to)
    except (InvalidTag, ValueError):
        pass
    message = "the sealed part of the session does not open: it was changed, or moved from another session"
    raise SealBroken(message)


def _cipher(key: bytes) -> "AESGCM":
    # Imported on first use: a process that seals nothing does not pay for it in memory.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)
