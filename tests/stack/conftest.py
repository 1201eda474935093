"""Deployments for tests. Each is removed afterwards, also after a failure or an interrupt."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.kit import Access, Stack

PORTS = {"redisPort": 17379, "sentinelPort": 37379, "httpsPort": 19443}
OTHER_PORTS = {"redisPort": 17479, "sentinelPort": 37479, "httpsPort": 19543}


@pytest.fixture(name="stack", scope="module")
def _stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    yield from _temporary("test-one", tmp_path_factory.mktemp("state-one"), PORTS)


@pytest.fixture(name="other_stack", scope="module")
def _other_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    yield from _temporary("test-two", tmp_path_factory.mktemp("state-two"), OTHER_PORTS)


@pytest.fixture(name="running", scope="module")
def _running(stack: Stack) -> Access:
    """A deployment that runs; a test that breaks it mends it."""
    stack.up()
    return Access.to(stack)


def _temporary(name: str, state: Path, ports: dict[str, int]) -> Iterator[Stack]:
    stack = Stack(name, state, ports)
    stack.remove()  # what a killed run has left
    state.mkdir(exist_ok=True)
    try:
        stack.create()
        yield stack
    finally:
        stack.remove()
