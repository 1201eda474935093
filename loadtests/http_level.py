"""The operations at the session service over HTTP, as a back end (logins) and as browsers (everything else)."""

import json
import time
from collections.abc import Mapping
from datetime import datetime
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import quote, unquote

from locust.contrib.fasthttp import FastHttpSession, FastResponse
from locust.event import EventHook

from loadtests.level import Created, Found, Known, RefusedError
from loadtests.service import Service
from loadtests.trust import trusting

SECONDS: Final = 15.0
"""Longest wait for one answer; the service itself gives up after SESSION_DEADLINE_SECONDS."""
CREATED, OK, UNAUTHORIZED, CONFLICT = 201, 200, 401, 409
KINDS: Final = {"store-full": "full", "store-unavailable": "unavailable"}
"""Class of an error by the last word of the problem's type (`session_core.service.problems`)."""


class HttpLevel:
    """On one connection to the service."""

    def __init__(self, service: Service, agent_bytes: int) -> None:
        """Open nothing yet; `agent_bytes`: length of the longest value in the metadata of its sessions."""
        self._service = service
        self._metadata = {"device": "load test", "agent": "x" * agent_bytes}
        self._http = self._session()

    def create(self, user: str, mark: str, ttl_seconds: int) -> Created | None:
        """Log in as a back end does."""
        sent = int(time.time() * 1000)  # it cannot expire earlier than its time after this, whatever clock decides
        body = {"user_id": user, "metadata": {**self._metadata, "mark": mark}, "ttl_seconds": ttl_seconds}
        response = self._ask("POST", "/v1/sessions", self._admin(), json.dumps(body))
        if response.status_code == CONFLICT:
            return None
        if response.status_code != CREATED:
            raise _refused(response)
        told = response.json()
        expires, durable = sent + ttl_seconds * 1000, self._durable(told)
        known = Known(user, told["handle"], _cookie(response), mark, expires, durable)
        return Created(known, tuple(told["evicted"]), told["user_id"] == user)

    def read(self, known: Known) -> Found:
        """Verify it, as a gateway does for each request."""
        response = self._ask("GET", "/v1/verify", _browser(known))
        if response.status_code == UNAUTHORIZED:
            return _found(alive=False)
        if response.status_code != OK:
            raise _refused(response)
        said = (unquote(_header(response, "X-Session-User")), _header(response, "X-Session-Handle"))
        later = datetime.fromisoformat(_header(response, "X-Session-Expires")).timestamp() * 1000 >= known.expires
        return _found(alive=True, same=later and said == (known.user, known.name))

    def touch(self, known: Known) -> Found:
        """Show "my devices": it is in the list, with its metadata."""
        response = self._ask("GET", "/v1/sessions", _browser(known))
        if response.status_code == UNAUTHORIZED:
            return _found(alive=False)
        if response.status_code != OK:
            raise _refused(response)
        current = [each for each in response.json() if each["current"]]
        written = (known.name, known.user, {**self._metadata, "mark": known.mark})
        return _found(
            alive=True, same=[(each["handle"], each["user_id"], each["metadata"]) for each in current] == [written]
        )

    def revoke(self, known: Known) -> tuple[Found, bool]:
        """Log out."""
        origin = {"Origin": self._service.url}
        response = self._ask("DELETE", "/v1/sessions/current", _browser(known) | origin)
        if response.status_code == UNAUTHORIZED:
            return _found(alive=False), True
        if response.status_code != OK:
            raise _refused(response)
        told = response.json()
        return _found(alive=told["ended"] == [known.name]), self._durable(told)

    def end_all(self, user: str) -> None:
        """End a user's sessions as an operator does."""
        response = self._ask("DELETE", f"/v1/admin/users/{quote(user)}/sessions", self._admin())
        if response.status_code != OK:
            raise _refused(response)

    def close(self) -> None:
        """Close the connections."""
        self._http.client.close()
        self._http = self._session()

    def _session(self) -> FastHttpSession:
        session = FastHttpSession(
            self._service.url,
            EventHook(),  # type: ignore[no-untyped-call] # nobody listens: an operation is counted once, by whoever asked for it
            None,
            insecure=False,
            # With this parameter: else all authorities that geventhttpclient knows are trusted, too.
            ssl_context_factory=lambda cafile: trusting(self._service.ca_file),  # noqa: ARG005
            network_timeout=SECONDS,
            connection_timeout=SECONDS,
            max_retries=0,
        )
        session.client.cookiejar = None  # each request says whose it is
        # Every status is an answer; of another one the whole conversation would be written down each time.
        session.client.valid_response_codes = frozenset(range(100, 600))  # type: ignore[misc]
        session.client.redirect_response_codes = frozenset()  # type: ignore[misc]
        return session

    def _durable(self, told: Mapping[str, Any]) -> bool:
        return bool(told["durable"]) or not self._service.waits

    def _admin(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._service.token}", "Content-Type": "application/json"}

    def _ask(self, method: str, path: str, headers: Mapping[str, str], body: str | None = None) -> FastResponse:
        response: Any = self._http.request(method, path, data=body, headers=dict(headers))
        if not response.status_code:
            raise RefusedError("unavailable", f"no answer: {response.error!r}")
        return response  # type: ignore[no-any-return]


def _browser(known: Known) -> dict[str, str]:
    return {"Cookie": known.key}


def _cookie(response: FastResponse) -> str:
    jar = SimpleCookie()
    try:
        jar.load(_header(response, "Set-Cookie"))
        [(name, morsel)] = jar.items()
    except (CookieError, KeyError, ValueError) as error:
        raise RefusedError("no cookie", "a login was answered without a cookie") from error
    return f"{name}={morsel.value}"


def _header(response: FastResponse, name: str) -> str:
    headers: Any = response.headers
    return str(headers[name])


def _found(*, alive: bool, same: bool = True) -> Found:
    return Found(alive, int(time.time() * 1000), same)


def _refused(response: FastResponse) -> RefusedError:
    try:
        kind = str(response.json()["type"]).rpartition(":")[2]
    except (ValueError, KeyError, TypeError):
        kind = ""
    return RefusedError(KINDS.get(kind, kind or str(response.status_code)), f"status {response.status_code} {kind}")
