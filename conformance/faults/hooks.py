"""Faults by commands that the user gives, as for managed clouds: `aws elasticache test-failover …`."""

import os
import subprocess
from collections.abc import Mapping

from conformance.config import Hook
from conformance.faults import FaultError, Heal

SECONDS = 600


class HookFaults:
    """Runs the command of a fault in a shell."""

    def __init__(self, hooks: Mapping[str, Hook]) -> None:
        """Keep the commands by fault."""
        self._hooks = hooks

    @property
    def abilities(self) -> frozenset[str]:
        """Those for which there is a command."""
        return frozenset(self._hooks)

    def inject(self, fault: str, node: str) -> Heal:
        """Run its command; to heal runs the other one, once."""
        hook = self._hooks[fault]
        _shell(hook.inject, node)
        left = [hook.heal] if hook.heal else []

        def heal() -> None:
            while left:
                _shell(left.pop(), node)

        return heal

    def listening(self, node: str) -> frozenset[int]:  # noqa: ARG002 - the interface
        """A command cannot tell."""
        return frozenset()


def _shell(command: str, node: str) -> None:
    environment = {**os.environ, "CONFORMANCE_NODE": node}
    try:
        done = subprocess.run(  # noqa: S602 - the user's own command
            command, shell=True, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise FaultError(f"not over after {SECONDS} s: {command}") from None
    if done.returncode:
        raise FaultError(f"exit {done.returncode}: {command}\n{done.stderr.strip() or done.stdout.strip()}")
