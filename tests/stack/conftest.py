"""Deployments for tests. Each is removed afterwards, also after a failure or an interrupt."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.kit import Access, Stack


@pytest.fixture(name="stack")
def _stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that is not up yet, for one test alone."""
    yield from _temporary("test-own", tmp_path_factory.mktemp("state-own"), first_port=17479)


@pytest.fixture(name="running", scope="session")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Access]:
    """A deployment that runs, for all tests: one that breaks it mends it."""
    for stack in _temporary("test-shared", tmp_path_factory.mktemp("state-shared"), first_port=17379):
        stack.up()
        yield Access.to(stack)


def _temporary(name: str, state: Path, first_port: int) -> Iterator[Stack]:
    ports = {"redisPort": first_port, "sentinelPort": first_port + 10, "httpsPort": first_port + 20}
    stack = Stack(name, state, ports)
    stack.remove()  # what a killed run has left
    state.mkdir(exist_ok=True)
    try:
        stack.create()
        yield stack
    finally:
        stack.remove()
