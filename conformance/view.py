"""Who is primary and whether everything is in step, as the application's user may ask. Blocking."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import hiredis

from conformance.targets import Target
from conformance.wire import WireError
from session_core.address import Address

STEADY = 2
"""Looks in a row that must agree before a deployment counts as settled."""


class NotSettledError(Exception):
    """The deployment did not come to rest in time; the message says what it looked like."""


@dataclass(frozen=True)
class View:
    """A target with Sentinels, seen from here."""

    target: Target

    def primary(self) -> Address | None:
        """The node that a majority of the Sentinels names; None while none is."""
        settings = self.target.settings()
        asked = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", settings.target.master)
        named = [Address(reply[0], int(reply[1])) for reply in self._sentinels(asked) if isinstance(reply, list)]
        best = max(set(named), key=named.count, default=None)
        return best if best and named.count(best) > len(self.target.sentinels) // 2 else None

    def role(self, address: Address) -> list[Any]:
        """What a node says of itself (ROLE); empty while it says nothing."""
        try:
            [reply] = self.target.wire.ask(address, self.target.login, ("ROLE",))
        except WireError:
            return []
        return reply if isinstance(reply, list) else []

    def software(self) -> dict[str, str]:
        """Name and version of the server on each node, as HELLO tells every user; without those that do not say."""
        found = {}
        for node in self.target.nodes:
            with suppress(WireError):
                [reply] = self.target.wire.ask(node, self.target.login, ("HELLO",))
                told = dict(zip(reply[::2], reply[1::2], strict=False)) if isinstance(reply, list) else {}
                if {"server", "version"} <= told.keys():
                    found[str(node)] = f"{told['server']} {told['version']}"
        return found

    def linked(self) -> str:
        """Empty if one primary is named and all other nodes follow it; else what is not so."""
        primary = self.primary()
        if primary is None:
            return "no majority of the Sentinels names a primary"
        role = self.role(primary)
        if not role or role[0] != "master":
            return f"{primary.host} is named, and says {role[:1]}"
        others = [node for node in self.target.nodes if node != primary]
        links = {str(node): self.role(node)[3:4] for node in others}
        if any(link != ["connected"] for link in links.values()) or len(role[2]) != len(others):
            return f"replicas of {primary.host} that are linked: {len(role[2])} of {len(others)}; {links}"
        return ""

    def settled(self) -> str:
        """Empty if all nodes are linked and every Sentinel knows every replica as electable; else what is not so."""
        if problem := self.linked():
            return problem
        asked = ("SENTINEL", "REPLICAS", self.target.settings().target.master)
        known = [_electable(reply) for reply in self._sentinels(asked)]
        if known != [len(self.target.nodes) - 1] * len(self.target.sentinels):
            return f"replicas that each Sentinel holds for electable: {known}"
        return ""

    def wait_settled(self, seconds: float) -> Address:
        """Wait until everything is in step; the primary.

        Raises:
            NotSettledError: not in that time.
        """
        deadline, steady = time.monotonic() + seconds, 0
        while steady < STEADY:
            problem = self.settled()
            steady = 0 if problem else steady + 1
            if problem and time.monotonic() > deadline:
                raise NotSettledError(f"not settled in {seconds:.0f} s: {problem}")
            time.sleep(0.2)
        primary = self.primary()
        if primary is None:
            return self.wait_settled(max(0.0, deadline - time.monotonic()))
        return primary

    def _sentinels(self, command: Sequence[str]) -> list[Any]:
        replies = []
        for sentinel in self.target.sentinels:
            try:
                replies += self.target.wire.ask(sentinel, self.target.sentinel_login, command)
            except WireError:
                continue
        return replies


def _electable(reply: Any) -> int:  # noqa: ANN401 - a reply
    """How many of a Sentinel's replicas could be promoted: nothing wrong with them, and a priority."""
    if isinstance(reply, hiredis.ReplyError) or not isinstance(reply, list):
        return 0
    states = [dict(zip(each[::2], each[1::2], strict=True)) for each in reply]
    return sum(each["flags"] == "slave" and each["slave-priority"] != "0" for each in states)
