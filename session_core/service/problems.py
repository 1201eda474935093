"""Errors as application/problem+json (RFC 9457). No message repeats what the client sent."""

import logging
import re
from typing import Final
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware

from session_core.errors import (
    InvalidInput,
    SessionConflict,
    SessionError,
    SessionLimitReached,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from session_core.keycloak.errors import InvalidToken, KeycloakError, KeycloakUnavailable

RETRY_AFTER: Final = {429: "60", 503: "2"}
"""Seconds by status."""
_HEADER_SAFE: Final = "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.@-]*")
log = logging.getLogger(__name__)


class Problem(Exception):  # noqa: N818 - the word of the RFC
    """An answer that is an error; `kind` ends up in ``type`` as ``urn:redis-session-kit:<kind>``."""

    def __init__(self, status: int, kind: str, detail: str, **further: str | int | None) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.further = further

    def response(self) -> JSONResponse:
        """Return the answer."""
        headers = {"Cache-Control": "no-store"}
        if self.status in RETRY_AFTER:
            headers["Retry-After"] = RETRY_AFTER[self.status]
        if self.status == 401:  # noqa: PLR2004 - Unauthorized; a gateway passes on headers but no body
            headers["X-Session-Denied"] = self.kind
            if reason := self.further.get("reason"):
                headers["X-Session-Reason"] = header_safe(str(reason))
            if (seconds := self.further.get("max_age")) is not None:  # RFC 9470
                challenge = f'Bearer error="insufficient_user_authentication", max_age="{seconds}"'
                headers["WWW-Authenticate"] = challenge
        body = {
            "type": f"urn:redis-session-kit:{self.kind}",
            "title": self.kind.replace("-", " "),
            "status": self.status,
            "detail": self.detail,
            **self.further,
        }
        return JSONResponse(body, self.status, headers, media_type="application/problem+json")


def header_safe(value: str) -> str:
    """Return a text as a header may carry it: percent-encoded where it is not printable ASCII."""
    return value if _PLAIN.fullmatch(value) else quote(value, safe=_HEADER_SAFE)


_ANSWERS: Final = (
    (StoreUnavailable, 503, "store-unavailable", "the session store does not answer; try again"),
    (StoreFull, 503, "store-full", "the session store takes no new data"),
    (StoreError, 503, "store-error", "the session store is not set up as this service needs it"),
    (
        KeycloakUnavailable,
        503,
        "login-unavailable",
        "Keycloak does not answer: sessions work, logins do not; try again",
    ),
    (KeycloakError, 502, "login-error", "Keycloak does not do what this service needs"),
    (InvalidToken, 502, "login-error", "Keycloak gave a token that does not hold"),
    (SessionError, 500, "internal-error", "the request could not be carried out"),
)
"""First match; what the message says beyond it is for the log."""


def as_problem(error: SessionError) -> Problem:
    """Return what the client is told of an error of the library; what is hidden from it is logged."""
    if isinstance(error, InvalidInput):
        return Problem(422, "invalid-input", str(error))
    if isinstance(error, SessionLimitReached):
        return Problem(409, "session-limit-reached", str(error))
    if isinstance(error, SessionConflict):
        return Problem(409, "session-conflict", str(error))
    _, status, kind, detail = next(answer for answer in _ANSWERS if isinstance(error, answer[0]))
    log.error("%s: %s", type(error).__name__, error)
    return Problem(status, kind, detail)


def install(app: FastAPI) -> None:
    """Make every error of the application a problem document; other middleware is added after this."""

    @app.exception_handler(Problem)
    async def _problem(_request: Request, error: Problem) -> JSONResponse:
        return error.response()

    @app.exception_handler(SessionError)
    async def _library(_request: Request, error: SessionError) -> JSONResponse:
        return as_problem(error).response()

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        places = ("/".join(map(str, one["loc"])) + ": " + str(one["msg"]) for one in error.errors())
        return Problem(422, "invalid-input", "; ".join(places)).response()

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> JSONResponse:
        kind = {404: "not-found", 405: "method-not-allowed", 413: "body-too-large"}.get(error.status_code, "http-error")
        return Problem(error.status_code, kind, str(error.detail)).response()

    async def bug(_request: Request, error: Exception) -> JSONResponse:
        log.error("unexpected error", exc_info=error)
        return Problem(500, "internal-error", "the request could not be carried out").response()

    # A handler of Exception would answer outside of all other middleware, without what it adds.
    app.add_middleware(ServerErrorMiddleware, handler=bug)
