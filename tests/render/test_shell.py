"""What holds for the text of every script that goes into a container."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.render.entrypoints import script
from tests.render.box import Shell

SCRIPTS = ("redis", "sentinel", "ctl")


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("dialect", ["sh", "dash", "busybox"])
def test_shellcheck_has_nothing_to_say(name: str, dialect: str) -> None:
    words = [str(Path(sys.executable).with_name("shellcheck")), f"--shell={dialect}", "--severity=style", "--norc", "-"]
    checked = subprocess.run(words, input=script(name), capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_shell_can_read_the_script(shell: Shell, name: str) -> None:
    read = subprocess.run([*shell.words, "-n"], input=script(name), capture_output=True, text=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_waits_for_a_server_without_bound(name: str) -> None:
    """Each question is asked under `timeout`: a peer that is frozen must not freeze those who ask it."""
    asking = [line for line in script(name).splitlines() if '-cli"' in line and not line.lstrip().startswith("#")]
    assert asking
    assert all('timeout 2 "$ENGINE-cli"' in line for line in asking)
