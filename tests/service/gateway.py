"""examples/nginx.conf in a real nginx, on this host's network."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
from testcontainers.core.container import DockerContainer

from tests.docs.snippets import ROOT
from tests.session_core.servers import LABEL, OWNER


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
