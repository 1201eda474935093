"""The entrypoints' tests run under every shell that is there; golden files are rewritten on request."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.render.box import Box, Shell, node_called, shells


def pytest_addoption(parser: pytest.Parser) -> None:
    """Known where this folder is named: `pytest tests/render --update-golden`."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files with what is rendered now")


@pytest.fixture(name="update_golden")
def _update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden", default=False))


@pytest.fixture(name="shell", params=shells(), ids=str)
def _shell(request: pytest.FixtureRequest) -> Shell:
    shell: Shell = request.param
    return shell


@pytest.fixture(name="redis")
def _redis(tmp_path: Path, shell: Shell) -> Callable[[str], Box]:
    """Makes the container of a Redis node by its name."""
    return lambda name: Box(tmp_path / name, shell, node_called(name), "redis")


@pytest.fixture(name="sentinel")
def _sentinel(tmp_path: Path, shell: Shell) -> Box:
    """The container of sentinel-1."""
    return Box(tmp_path / "sentinel-1", shell, node_called("sentinel-1"), "sentinel")
