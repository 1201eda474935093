"""Runs the contract's tests against each mutant of the Lua: `python -m tests.mutation [file ...]`, about 10 minutes.

Every mutant must be found by a test, or it is explained in `survivors`. Each runs in a fork of this process, on one
throw-away Redis. Files that are not named keep their results in the report.
"""

import inspect
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import redis

from session_core import library
from tests.mutation.mutants import Mutant, mutants
from tests.mutation.report import write
from tests.session_core import servers
from tests.session_core.servers import Server

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests/session_core"
STAGES = (
    [*(f"test_{name}.py" for name in ("change", "limit", "revocation", "views", "lifecycle")), "-k", "redis"],
    ["test_guards.py", "test_concurrency.py", "-k", "not ten_thousand"],
    ["test_model.py", "-k", "thousands"],
)
"""The quick ones first: the first failure ends it."""
os.environ["KIT_TEST_MODEL_EXAMPLES"] = "15"
PATIENCE_SECONDS = 240
FORK: Any = multiprocessing.get_context("fork")


class Killer:
    """Puts the quick tests first, and remembers which failed first."""

    test = ""

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        """Those that wait go last."""
        items.sort(key=lambda item: "sleep(" in inspect.getsource(item.function))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.test:
            self.test = report.nodeid.removeprefix("tests/session_core/")


def _try(source: str, server: Server, answer: Connection) -> None:
    """In the fork: run the tests with this library until one fails."""

    @contextmanager
    def one(*_arguments: Any, **_named: Any) -> Iterator[Server]:
        yield server

    library.source = lambda: source
    servers.sweep = lambda: None
    servers.network = servers.redis_server = one  # type: ignore[assignment]
    killer = Killer()
    for names in STAGES:
        files = [str(TESTS / name) if name.endswith(".py") else name for name in names]
        status = pytest.main(["-x", "-q", "--no-header", "-p", "no:cacheprovider", *files], [killer])
        if status == pytest.ExitCode.TESTS_FAILED:
            answer.send(killer.test)
            return
        if status != pytest.ExitCode.OK:
            answer.send(ValueError(f"pytest ended with status {int(status)}: that judges nothing"))
            return
    answer.send("")


def killer_of(source: str, server: Server) -> str:
    """Return the test that fails with this library, or nothing."""
    mine, theirs = FORK.Pipe(duplex=False)
    child = FORK.Process(target=_silently, args=(source, server, theirs))
    child.start()
    found = mine.recv() if mine.poll(PATIENCE_SECONDS) else f"no end within {PATIENCE_SECONDS} s"
    child.kill()
    child.join()
    if isinstance(found, ValueError):
        raise found
    return str(found)


def _silently(source: str, server: Server, answer: Connection) -> None:
    with Path("/dev/null").open("w") as nowhere:
        sys.stdout = sys.stderr = nowhere
        _try(source, server, answer)


def answers(server: Server) -> bool:
    """Whether the server is of use for the next mutant: this one may have left it in an endless loop."""
    try:
        with server.admin(socket_timeout=2) as admin:  # type: ignore[arg-type]
            return bool(admin.ping())
    except redis.RedisError:
        return False


def check_unchanged() -> None:
    """The library as it is passes, or no mutant says anything."""
    with servers.network() as bridge, servers.redis_server(bridge) as server:
        failed = killer_of(library.source(), server)
    if failed:
        message = f"the library as it is fails {failed}"
        raise SystemExit(message)


def run(left: list[Mutant]) -> Iterator[dict[str, Any]]:
    """Try each mutant; a server that hangs is replaced."""
    with servers.network() as bridge:
        while left:
            with servers.redis_server(bridge) as server:
                while left and answers(server):
                    mutant, start = left.pop(0), time.monotonic()
                    found = killer_of(mutant.source(), server)
                    print(f"{time.monotonic() - start:6.1f} s  {mutant.name}  {found or 'SURVIVES'}", flush=True)
                    yield {
                        "file": mutant.file, "line": mutant.line, "before": mutant.before.strip(),
                        "after": mutant.after.strip(), "killed_by": found,
                    }  # fmt: skip


def main() -> None:
    environment = {
        "made_by": "python -m tests.mutation",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "image": servers.IMAGE,
        "python": platform.python_version(),
        "library_revision": library.REVISION,
    }
    check_unchanged()
    wrong = ""
    for file in sys.argv[1:] or library.FILES:
        wrong = write(ROOT / "docs/reports", environment, file, list(run(mutants(file))))
    raise SystemExit(wrong or None)


if __name__ == "__main__":
    main()
