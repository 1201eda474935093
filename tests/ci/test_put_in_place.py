import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.ci.machine import Machine

BUILD = 'build() { echo built >>"$CALLS"; echo tool >"$1/tool"; }; '
SLOW = 'build() { echo half >"$1/half"; sleep 60 & echo $! >"$CALLS"; wait; }; '


def eventually(condition: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def interrupted(machine: Machine, number: int) -> subprocess.Popen[str]:
    """A build that has got this signal, as from a terminal, when it was half done."""
    process = machine.start("-c", SLOW + 'put_in_place "$KIT_CACHE/tool-1" step building build')
    eventually(machine.called)
    os.killpg(process.pid, number)
    return process


def test_what_was_built_is_there_and_its_progress_was_told(machine: Machine) -> None:
    code, said = machine.run("-c", BUILD + 'put_in_place "$KIT_CACHE/tool-1" step "building tool 1" build')

    assert code == 0
    assert [path.name for path in (machine.cache / "tool-1").iterdir()] == ["tool"]
    assert "building tool 1 ..." in said
    assert re.search(r"building tool 1: done in \d s", said)


def test_what_is_there_is_not_built_again(machine: Machine) -> None:
    for _ in range(2):
        machine.run("-c", BUILD + 'put_in_place "$KIT_CACHE/tool-1" step building build')

    assert machine.called() == ["built"]


def test_two_at_once_build_it_once(machine: Machine) -> None:
    slow = BUILD.replace("echo tool", "sleep 0.5; echo tool")
    both = [machine.start("-c", slow + 'put_in_place "$KIT_CACHE/tool-1" step building build') for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in both]

    assert [process.returncode for process in both] == [0, 0]
    assert machine.called() == ["built"]
    assert sum("another process is at it" in text for text in said) == 1


def test_a_failed_build_leaves_nothing_and_shows_its_last_words(machine: Machine) -> None:
    failing = 'build() { echo half >"$1/half"; echo "no space left" >&2; exit 7; }; '
    code, said = machine.run(
        "-c", failing + 'put_in_place "$KIT_CACHE/tool-1" step "building tool 1" build; echo went on'
    )

    assert code == 1
    assert "| no space left" in said
    assert "building tool 1 failed (exit code 7)" in said
    assert "went on" not in said
    assert not (machine.cache / "tool-1").exists()


def test_an_interrupt_ends_the_build_with_its_children_and_leaves_nothing_half_done(machine: Machine) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        process = interrupted(machine, number)
        child = int(machine.called()[0])
        said, _ = process.communicate(timeout=60)

        assert process.returncode != 0
        assert "interrupted: building" in said
        eventually(lambda child=child: not Path(f"/proc/{child}").exists())  # type: ignore[misc]
        assert not (machine.cache / "tool-1").exists()
        machine.calls.unlink()


def test_after_an_interrupt_the_next_run_builds_from_scratch(machine: Machine) -> None:
    interrupted(machine, signal.SIGKILL).wait()
    os.kill(int(machine.called()[0]), signal.SIGKILL)

    code, _ = machine.run("-c", BUILD + 'put_in_place "$KIT_CACHE/tool-1" step building build')

    assert code == 0
    assert [path.name for path in (machine.cache / "tool-1").iterdir()] == ["tool"]


def test_versions_compare_as_numbers(machine: Machine) -> None:
    code, said = machine.run("-c", "! at_least 1.21 1.9 && at_least 2 v2.40.3 && at_least v2.40.3 2.40.3 && echo right")

    assert (code, said) == (0, "right\n")
