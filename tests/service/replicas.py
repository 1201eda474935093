"""Two processes of the service behind the gateway of a deployment: nginx with what the kit renders for it."""

import asyncio
import shutil
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import docker
import httpx
from testcontainers.core.container import DockerContainer

from infra.render.gateway_conf import gateway_conf
from infra.render.topology import SERVICE_PORT, TLS
from tests.service.running import until
from tests.session_core.sentinel_group import certificates
from tests.session_core.servers import LABEL, OWNER, free_port
from tests.session_core.service_process import ServiceProcess

HOSTS: Final = ("127.0.7.1", "127.0.7.2")
ANSWER: Final = 0x8180  # a response, recursion available, no error (RFC 1035 section 4.1.1)


class Names(asyncio.DatagramProtocol):
    """Docker's DNS, in small: every name leads to these addresses, for one second."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._records = [socket.inet_aton(address) for address in addresses]

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        question = data[12 : data.index(b"\0", 12) + 5]
        head = data[:2] + struct.pack("!5H", ANSWER, 1, len(self._records), 0, 0)
        # Each points to the name of the question: type A, class IN, seconds, length.
        answers = (struct.pack("!HHHIH", 0xC00C, 1, 1, 1, 4) + record for record in self._records)
        self._transport.sendto(head + question + b"".join(answers), addr)


class Replicas:
    """The gateway's address, and the processes behind it."""

    def __init__(self, url: str, context: ssl.SSLContext, processes: Sequence[ServiceProcess]) -> None:
        self.url = url
        self.context = context
        self.processes = processes

    async def answers(self, process: ServiceProcess) -> None:
        async with process.client() as client:

            async def ready() -> bool:
                with suppress(httpx.TransportError):
                    return (await client.get("/readyz")).is_success
                return False

            await until(ready, 30)


@asynccontextmanager
async def behind_the_gateway(directory: Path, redis_port: int) -> AsyncIterator[Replicas]:
    """Start everything; it is gone at the end of the block."""
    certificates(directory, ["session", "localhost"])
    service_port, port = free_port(), free_port()
    names, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Names(HOSTS), local_addr=("127.0.0.1", 0)
    )
    processes = [
        ServiceProcess(directory / f"{host}.log", redis_port, directory / "session.crt", host, service_port)
        for host in HOSTS
    ]
    container = _nginx(directory, port, service_port, names.get_extra_info("sockname")[1])
    try:
        container.start()
        context = ssl.create_default_context(cafile=str(directory / "ca.crt"))
        replicas = Replicas(f"https://localhost:{port}", context, processes)
        for process in processes:
            await replicas.answers(process)
        yield replicas
    finally:
        with suppress(docker.errors.NotFound):
            container.stop()
        for process in processes:
            process.kill()
        names.close()


def _nginx(directory: Path, port: int, service_port: int, names_port: int) -> DockerContainer:
    text = gateway_conf(port, deadline_seconds=10)
    for old, new in {
        "resolver 127.0.0.11 ": f"resolver 127.0.0.1:{names_port} ",
        f"$session:{SERVICE_PORT};": f"$session:{service_port};",
        f"listen {port} ssl": f"listen 127.0.0.1:{port} ssl",
    }.items():
        assert old in text
        text = text.replace(old, new)
    kit = directory / "gateway"
    (kit / "tls").mkdir(parents=True)
    (kit / "nginx.conf").write_text(text)
    for name, copy in {"localhost.crt": "node.crt", "localhost.key": "node.key", "ca.crt": "ca.crt"}.items():
        shutil.copy(directory / name, kit / "tls" / copy)
        (kit / "tls" / copy).chmod(0o644)
    for each in (directory, kit, kit / "tls"):
        each.chmod(0o755)
    more = {"entrypoint": ["nginx"], "network_mode": "host", "labels": {LABEL: OWNER}}
    inside = str(Path(TLS).parent)
    container = DockerContainer("nginx:stable", command=["-c", f"{inside}/nginx.conf", "-g", "daemon off;"], **more)  # type: ignore[arg-type]
    return container.with_volume_mapping(str(kit), inside, "ro")
