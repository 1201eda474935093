"""A server, and the session service in front of it, for all tests of the run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.loadtests.running import Load
from tests.loadtests.serving import prepared_server, session_service
from tests.session_core.sentinel_group import certificates
from tests.session_core.servers import Server, network, sweep


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("certificates")
    certificates(made)
    return made


@pytest.fixture(scope="session")
def bridge() -> Iterator[Any]:
    try:
        with network() as made:
            yield made
    finally:
        sweep()


@pytest.fixture(scope="session")
def server(bridge: Any, folder: Path) -> Iterator[Server]:
    with prepared_server(bridge, folder) as started:
        yield started


@pytest.fixture(scope="session")
def service(server: Server, folder: Path) -> Iterator[dict[str, object]]:
    with session_service(server, folder) as where:
        yield where


@pytest.fixture
def load(server: Server, tmp_path: Path) -> Iterator[Load]:
    admin = server.admin()
    for pattern in ("session_index*", "session:*", "user_*", "junk*"):
        if keys := admin.keys(pattern):
            admin.delete(*keys)
    yield Load(server, tmp_path / "report", {"redis_url": server.url, "session_max_concurrent": 5})
    admin.client_unpause()


@pytest.fixture
def http_load(load: Load, service: dict[str, object]) -> Load:
    load.where = {name: value for name, value in service.items() if name not in ("host", "process")}
    load.options = ["--level", "http", "--host", str(service["host"])]
    return load
