"""An application that embeds the library: `uvicorn examples.app:app`, behind examples/nginx.conf beside the service.

The settings are those of the environment (`eval "$(make session-env)"`).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi.responses import FileResponse

from session_core import Session, SessionManager
from session_core.asgi import SessionMiddleware
from session_core.dependencies import CurrentSession, RequiredSession, logged_in_within

HERE = Path(__file__).parent
session_mgr = SessionManager()


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Close the connections at the end."""
    yield
    await session_mgr.aclose()


app = FastAPI(lifespan=lifespan)
app.add_middleware(SessionMiddleware, sessions=session_mgr)


@app.get("/")
async def page() -> FileResponse:
    """A page whose script asks the API, with the session cookie."""
    return FileResponse(HERE / "client.html")


@app.get("/client.js")
async def script() -> FileResponse:
    """Its script: a file of its own, so that the page needs no inline script."""
    return FileResponse(HERE / "client.js")


@app.get("/api/hello")
async def hello(session: CurrentSession) -> dict[str, Any]:
    """For everybody."""
    return {"hello": "you" if session is None else session.metadata.get("preferred_username", session.user_id)}


@app.get("/api/message")
async def message(session: RequiredSession) -> dict[str, Any]:
    """For those who are logged in."""
    return {"message": f"Hello {session.metadata.get('preferred_username', session.user_id)}"}


@app.get("/api/account-number")
async def account_number(session: Annotated[Session, Depends(logged_in_within(300))]) -> dict[str, str]:
    """For those who have logged in within the last five minutes."""
    return {"account": f"of {session.user_id}"}
