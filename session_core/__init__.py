"""User sessions on Redis: `SessionManager` and what it returns and raises.

Nothing is imported before it is used, so that `session_core.acl` and the service's health check stay light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from session_core.manager import SessionManager
    from session_core.session import Event, Revocation, Revoked, RevokedAll, Session
    from session_core.settings import Settings

_PUBLIC: Final = {
    "SessionManager": "manager",
    "Session": "session",
    "Revocation": "session",
    "Revoked": "session",
    "RevokedAll": "session",
    "Event": "session",
    "Settings": "settings",
}
__all__ = ["Event", "Revocation", "Revoked", "RevokedAll", "Session", "SessionManager", "Settings"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as for every module
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _PUBLIC:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"session_core.{_PUBLIC[name]}"), name)
