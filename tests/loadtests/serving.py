"""A prepared server, and the session service in front of it as it is deployed: a process with TLS."""

import http.client
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from session_core import library
from session_core.ids import BUCKETS
from tests.loadtests.running import bare_environment
from tests.session_core.servers import Server, free_port, redis_server

TOKEN = "an-admin-token-of-enough-characters"
ADDRESS = "127.0.0.9"
"""The certificates of the tests are for it."""


@contextmanager
def prepared_server(bridge: Any, folder: Path) -> Iterator[Server]:
    """A server with the function library; with TLS, too."""
    with redis_server(bridge, certificates=folder) as started:
        started.admin().function_load(library.source())
        started.admin().hset("session_meta", mapping={"buckets": BUCKETS, "schema": library.SCHEMA})
        yield started


@contextmanager
def session_service(server: Server, folder: Path) -> Iterator[dict[str, object]]:
    """The variables that say where it is, its URL as `host`, and its `process`."""
    port = free_port()
    environment = {
        "REDIS_URL": server.url,
        "SESSION_MAX_CONCURRENT": "5",
        "SESSION_ADMIN_TOKEN": TOKEN,
        "SESSION_HTTP_HOST": ADDRESS,
        "SESSION_HTTP_PORT": str(port),
        "SESSION_TLS_CERT_FILE": str(folder / "redis-1.crt"),
        "SESSION_TLS_KEY_FILE": str(folder / "redis-1.key"),
        "SESSION_DEADLINE_SECONDS": "1",
    }
    with (folder / "service.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "session_core.service"],
            env=bare_environment() | environment,
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_ready(port, folder)
        yield {
            "host": f"https://{ADDRESS}:{port}",
            "session_admin_token": TOKEN,
            "redis_ca_file": folder / "ca.crt",
            "process": process.pid,
        }
    finally:
        process.kill()
        process.wait()


def _wait_ready(port: int, folder: Path) -> None:
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(OSError):
            connection = http.client.HTTPSConnection(ADDRESS, port, timeout=2, context=context)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        time.sleep(0.1)
    raise AssertionError((folder / "service.log").read_text())
