"""A real Keycloak with the realm of tests/keycloak/realm.json, and what its operators do to it."""

import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from tests.session_core.servers import free_port

REALM: Final = Path(__file__).parents[1] / "keycloak" / "realm.json"
CLIENT_ID: Final = "session-service"
CLIENT_SECRET: Final = "client-secret-of-the-tests"
START_SECONDS: Final = 180.0
ALICE: Final = "00000000-0000-4000-8000-00000000a11c"
BOB: Final = "00000000-0000-4000-8000-000000000b0b"
OLGA: Final = "00000000-0000-4000-8000-0000000000e5"
QUARKUS: Final = "io.quarkus.bootstrap"
JAVA: Final = (
    "java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
    *(f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in ("util", "util.concurrent", "security")),
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    f"-Djava.util.concurrent.ForkJoinPool.common.threadFactory={QUARKUS}.forkjoin.QuarkusForkJoinWorkerThreadFactory",
)  # fmt: skip


@dataclass(frozen=True)
class KeycloakServer:
    """A running Keycloak, and the address at which it finds the service of the test that runs."""

    url: str
    service_port: int
    ca_file: Path
    process: "subprocess.Popen[bytes]"

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def realm(self) -> str:
        return f"{self.url}/realms/sessions"

    @property
    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_file))

    @property
    def settings(self) -> dict[str, Any]:
        """Of the service."""
        return {
            "keycloak_server_url": self.url,
            "keycloak_realm": "sessions",
            "keycloak_client_id": CLIENT_ID,
            "keycloak_client_secret": CLIENT_SECRET,
            "keycloak_ca_file": self.ca_file,
        }

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Call the admin API of the realm."""
        with httpx.Client(verify=self.context, base_url=self.url, timeout=30) as client:
            login = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": "admin"}
            token = client.post("/realms/master/protocol/openid-connect/token", data=login).json()["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            answer = client.request(method, f"/admin/realms/sessions{path}", json=body, headers=headers)
            assert answer.is_success, answer.text
            return answer.json() if answer.content else None

    def sids(self, user_id: str) -> set[str]:
        """Sessions that Keycloak has of a user."""
        return {session["id"] for session in self.admin("GET", f"/users/{user_id}/sessions")}

    def tokens(self, username: str = "alice", client_id: str = CLIENT_ID) -> dict[str, Any]:
        """Tokens for a password, without the service."""
        secret = {"client_secret": CLIENT_SECRET} if client_id == CLIENT_ID else {}
        grant = {"grant_type": "password", "username": username, "password": f"{username}-password", "scope": "openid"}
        with httpx.Client(verify=self.context) as client:
            answer = client.post(
                f"{self.realm}/protocol/openid-connect/token", data=grant | {"client_id": client_id} | secret
            )
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found


@contextmanager
def keycloak_server(directory: Path, certificates: Path) -> Iterator[KeycloakServer]:
    """Start Keycloak; its home is a copy made of links, so that any number of them run from one installation."""
    home = directory / "keycloak"
    installed = Path(os.environ["KIT_KEYCLOAK"])
    shutil.copytree(installed, home, copy_function=lambda source, target: Path(target).symlink_to(source))
    (home / "data" / "import").mkdir(parents=True)
    shutil.copy(REALM, home / "data" / "import" / "realm.json")
    port, management, service = free_port(), free_port(), free_port()
    url = f"https://localhost:{port}"
    options = [
        "start", "--optimized", "--import-realm", "--cache=local", f"--hostname={url}", "--http-host=127.0.0.1",
        f"--https-port={port}", f"--http-management-port={management}",
        f"--https-certificate-file={certificates / 'localhost.crt'}",
        f"--https-certificate-key-file={certificates / 'localhost.key'}",
        f"--truststore-paths={certificates / 'ca.crt'}",
    ]  # fmt: skip
    here = [f"-Dkc.home.dir={home}", f"-Djboss.server.config.dir={home / 'conf'}", "-cp", f"{home}/lib/quarkus-run.jar"]
    environment = {
        "PATH": os.environ["PATH"],
        "KIT_CLIENT_SECRET": CLIENT_SECRET,
        "KIT_SERVICE_URL": f"https://localhost:{service}",
        "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
        "KC_BOOTSTRAP_ADMIN_PASSWORD": "admin",
    }
    log = directory / "keycloak.log"
    with log.open("wb") as output:
        # It must not outlive this process, however that ends.
        command = ["setpriv", "--pdeathsig", "KILL", *JAVA, *here, f"{QUARKUS}.runner.QuarkusEntryPoint"]
        process = subprocess.Popen([*command, *options], env=environment, stdout=output, stderr=subprocess.STDOUT)
    server = KeycloakServer(url, service, certificates / "ca.crt", process)
    try:
        _wait_for(server, log)
        yield server
    finally:
        process.kill()
        process.wait()


def _wait_for(server: KeycloakServer, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(verify=server.context) as client:
        while True:
            try:
                if client.get(f"{server.realm}/.well-known/openid-configuration").is_success:
                    return
            except httpx.TransportError:
                pass
            assert server.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.25)
