"""A user that is stopped in the middle of an answer can still clean up."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests import bounded
from loadtests.level import Created, Found, Known, RefusedError
from loadtests.sessions import LoadUser
from loadtests.workloads import WORKLOADS

STOPPED = """
import gevent.monkey; gevent.monkey.patch_all()
import http.server, threading, time
import gevent
from loadtests.http_level import HttpLevel
from loadtests.level import Known
from loadtests.service import Service

class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "1")
        self.end_headers()
        self.wfile.flush()
        time.sleep(60)
    def do_DELETE(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
threading.Thread(target=server.serve_forever, daemon=True).start()
level = HttpLevel(Service(f"http://127.0.0.1:{server.server_address[1]}", "token"), 10)

def user():
    try:
        level.read(Known("user", "handle", "cookie=x", "mark", 0, True))
    except gevent.GreenletExit:  # as Locust's User.run
        level.close()
        level.end_all("user")
        print("cleaned up", flush=True)

running = gevent.spawn(user)
gevent.sleep(0.5)
running.kill()
import os; os._exit(0)
"""


def test_it_does_not_wait_for_the_connection_of_the_answer_that_it_gave_up(tmp_path: Path) -> None:
    script = tmp_path / "stopped.py"
    script.write_text(STOPPED)

    assert bounded.run([sys.executable, str(script)], 20) == (0, "cleaned up\n")


class StoppedLevel:
    """Answers everything until the run ends in the middle of a login."""

    def __init__(self) -> None:
        self.end: type[BaseException] | None = None
        self.gone: set[str] = set()
        self.number = 0

    def create(self, user: str, mark: str, ttl_seconds: int) -> Created | None:
        if self.end:
            raise self.end("unavailable", "") if issubclass(self.end, RefusedError) else self.end()
        self.number += 1
        known = Known(user, str(self.number), self.number, mark, 10**15, durable=True)
        return Created(known, (), same=True)

    def read(self, known: Known) -> Found:
        return Found(known.name not in self.gone, 0)

    touch = read

    def revoke(self, known: Known) -> tuple[Found, bool]:
        return self.read(known), True

    def end_all(self, user: str) -> None: ...

    def close(self) -> None: ...


def lost_after(end: type[BaseException] | None) -> int:
    """A session has gone; how many the audit misses, if a login of its user has ended so before."""
    level = StoppedLevel()
    user = LoadUser(level, replace(WORKLOADS["steady"], users_each=1))
    user.create()
    level.end = end
    if end:
        with pytest.raises(end):
            user.create()
    level.gone = {user.live[0].name}
    return user.audit()


def test_a_login_whose_answer_was_not_heard_accuses_nobody() -> None:
    assert lost_after(None) == 1
    assert lost_after(RefusedError) == 0
    assert lost_after(KeyboardInterrupt) == 0, "any end of a run"
