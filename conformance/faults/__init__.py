"""What can be done to a deployment from outside. One interface; who can do nothing claims nothing."""

from collections.abc import Callable
from typing import Protocol

Heal = Callable[[], None]
"""Undoes a fault. May be called more than once."""


class FaultError(Exception):
    """A fault could not be injected or undone; the message says what was tried and what answered."""


class Faults(Protocol):
    """A back end. All methods block."""

    @property
    def abilities(self) -> frozenset[str]:
        """The faults that `inject` knows, such as kill, pause, partition, stop, handover, restart."""

    def inject(self, fault: str, node: str) -> Heal:
        """Do it to the node of this announced name; what undoes it.

        Raises:
            FaultError: it could not be done.
        """

    def listening(self, node: str) -> frozenset[int]:
        """Ports on which the node listens; empty where that cannot be seen."""


class NoFaults:
    """Nothing can be done to this deployment."""

    abilities: frozenset[str] = frozenset()

    def inject(self, fault: str, node: str) -> Heal:
        """Refuse."""
        raise FaultError(f"{fault} of {node or 'the primary'}: this target has no way to do it")

    def listening(self, node: str) -> frozenset[int]:  # noqa: ARG002 - the interface
        """Nothing can be seen."""
        return frozenset()
