"""What a service may answer that is none of the answers we hope for: refusals, something unreadable, nothing."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.loadtests.running import Load
from tests.loadtests.serving import TOKEN
from tests.session_core.servers import free_port

pytestmark = pytest.mark.engine


class Service(ThreadingHTTPServer):
    """Answers everything alike, its head first."""

    status, body, connections = 200, b"", 0


class Answers(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Service

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.flush()
        time.sleep(0.005)
        self.wfile.write(self.server.body)

    do_DELETE = do_POST  # noqa: N815 - the name that the base class looks for

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name in the base class
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    with Service(("127.0.0.1", 0), Answers) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def aimed(load: Load) -> Load:
    load.where = {"session_admin_token": TOKEN}
    return load


def run(load: Load, port: int) -> set[str]:
    """Run against this port; the classes of errors. The gate is broken."""
    load.options = ["--level", "http", "--host", f"http://127.0.0.1:{port}"]

    assert load.run("achieved_ratio: 0.1\ndropped: 300", seconds=3) == 1, load.output

    assert load.broken() == {"error ratio"}
    return {kind for each in load.found["operations"].values() for kind in each["errors"]}


def test_a_refusal_is_read_to_its_end_and_the_connection_is_kept(aimed: Load, service: Service) -> None:
    service.status, service.body = 507, json.dumps({"type": "urn:problem:store-full"}).encode()

    assert run(aimed, service.server_port) == {"full"}

    assert service.connections <= 2 * 10, "each user has one, and another one to clean up"


def test_an_answer_that_cannot_be_read_is_an_error(aimed: Load, service: Service) -> None:
    service.status, service.body = 201, b'{"handle":'

    assert run(aimed, service.server_port) == {"unreadable"}


def test_nobody_there_is_an_error(aimed: Load) -> None:
    assert run(aimed, free_port()) == {"unavailable"}
