"""How the pages are made: escaped by default, without scripts, with nothing from elsewhere."""

from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, select_autoescape

from session_core.service.guards import current_session
from session_core.service.problems import Problem
from session_core.session import Session

FOLDER: Final = Path(__file__).parent / "templates"
LIMIT_REASON: Final = "session limit"
_BROWSERS: Final = {"Firefox": "Firefox", "Edg/": "Edge", "OPR/": "Opera", "Chrome": "Chrome", "Safari": "Safari"}
_SYSTEMS: Final = {
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Windows": "Windows",
    "Mac OS": "macOS",
    "Linux": "Linux",
}


def device(user_agent: object) -> str:
    """Return what people call the device of a User-Agent header."""
    text = user_agent if isinstance(user_agent, str) else ""
    found = [next((name for mark, name in names.items() if mark in text), "") for names in (_BROWSERS, _SYSTEMS)]
    return " on ".join(name for name in found if name) or text[:40] or "unknown device"


def because(reason: str) -> str:
    """Return the reason of a revocation as its user is told."""
    if reason == LIMIT_REASON:
        return "You logged in on another device, and there are only so many at a time: the oldest session had to go."
    return f"Reason: {reason}."


def when(moment: datetime) -> str:
    """Return a moment as text, UTC."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


_pages: Final = Environment(loader=FileSystemLoader(FOLDER), autoescape=select_autoescape(), trim_blocks=True)
_pages.filters.update(device=device, because=because, when=when)


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:  # noqa: ANN401 - of templates
    """Return a page with headers that let it load nothing but our style sheet, and nobody frame it."""
    keycloak = request.app.state.settings.keycloak_server_url
    # A form's target counts wherever it redirects to, and a logout leads to Keycloak.
    policy = (
        f"default-src 'none'; style-src 'self'; form-action 'self' {keycloak}; base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": policy.replace(" ;", ";"),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    return HTMLResponse(_pages.get_template(template).render(values), status, headers)


async def session_or_page(request: Request) -> Session | HTMLResponse:
    """Return who is asking, or the page that says why he must log in, and where he goes on afterwards."""
    state = request.app.state
    try:
        return await current_session(request, state.sessions, state.settings)
    except Problem as problem:
        told = problem.further
        return log_in_page(request, reason=told.get("reason"), revoked_at=told.get("revoked_at"))


def log_in_page(request: Request, *, reason: object = None, revoked_at: object = None, more: str = "") -> HTMLResponse:
    """Return the page that sends its reader to log in; `more` is for the address of the login."""
    at = when(datetime.fromisoformat(revoked_at)) if isinstance(revoked_at, str) else ""
    return page(request, "welcome.html", 401, reason=reason, at=at, here_path=quote(request.url.path), more=more)


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form; of several with one name the first."""
    try:
        fields = parse_qs((await request.body()).decode(), max_num_fields=20)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def back_to(path: str) -> RedirectResponse:
    """Go on with a GET."""
    return RedirectResponse(path, 303)
