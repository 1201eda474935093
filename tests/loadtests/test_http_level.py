"""What a service may answer that is none of the answers we hope for: refusals, something unreadable, nothing."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.loadtests.running import Load
from tests.loadtests.serving import TOKEN
from tests.session_core.servers import Server, free_port

pytestmark = pytest.mark.engine


Outcome = tuple[set[str], int]


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


@contextmanager
def answering(status: int, body: bytes) -> Iterator[Service]:
    with Service(("127.0.0.1", 0), Answers) as made:
        made.status, made.body = status, body
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture(scope="module")
def kinds(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Outcome]:
    """By what the service is like: the classes of errors, and how many connections it saw. Three runs at once."""

    def run(port: int) -> set[str]:
        load = Load(server, tmp_path_factory.mktemp("run") / "report", {"session_admin_token": TOKEN})
        load.options = ["--level", "http", "--host", f"http://127.0.0.1:{port}"]
        assert load.run("achieved_ratio: 0.1\ndropped: 300", seconds=3) == 1, load.output
        assert load.broken() == {"error ratio"}
        return {kind for each in load.found["operations"].values() for kind in each["errors"]}

    refusal = json.dumps({"type": "urn:problem:store-full"}).encode()
    with answering(507, refusal) as full, answering(201, b'{"handle":') as strange, ThreadPoolExecutor() as threads:
        a, b, c = threads.map(run, [full.server_port, strange.server_port, free_port()])
        return {"full": (a, full.connections), "strange": (b, strange.connections), "away": (c, 0)}


def test_a_refusal_is_read_to_its_end_and_the_connection_is_kept(kinds: Mapping[str, Outcome]) -> None:
    classes, connections = kinds["full"]

    assert classes == {"full"}
    assert connections <= 2 * 10, "each user has one, and another one to clean up"


def test_an_answer_that_cannot_be_read_is_an_error(kinds: Mapping[str, Outcome]) -> None:
    assert kinds["strange"][0] == {"unreadable"}


def test_nobody_there_is_an_error(kinds: Mapping[str, Outcome]) -> None:
    assert kinds["away"][0] == {"unavailable"}
