"""Around every request: the log line, the histogram, headers, the limit on bodies. Plain ASGI, nothing is buffered.

Log lines and labels hold the route's template, never the path, the query or a header: a client may put a secret there.
"""

import logging
import time
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from session_core.service.metrics import Metrics
from session_core.service.problems import Problem

log = logging.getLogger("session_core.service.access")
MOST_HEADER_BYTES: Final = 32_768
YEAR_SECONDS: Final = 31_536_000
SAFE: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""Headers of answers that do not set them themselves, as the pages do (ASVS 3.4.3 to 3.4.6)."""
STRICT: Final = (b"strict-transport-security", f"max-age={YEAR_SECONDS}; includeSubDomains".encode())
"""ASVS 3.4.1; not for the names of a developer's own machine: it would hold for every port there."""
_LOCAL: Final = (b"localhost", b"127.", b"[")
QUIET: Final = ("/healthz", "/readyz", "/metrics")
"""What the platform asks for all the time."""
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Observed:
    """Writes one log line and one observation for each request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [(b"cache-control", b"no-store"), *_without_cache_control(message["headers"])]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            seconds = time.perf_counter() - start
            route, method = route_of(scope), method_of(scope)
            self._metrics.requests.labels(method, route, str(status)).observe(seconds)
            level = logging.DEBUG if route in QUIET else logging.INFO
            fields = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1)}
            log.log(level, "request", extra={"fields": fields})


class SafeHeaders:
    """Adds what browsers are told of every answer: to be kept to itself, and, over TLS, to come back over TLS."""

    def __init__(self, app: ASGIApp, *, tls: bool) -> None:
        self._app = app
        self._tls = tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message["headers"]
                names = {name.lower() for name, _ in own}
                strict = [STRICT] if self._tls and not _is_local(scope) else []
                message["headers"] = [*own, *(one for one in SAFE if one[0] not in names), *strict]
            await send(message)

        await self._app(scope, receive, adding)


class SizeLimits:
    """Refuses bodies above the limit with 413, whether they announce their length or not, and long headers with 431."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit
        self._refusal = ("body-too-large", f"a body may have {limit} bytes")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on while it stays within the limit."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEADER_BYTES:
            refusal = Problem(431, "headers-too-large", f"the headers may have {MOST_HEADER_BYTES} bytes")
            await refusal.response()(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > self._limit:
            await Problem(413, *self._refusal).response()(scope, receive, send)
            return
        received = 0

        async def counting() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise HTTPException(413, self._refusal[1])  # the one error that FastAPI lets through while it reads
            return message

        await self._app(scope, counting, send)


def route_of(scope: Scope) -> str:
    """Return the template of the route, when the request has been routed."""
    return getattr(scope.get("route"), "path", "unmatched")


def method_of(scope: Scope) -> str:
    """Return the method, or a word for those that nobody knows."""
    return scope["method"] if scope["method"] in _METHODS else "other"


def _is_local(scope: Scope) -> bool:
    host: bytes = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return host.lower().startswith(_LOCAL)


def _without_cache_control(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name.lower() != b"cache-control"]
