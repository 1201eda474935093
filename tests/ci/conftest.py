"""Fixtures for the tests of ci/."""

import os
from pathlib import Path

import pytest

from tests.ci.machine import Machine


@pytest.fixture(name="machine")
def _machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture(name="not_root")
def _not_root(machine: Machine) -> None:
    machine.command("id", 'case "$1" in -u) echo 1000 ;; -un) echo ann ;; esac')


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("KIT_", "PULUMI_"))]:
        monkeypatch.delenv(name)
