"""Writes what the former system writes: `session:<id>` hashes and `user_sessions:<user>` lists."""

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import redis

READER_PASSWORD = "reader-password"
READER_RULE = "~session:* ~user_sessions:* -@all +select +scan +pttl +hgetall +lrange"
"""All that an import may do to the old database."""


class Former:
    """A database of the former system, on a server that has others beside it."""

    def __init__(self, client: redis.Redis, url: str) -> None:
        self.client = client
        self.url = url

    def log_in(self, user: str, *, age: timedelta = timedelta(), ttl: int | None = 3600, **fields: Any) -> str:
        """A login that long ago, with so many seconds left (None: no TTL); further fields replace what is stored."""
        session_id: str = fields.pop("session_id", secrets.token_urlsafe(32))
        login = datetime.now(UTC) - age
        stored = {
            "session_id": session_id,
            "user_id": user,
            "username": user.removeprefix("user:"),
            "roles": "user,admin",
            "metadata": json.dumps({"ip": "192.168.1.1", "access_token": "very-secret"}),
            "created_at": login.isoformat(),
            "last_accessed": datetime.now(UTC).isoformat(),
            "expires_at": (datetime.now(UTC) + timedelta(seconds=ttl or 0)).isoformat(),
        } | fields
        key = f"session:{session_id}"
        self.client.hset(key, mapping={name: value for name, value in stored.items() if value is not None})
        self.client.rpush(f"user_sessions:{user}", session_id)
        if ttl is not None:
            self.client.expire(key, ttl)
        return session_id

    def content(self) -> dict[Any, Any]:
        """Everything that is stored."""
        keys: Any = self.client.keys("*")
        return {key: self.client.dump(key) for key in keys}
