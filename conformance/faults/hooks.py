"""Faults by commands that the user gives, as for managed clouds: `aws elasticache test-failover …`."""

import os
import subprocess
from collections.abc import Mapping

from conformance.config import Fault, Hook
from conformance.faults import FaultError, Heal
from conformance.faults.docker import once

SECONDS = 600


class HookFaults:
    """Runs the command of a fault in a shell."""

    def __init__(self, hooks: Mapping[Fault, Hook]) -> None:
        """Keep the commands by fault."""
        self._hooks = {str(fault): hook for fault, hook in hooks.items()}

    @property
    def abilities(self) -> frozenset[str]:
        """Those for which there is a command."""
        return frozenset(self._hooks)

    def inject(self, fault: str, node: str) -> Heal:
        """Run its command; to heal runs the other one, once."""
        hook = self._hooks[fault]
        _shell(f"faults.{fault}.inject", hook.inject, node)
        return once(lambda: _shell(f"faults.{fault}.heal", hook.heal, node)) if hook.heal else lambda: None

    def listening(self, node: str) -> frozenset[int]:  # noqa: ARG002 - the interface
        """A command cannot tell."""
        return frozenset()


def _shell(name: str, command: str, node: str) -> None:
    """Run a command. It may hold a secret: whoever reads the report is told the name of its field alone."""
    environment = {**os.environ, "CONFORMANCE_NODE": node}
    try:
        done = subprocess.run(  # noqa: S602 - the user's own command
            command, shell=True, env=environment, capture_output=True, check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise FaultError(f"{name}: not over after {SECONDS} s") from None
    if done.returncode:
        raise FaultError(f"{name}: exit {done.returncode}: {done.stderr.decode(errors='replace').strip()}")
