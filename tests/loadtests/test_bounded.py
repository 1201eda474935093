"""A command that does not end is killed with everything that it has started, and its output is shown."""

import os
import sys
import time
from pathlib import Path

import pytest

from loadtests.bounded import NotEndedError, run


def test_it_returns_the_exit_code_and_both_streams() -> None:
    assert run(["sh", "-c", "echo out; echo err >&2; exit 3"], 10) == (3, "out\nerr\n")


def test_what_does_not_end_is_killed_with_its_children_and_shows_its_output(tmp_path: Path) -> None:
    child = tmp_path / "child"
    code = (
        "import os, signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "signal.signal(signal.SIGUSR1, lambda *_: print('I stand here', flush=True));"
        f"process = subprocess.Popen(['sleep', '60']); open({str(child)!r}, 'w').write(str(process.pid));"
        "print('on my way', flush=True); [time.sleep(60) for _ in range(2)]"
    )
    start = time.monotonic()

    with pytest.raises(NotEndedError, match=r"still running after 2 s:\non my way\nI stand here"):
        run([sys.executable, "-c", code], 2)

    assert time.monotonic() - start < 10
    assert _gone(int(child.read_text()))


def test_what_is_left_in_the_background_does_not_outlive_it() -> None:
    done = run(["sh", "-c", "sleep 60 & echo $!"], 10)

    assert _gone(int(done.output))


def _gone(process: int) -> bool:
    for _ in range(50):
        try:
            os.kill(process, 0)
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.1)
    return False
