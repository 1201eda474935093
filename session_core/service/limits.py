"""How often one address may try, counted in the store and so for all processes together."""

from typing import Final

from fastapi import Request

from session_core.manager import SessionManager
from session_core.service.problems import Problem
from session_core.service.settings import ServiceSettings

MINUTE: Final = 60


def client_ip(request: Request, settings: ServiceSettings) -> str:
    """Return the address of the client: what the gateway says in SESSION_CLIENT_IP_HEADER, or the peer's."""
    named = request.headers.get(settings.session_client_ip_header, "") if settings.session_client_ip_header else ""
    return named.rpartition(",")[2].strip() or (request.client.host if request.client else "unknown")


async def limited(sessions: SessionManager, kind: str, who: str, most: int) -> None:
    """Count a try.

    Raises:
        Problem: 429, if there were too many in this minute.
    """
    if await sessions.ephemeral.count(f"tries-{kind}", who, MINUTE) > most:
        raise Problem(429, "too-many-tries", "too many tries: wait a minute")
