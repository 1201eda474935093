"""Fixtures: one Keycloak and one Redis for the whole run, the service anew for each test."""

import runpy
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from tests.docs.snippets import ROOT
from tests.service.gateway import Front, in_front
from tests.service.keycloak_server import KeycloakServer, keycloak_server
from tests.service.running import Service, running
from tests.session_core.conftest import APP_PASSWORD, _no_settings_from_outside, bridge, redis, shared_redis
from tests.session_core.sentinel_group import certificates as make_certificates
from tests.session_core.servers import Server

__all__ = ["_no_settings_from_outside", "bridge", "redis", "shared_redis"]
Serve = Callable[..., AbstractAsyncContextManager[Service]]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tls")
    directory.chmod(0o755)
    make_certificates(directory, ["localhost"])
    return directory


@pytest.fixture(scope="session")
def keycloak(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[KeycloakServer]:
    with keycloak_server(tmp_path_factory.mktemp("keycloak"), certificates) as server:
        yield server


@pytest.fixture
def serve(keycloak: KeycloakServer, redis: Server, certificates: Path) -> Serve:
    """Run the service at the address that Keycloak knows (or behind it), on Redis as the application's user."""
    store = {"redis_url": redis.url, "redis_username": "sessions", "redis_password": APP_PASSWORD}

    def serve(port: int = keycloak.service_port, **settings: Any) -> AbstractAsyncContextManager[Service]:
        return running(port, keycloak.service_port, certificates, **(store | keycloak.settings | settings))

    return serve


@pytest.fixture
async def service(serve: Serve) -> AsyncIterator[Service]:
    async with serve() as made:
        yield made


@pytest.fixture
def example(redis: Server, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """The example application, on the same store."""
    for name, value in {"URL": redis.url, "USERNAME": "sessions", "PASSWORD": APP_PASSWORD}.items():
        monkeypatch.setenv(f"REDIS_{name}", value)
    app: FastAPI = runpy.run_path(str(ROOT / "examples" / "app.py"))["app"]
    return app


@pytest.fixture
async def example_front(
    serve: Serve, example: FastAPI, keycloak: KeycloakServer, tmp_path: Path, certificates: Path
) -> AsyncIterator[Front]:
    """The example behind nginx, at the address that Keycloak knows."""
    async with in_front(serve, example, keycloak.service_port, tmp_path, certificates) as front:
        yield front
