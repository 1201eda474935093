"""Fixtures: what documents are checked against."""

import runpy
from collections.abc import Callable
from typing import Any

import pytest

from tests.docs.snippets import ROOT
from tests.session_core.conftest import APP_PASSWORD, bridge, redis, shared_redis
from tests.session_core.servers import Server

__all__ = ["bridge", "redis", "shared_redis"]


@pytest.fixture
def as_the_application(redis: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of an application on a prepared server."""
    for name, value in {"URL": redis.url, "USERNAME": "sessions", "PASSWORD": APP_PASSWORD}.items():
        monkeypatch.setenv(f"REDIS_{name}", value)
    monkeypatch.setenv("SESSION_MAX_CONCURRENT", "5")


@pytest.fixture(scope="session")
def load() -> Callable[[str], dict[str, Any]]:
    """Return the names of a script of this project."""
    return lambda path: runpy.run_path(str(ROOT / path))
