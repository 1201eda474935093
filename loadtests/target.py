"""What the load is put on, as the environment says."""

import os
from pathlib import Path
from typing import Final

from loadtests.http_level import HttpLevel, Service
from loadtests.level import Level
from loadtests.redis_level import RedisLevel
from session_core.errors import SettingsError
from session_core.settings import Settings

LEVELS: Final = ("redis", "http")
TOKEN, AUTHORITY, WAITS = "SESSION_ADMIN_TOKEN", "REDIS_CA_FILE", "SESSION_WAIT_REPLICAS"


class TargetError(Exception):
    """It is not said where the target is; the message says which variable or option does, and never a secret."""


class Aim:
    """The target of this process; nothing until `take`."""

    def __init__(self) -> None:
        """Know nothing yet: the options come later."""
        self._at: Settings | Service | None = None

    def take(self, level: str, host: str | None) -> None:
        """Find out where the target is.

        Raises:
            TargetError: that is not said.
        """
        self._at = _service(host) if level == "http" else _settings()

    def level(self, agent_bytes: int) -> Level:
        """A way to it, for one user."""
        if isinstance(self._at, Service):
            return HttpLevel(self._at, agent_bytes)
        if self._at is None:
            raise TargetError("no target was taken")
        return RedisLevel(self._at, agent_bytes)

    def store(self) -> Settings | None:
        """How to look at Redis itself; None where nothing is said of it, or where it is many."""
        return self._at if isinstance(self._at, Settings) and not self._at.target.cluster else None


def _settings() -> Settings:
    try:
        return Settings()
    except SettingsError as error:
        raise TargetError(f'{error}\nThe target is what the environment says: eval "$(make session-env)"') from None


def _service(host: str | None) -> Service:
    token, authority = os.environ.get(TOKEN, ""), os.environ.get(AUTHORITY, "")
    if not host or not token:
        raise TargetError(f"--level http needs --host https://…, and the admin token in {TOKEN}")
    waits = os.environ.get(WAITS, "0") != "0"
    return Service(host.rstrip("/"), token, Path(authority) if authority else None, waits)
