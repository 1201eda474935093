"""examples/nginx.conf in a real nginx, on this host's network."""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
import httpx
from fastapi import FastAPI
from testcontainers.core.container import DockerContainer

from tests.docs.snippets import ROOT
from tests.service.running import Browser, Service, listening, until
from tests.session_core.servers import LABEL, OWNER, free_port


@contextmanager
def nginx(
    directory: Path, certificates: Path, port: int, service_port: int, app_port: int
) -> Iterator[DockerContainer]:
    """Serve on `port`; the file is the example but for addresses."""
    text = (ROOT / "examples" / "nginx.conf").read_text()
    for old, new in {
        "session.internal:8443": f"127.0.0.1:{service_port}",
        "app.internal:8000": f"127.0.0.1:{app_port}",
        "listen 8444 ssl": f"listen 127.0.0.1:{port} ssl",
    }.items():
        assert old in text
        text = text.replace(old, new)
    directory.chmod(0o755)
    (directory / "nginx.conf").write_text(text)
    for name, copy in {"localhost.crt": "tls.crt", "localhost.key": "tls.key", "ca.crt": "ca.crt"}.items():
        shutil.copy(certificates / name, directory / copy)
        (directory / copy).chmod(0o644)
    more = {"entrypoint": ["nginx"], "network_mode": "host", "labels": {LABEL: OWNER}}
    container = DockerContainer("nginx:stable", command=["-c", "/conf/nginx.conf", "-g", "daemon off;"], **more)  # type: ignore[arg-type]
    container.with_volume_mapping(str(directory), "/conf", "ro")
    container.start()
    try:
        yield container
    finally:
        with suppress(docker.errors.NotFound):
            container.stop()


class Front:
    """The gateway's address, and the service behind it."""

    def __init__(self, url: str, service: Service) -> None:
        self.url = url
        self.service = service

    def browser(self) -> Browser:
        browser = self.service.browser()
        browser.http.base_url = httpx.URL(self.url)
        browser.url = self.url
        return browser


@asynccontextmanager
async def in_front(serve: Any, app: FastAPI, port: int, directory: Path, certificates: Path) -> AsyncIterator[Front]:
    """Serve an application and the session service behind nginx at `port`."""
    app_port, service_port = free_port(), free_port()
    async with serve(port=service_port) as service, listening(app, app_port):
        with nginx(directory, certificates, port, service_port, app_port):
            front = Front(f"https://localhost:{port}", service)
            await until(front.browser().is_served)
            yield front
