"""Runs a command with a time limit. Beyond it the whole process group is killed; what it printed is kept.

Before that it is asked where it stands (SIGUSR1): Locust prints the stacks of its threads and greenlets.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import BinaryIO, Final, NamedTuple

LAST_WORDS_SECONDS: Final = 1.0


class Done(NamedTuple):
    """How a command ended, and what it printed (both streams)."""

    code: int
    output: str


class NotEndedError(Exception):
    """The command was still running at its time limit; the message has the end of its output."""


def run(
    command: Sequence[str], seconds: float, environment: Mapping[str, str] | None = None, *, shown: bool = False
) -> Done:
    """Run it to its end; nothing that it has started outlives it.

    Args:
        command: program and arguments.
        seconds: time limit.
        environment: all its variables; those of this process if not given.
        shown: its output goes where ours goes, at once; none is kept.

    Raises:
        NotEndedError: killed at the time limit.
        OSError: it cannot be started.
    """
    # A file and no pipe: a pipe stays open as long as any grandchild holds it.
    with tempfile.TemporaryFile() as output:
        stream = None if shown else output
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGUSR1)
            time.sleep(LAST_WORDS_SECONDS)
            _kill_group(process)
            raise NotEndedError(f"still running after {seconds:g} s:\n{_text(output)[-20_000:]}") from None
        finally:
            _kill_group(process)
        return Done(code, _text(output))


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _text(output: BinaryIO) -> str:
    output.seek(0)
    return output.read().decode("utf-8", "replace")
