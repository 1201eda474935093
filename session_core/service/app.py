"""Puts the application together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI

from session_core.errors import SettingsError
from session_core.keycloak import KeycloakClient
from session_core.keycloak.sessions import KeycloakSessions
from session_core.manager import SessionManager
from session_core.service import account, admin, console, oidc, operations, problems, sessions
from session_core.service.endings import Endings
from session_core.service.metrics import Metrics
from session_core.service.middleware import Observed, SafeHeaders, SizeLimits
from session_core.service.readiness import Readiness
from session_core.service.settings import ServiceSettings

if TYPE_CHECKING:
    from session_core.service.traces import Telemetry

CANCEL_SECONDS: Final = 0.5


def make_app(settings: ServiceSettings) -> FastAPI:
    """Return the application; the store is first asked when it starts, and may come later."""
    manager = SessionManager(settings)
    readiness = Readiness(manager)
    metrics = Metrics(manager)
    keycloak = KeycloakClient(settings) if settings.keycloak_server_url else None
    tied = KeycloakSessions(manager, keycloak) if keycloak is not None else None
    telemetry = _telemetry(settings.otel_exporter_otlp_endpoint, manager)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(readiness.watch())]
        if keycloak is not None and tied is not None:
            app.state.endings = Endings(manager, keycloak, tied.hints)
            tasks.append(asyncio.create_task(app.state.endings.watch()))
        try:
            yield
        finally:
            for task in tasks:
                await _end(task)
            if keycloak is not None:
                await keycloak.aclose()
            await manager.aclose()
            if telemetry is not None:
                await telemetry.aclose()

    app = FastAPI(
        title="redis-session-kit",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
    )
    app.state.sessions = manager
    app.state.settings = settings
    app.state.keycloak = keycloak
    app.state.tied = tied
    app.state.readiness = readiness
    app.state.metrics = metrics
    for part in (sessions, oidc, admin, account, console, operations):
        app.include_router(part.router)
    problems.install(app)
    app.add_middleware(SizeLimits, limit=settings.session_max_body_bytes)
    app.add_middleware(Observed, metrics=metrics)
    app.add_middleware(SafeHeaders, tls=settings.served_over_tls)
    if telemetry is not None:
        from session_core.service.traces import Traced

        app.add_middleware(Traced, telemetry=telemetry)
    return app


def _telemetry(endpoint: str, manager: SessionManager) -> "Telemetry | None":
    """Return where traces go, if anywhere: what sends them is imported only then."""
    if not endpoint:
        return None
    try:
        from session_core.service.traces import Telemetry
    except ImportError as error:
        message = "OTEL_EXPORTER_OTLP_ENDPOINT needs the extra `telemetry` of this package"
        raise SettingsError(message) from error
    return Telemetry(endpoint, manager)


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task until it has ended: a cancellation that meets a time-out inside of a client library can be lost."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=CANCEL_SECONDS)
