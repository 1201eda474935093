"""The session cookie: the only place where the secret travels."""

from datetime import UTC, datetime

from fastapi import Response

from session_core.session import Session


def hand_out(response: Response, name: str, session: Session) -> None:
    """Set the cookie. It lives as long as the session could at most; when it ends is the server's affair."""
    remaining = int((session.max_expires_at - datetime.now(UTC)).total_seconds())
    response.set_cookie(
        name, session.session_id, max_age=max(remaining, 1), path="/", secure=True, httponly=True, samesite="lax"
    )


def take_back(response: Response, name: str) -> None:
    """Remove the cookie."""
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="lax")
