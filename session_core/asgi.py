"""For applications that embed the library: middleware that finds the session of a request.

Plain ASGI, for FastAPI, Starlette, Litestar and the like::

    app.add_middleware(SessionMiddleware, sessions=SessionManager())

`request.state.session` is then the `Session` of the cookie, perhaps a revoked one with its reason, or None. For FastAPI
there are dependencies in `session_core.dependencies`.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, TypeAlias

from session_core.errors import InvalidSessionId, StoreError
from session_core.manager import SessionManager
from session_core.session import Session

COOKIE: Final = "__Host-session_id"
Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class SessionMiddleware:
    """Sets `scope["state"]["session"]` of every request and websocket. Reading counts as activity.

    A store that does not answer is 503, never "no session".
    """

    def __init__(self, app: App, sessions: SessionManager, cookie_name: str = COOKIE) -> None:
        """Keep them; the application closes the manager when it ends."""
        self._app = app
        self._sessions = sessions
        self._cookie_name = cookie_name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the session and pass the request on."""
        if scope["type"] in {"http", "websocket"}:
            try:
                session = await self._session(scope["headers"])
            except StoreError:
                await _unavailable(scope["type"], send)
                return
            scope.setdefault("state", {})["session"] = session
        await self._app(scope, receive, send)

    async def _session(self, headers: Iterable[tuple[bytes, bytes]]) -> Session | None:
        cookie = cookie_of(headers, self._cookie_name)
        if cookie is None:
            return None
        try:
            return await self._sessions.get_session(cookie)
        except InvalidSessionId:
            return None


def cookie_of(headers: Iterable[tuple[bytes, bytes]], name: str) -> str | None:
    """Return the value of a cookie; None without one, and where several differ: one of them was planted."""
    lines = (value.decode("latin-1") for header, value in headers if header.lower() == b"cookie")
    pairs = (pair.strip().partition("=") for line in lines for pair in line.split(";"))
    values = {value for key, _, value in pairs if key == name}
    return values.pop() if len(values) == 1 else None


async def _unavailable(kind: str, send: Send) -> None:
    if kind == "websocket":
        await send({"type": "websocket.close", "code": 1013})  # try again later (RFC 6455, IANA registry)
        return
    body = json.dumps({"type": "urn:redis-session-kit:store-unavailable", "status": 503}).encode()
    headers = [(b"content-type", b"application/problem+json"), (b"retry-after", b"2"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
