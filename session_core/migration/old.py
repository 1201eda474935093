"""The form in which the former system keeps a session. No I/O; nothing that was stored is ever evaluated.

``session:<id>`` is a hash of text: ``session_id, user_id, username, roles`` (joined by commas), ``metadata`` (JSON;
up to release 2.1.0 the text of a Python dictionary), ``created_at, last_accessed, expires_at`` (ISO 8601). Source:
``auth/session.py`` of mcp-server-langgraph, release 2.1.0 and its head of 2025-12-11.
"""

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from session_core.session import JsonValue, Metadata

PREFIX: Final = "session:"
LIST_PREFIX: Final = "user_sessions:"
OURS: Final = "session:{"
"""Keys of this library, where both share a database."""


class UnreadableError(ValueError):
    """Not a session that can be brought over; the text is one word: id, fields, times or metadata."""


@dataclass(frozen=True, slots=True)
class OldSession:
    """A session of the former system; times are milliseconds since the epoch by its application's clock."""

    user_id: str
    metadata: Metadata
    created: int
    seen: int
    expires: int


def parse(fields: Mapping[str, str]) -> OldSession:
    """Read the fields of a hash. The names `username` and `roles` are added to the metadata, and win over what it has.

    Raises:
        UnreadableError: fields are missing (a hash that came back after its deletion), or not of the form above.
    """
    user_id = fields.get("user_id")
    if not user_id or "created_at" not in fields:
        raise UnreadableError("fields")
    roles: list[JsonValue] = [*filter(None, fields.get("roles", "").split(","))]
    created = _milliseconds(fields["created_at"])
    return OldSession(
        user_id=user_id,
        metadata=_metadata(fields.get("metadata", "")) | {"username": fields.get("username", ""), "roles": roles},
        created=created,
        seen=_milliseconds(fields["last_accessed"]) if "last_accessed" in fields else created,
        expires=_milliseconds(fields["expires_at"]) if "expires_at" in fields else created,
    )


def _milliseconds(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UnreadableError("times") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _metadata(text: str) -> Metadata:
    try:
        value: Any = json.loads(text or "{}")
    except ValueError:
        try:
            value = ast.literal_eval(text)  # literals only: what is not one is refused, nothing is run
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            raise UnreadableError("metadata") from None
    try:
        value = json.loads(json.dumps(value, allow_nan=False))  # tuples become lists
    except (TypeError, ValueError, RecursionError):
        raise UnreadableError("metadata") from None
    if not isinstance(value, dict):
        raise UnreadableError("metadata")
    return value
