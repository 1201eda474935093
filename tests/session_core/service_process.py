"""The service as it is deployed: `python -m session_core.service` with TLS, and its log."""

import os
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Final

import httpx

from tests.session_core import servers
from tests.session_core.conftest import APP_PASSWORD

TOKEN: Final = "an-admin-token-of-enough-characters"
ADMIN: Final = {"Authorization": f"Bearer {TOKEN}"}
MODULE: Final = (sys.executable, "-m", "session_core.service")


class ServiceProcess:
    """A process that can be stopped and started again at the same address."""

    def __init__(
        self, log: Path, redis_port: int, certificate: Path, host: str = "127.0.0.1", port: int | None = None
    ) -> None:
        """Start it; `certificate` has its key beside it, and `ca.crt`."""
        self.host = host
        self.port = port or servers.free_port()
        self._log = log
        self._ca_file = certificate.parent / "ca.crt"
        self.environment = {
            "PATH": os.environ["PATH"],
            "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
            "REDIS_USERNAME": "sessions",
            "REDIS_PASSWORD": APP_PASSWORD,
            "SESSION_ADMIN_TOKEN": TOKEN,
            "SESSION_HTTP_PORT": str(self.port),
            "SESSION_HTTP_HOST": host,
            "SESSION_TLS_CERT_FILE": str(certificate),
            "SESSION_TLS_KEY_FILE": str(certificate.with_suffix(".key")),
            "SESSION_DEADLINE_SECONDS": "1",
        }
        self.start()

    def start(self) -> None:
        with self._log.open("a") as output:
            self.process = subprocess.Popen(
                MODULE, env=self.environment, cwd=self._log.parent, stdout=output, stderr=subprocess.STDOUT
            )

    def terminate(self, seconds: float) -> int:
        """Ask it to end, as Docker does, and return how it did."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def context(self) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=str(self._ca_file))
        made.check_hostname = False  # the certificate is for a name of the deployment
        return made

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(verify=self.context, base_url=f"https://{self.host}:{self.port}", timeout=10)

    def log(self) -> str:
        return self._log.read_text()

    def resident_kib(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    def health(self) -> int:
        command = [*MODULE, "health"]
        return subprocess.run(command, env=self.environment, capture_output=True, timeout=10, check=False).returncode
