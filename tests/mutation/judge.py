"""Runs the contract's tests against one library after another, each in a fork of a pytest that has collected them."""

import multiprocessing
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis

from session_core import library
from tests.session_core import servers
from tests.session_core.servers import Server

TESTS = Path(__file__).parents[1] / "session_core"
SUITE = ("change", "limit", "revocation", "views", "lifecycle", "guards", "import", "concurrency", "model")
TOO_LONG = ("ten_thousand", "planted", "threads")
os.environ["KIT_TEST_MODEL_EXAMPLES"] = "15"
FORK: Any = multiprocessing.get_context("fork")


class Run(NamedTuple):
    """The test that failed, or nothing; and how long each took, in seconds."""

    failed: str
    seconds: dict[str, float]


class Judge:
    """A pytest plugin: `work` is called once all tests are collected, with this, instead of running them."""

    def __init__(self, work: Callable[["Judge"], None]) -> None:
        """Nothing runs yet."""
        self._work = work
        self._server: Server | None = None
        self._stop = ExitStack()
        self._items: list[pytest.Item] = []
        self._kills: Counter[str] = Counter()
        self._patience = 600.0
        self._run = Run("", defaultdict(float))

    def collect(self) -> None:
        """Collect the tests and do the work."""
        files = [str(TESTS / f"test_{name}.py") for name in SUITE]
        options = ["-q", "-s", "--no-header", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"]
        status = pytest.main([*options, *files], [self])
        if status != pytest.ExitCode.OK:
            message = f"pytest ended with status {int(status)}: that judges nothing"
            raise SystemExit(message)

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        """Leave those that need one Redis, by itself."""
        items[:] = [item for item in items if _on_redis(item) and not any(word in item.nodeid for word in TOO_LONG)]

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Take the place of pytest's loop."""
        self._items = list(session.items)
        with servers.network() as self._bridge, self._stop:
            self._first_of_all()
            self._work(self)
        return True

    def _first_of_all(self) -> None:
        """The library as it is passes, or no mutant says anything. From then on those come first that cost least."""
        unchanged = self._ask(library.source())
        if unchanged.failed:
            pytest.exit(f"the library as it is fails {unchanged.failed}", returncode=1)
        self._seconds = unchanged.seconds
        for item in self._items:  # one that never ends is found, too
            item.add_marker(pytest.mark.timeout(10 + 5 * self._seconds[item.nodeid]))
        self._patience = 30 + 4 * sum(self._seconds.values())
        print(f"{len(self._items)} tests, {sum(self._seconds.values()):.0f} s", flush=True)

    def killer_of(self, source: str) -> str:
        """Return the test that fails with this library, or nothing. Those that killed often get their turn sooner."""
        self._items.sort(key=lambda item: self._seconds[item.nodeid] / (1 + self._kills[item.nodeid]))
        failed = self._ask(source).failed
        self._kills[failed] += 1
        return failed

    def _ask(self, source: str) -> Run:
        mine, theirs = FORK.Pipe(duplex=False)
        child = FORK.Process(target=self._try, args=(source, self._answering(), theirs))
        child.start()
        theirs.close()
        try:
            return mine.recv() if mine.poll(self._patience) else Run(f"no end within {self._patience:.0f} s", {})
        except EOFError:
            pytest.exit("the tests ended without a verdict", returncode=1)
        finally:
            child.kill()
            child.join()

    def _answering(self) -> Server:
        """A server that is of use: a mutant may have left the last one in an endless loop."""
        if self._server is not None:
            try:
                with self._server.admin(socket_timeout=2) as admin:  # type: ignore[arg-type]
                    admin.ping()
            except redis.RedisError:
                self._stop.close()
                self._server = None
        if self._server is None:
            self._server = self._stop.enter_context(servers.redis_server(self._bridge))
        return self._server

    def _try(self, source: str, server: Server, answer: Connection) -> None:
        """In the fork: run the tests until one fails."""

        @contextmanager
        def one(*_arguments: Any, **_named: Any) -> Iterator[Server]:
            yield server

        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        library.source = lambda: source
        servers.sweep = lambda: None
        servers.network = servers.redis_server = one  # type: ignore[assignment]
        for item, following in zip(self._items, [*self._items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._run.failed:
                break
        answer.send(Run(self._run.failed, dict(self._run.seconds)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """In the fork: note how it went."""
        self._run.seconds[report.nodeid] += report.duration
        if report.failed and not self._run.failed:
            self._run = self._run._replace(failed=report.nodeid.removeprefix("tests/session_core/"))


def _on_redis(item: pytest.Function) -> bool:
    back_end = item.callspec.params.get("make", "redis") if hasattr(item, "callspec") else "redis"
    return (
        back_end == "redis"
        and "pair" not in item.fixturenames
        and bool({"redis", "make", "on_redis"} & set(item.fixturenames))
    )
