"""Histories written by hand, for the checkers; the matrix of what breaks them."""

import json
from pathlib import Path
from typing import Any

import yaml

from conformance.history import History

CREATED = 1_000_000.0
"""When a session was created by the server's clock, if nothing else is said, plus the time of the call's answer."""


def entries() -> list[dict[str, Any]]:
    """The entries of matrix.yaml."""
    found: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("matrix.yaml").read_text())
    return found


class Story:
    """Events in the order in which they are told; times are seconds."""

    def __init__(self) -> None:
        self._events: list[dict[str, Any]] = []

    def call(
        self, call: str, at: tuple[float, float], asked: dict[str, Any], told: dict[str, Any] | None, client: str = "a"
    ) -> "Story":
        """A call with its answer; None: nobody knows."""
        number = len(self._events)
        self._events.append({"at": at[0], "kind": "invoke", "op": number, "client": client, "call": call, **asked})
        if told is not None:
            self._events.append({"at": at[1], "kind": told.pop("kind", "ok"), "op": number, **told})
        return self

    def create(self, session: str, start: float, end: float, client: str = "a", **told: Any) -> "Story":
        answer = {
            "session": session, "alive": True, "created": CREATED + end, "expires": CREATED + end + 60, "durable": True,
            "evicted": [], "reason": None, **told,
        }  # fmt: skip
        return self.call("create", (start, end), {"user": "u"}, answer, client)

    def read(self, session: str, start: float, end: float, *, alive: bool, call: str = "get", **more: Any) -> "Story":
        client = more.pop("client", "b")
        answer = {"session": session if alive else None, "alive": alive, "expires": CREATED + 60, **more}
        return self.call(call, (start, end), {"session": session, "user": "u"}, answer, client)

    def audit(self, session: str, start: float, end: float, *, alive: bool) -> "Story":
        return self.read(session, start, end, alive=alive, call="inspect", client="auditor")

    def revoke(self, session: str, start: float, end: float, *, durable: bool = True) -> "Story":
        asked = {"session": session, "user": "u", "reason": "logout"}
        return self.call("revoke", (start, end), asked, {"found": True, "durable": durable})

    def list(self, sessions: list[str], start: float, end: float) -> "Story":
        return self.call("list", (start, end), {"user": "u"}, {"sessions": sessions}, "b")

    def fault(self, at: float, name: str, **fields: Any) -> "Story":
        self._events.append({"at": at, "kind": "fault", "name": name, **fields})
        return self

    def probe(self, name: str, **fields: Any) -> "Story":
        self._events.append({"at": 0.0, "kind": "probe", "name": name, **fields})
        return self

    def save(self, path: Path) -> None:
        path.write_text("".join(json.dumps(event) + "\n" for event in self._events))

    @property
    def history(self) -> History:
        return History.of(self._events)
