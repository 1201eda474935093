"""For the platform: liveness, readiness, metrics. Without a credential, so nothing about any user."""

import asyncio
from typing import Final

from fastapi import APIRouter, Request, Response

from session_core.errors import SessionError
from session_core.service.guards import Sessions
from session_core.service.problems import Problem

COUNT_SECONDS: Final = 1.0
router = APIRouter(tags=["operations"], include_in_schema=False)


@router.get("/healthz")
async def alive() -> dict[str, str]:
    """Answer while the process lives; the store is not asked, or its failure would restart us in vain."""
    return {"status": "alive"}


@router.get("/readyz")
async def ready(request: Request) -> dict[str, str]:
    """Answer 200 while the store is reachable and prepared, else 503 with what is wrong."""
    problem = request.app.state.readiness.problem
    if problem is not None:
        raise Problem(503, "not-ready", problem)
    return {"status": "ready"}


@router.get("/metrics")
async def metrics(request: Request, sessions: Sessions) -> Response:
    """Return the metrics in Prometheus' text form; `session_active` is NaN while the store does not answer."""
    try:
        async with asyncio.timeout(COUNT_SECONDS):
            active: float = await sessions.count_active_sessions()
    except (SessionError, TimeoutError):
        active = float("nan")
    text, content_type = request.app.state.metrics.expose(active)
    return Response(text, media_type=content_type)
