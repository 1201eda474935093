"""The service on a port with TLS, and a browser that has no scripts."""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any, Final

import httpx
import uvicorn
from fastapi import FastAPI

from session_core import SessionManager
from session_core.service.app import make_app
from session_core.service.settings import ServiceSettings

TOKEN: Final = "an-admin-token-of-enough-characters"
ADMIN: Final = {"Authorization": f"Bearer {TOKEN}"}
COOKIE: Final = "__Host-session_id"


class Service:
    """The running application: what it holds, and where it is."""

    def __init__(self, app: FastAPI, port: int, ca_file: Path) -> None:
        self.app = app
        self.url = f"https://localhost:{port}"
        self._ca_file = ca_file
        self._browsers: list[Browser] = []

    @property
    def sessions(self) -> SessionManager:
        found: SessionManager = self.app.state.sessions
        return found

    def browser(self, **options: Any) -> "Browser":
        self._browsers.append(Browser(self.url, ssl.create_default_context(cafile=str(self._ca_file)), **options))
        return self._browsers[-1]

    async def close_browsers(self) -> None:
        """Close their connections: the service waits for them when it ends."""
        for browser in self._browsers:
            await browser.http.aclose()


class Browser:
    """Follows redirects across sites with its cookies, and fills in Keycloak's login form."""

    def __init__(self, url: str, context: ssl.SSLContext, **headers: str) -> None:
        self.url = url
        self.http = httpx.AsyncClient(verify=context, base_url=url, headers=headers, timeout=20)

    @property
    def secret(self) -> str:
        return next((cookie.value or "" for cookie in self.http.cookies.jar if cookie.name == COOKIE), "")

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.http.get(path, **options)

    async def write(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request from a page of the service itself."""
        return await self.http.request(method, path, headers={"Origin": self.url}, **options)

    async def at_keycloak(self, path: str = "/v1/oidc/login") -> httpx.Response:
        """Go to log in; return where Keycloak sends the browser without asking, or its page."""
        leaving = await self.get(path)
        assert leaving.status_code == 303, leaving.text
        return await self.get(leaving.headers["location"])

    async def come_back(self, username: str = "alice", path: str = "/v1/oidc/login") -> str:
        """Log in at Keycloak; return the address with the code, without going there."""
        page = await self.at_keycloak(path)
        if page.status_code == 302:  # it knows us
            return str(page.headers["location"])
        form = re.search(r'<form[^>]*action="([^"]+)"', page.text)
        assert form, page.text
        typed = {"username": username, "password": f"{username}-password", "credentialId": ""}
        answer = await self.http.post(unescape(form[1]), data=typed)
        assert answer.status_code == 302, answer.text
        return str(answer.headers["location"])

    async def log_in(self, username: str = "alice", path: str = "/v1/oidc/login") -> httpx.Response:
        """Log in all the way; return the answer of the callback."""
        answer = await self.get(await self.come_back(username, path))
        assert answer.status_code == 303, answer.text
        return answer

    async def is_served(self) -> bool:
        try:
            return await self.verify() == httpx.codes.UNAUTHORIZED
        except httpx.TransportError:
            return False

    async def verify(self) -> int:
        return (await self.get("/v1/verify")).status_code


@asynccontextmanager
async def listening(app: Any, port: int, **options: Any) -> AsyncIterator[None]:
    """Serve an application on a port of this host until the end of the block."""
    socket_ = socket.socket()
    socket_.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    socket_.bind(("127.0.0.1", port))
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2, **options)
    )
    serving = asyncio.create_task(server.serve(sockets=[socket_]))
    try:
        while not server.started:
            assert not serving.done(), "the service did not start"
            await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await serving
        socket_.close()


@asynccontextmanager
async def running(port: int, public_port: int, certificates: Path, **settings: Any) -> AsyncIterator[Service]:
    """Run the service with these settings, with TLS, until the end of the block."""
    given = {"session_admin_token": TOKEN, "session_public_url": f"https://localhost:{public_port}"}
    app = make_app(ServiceSettings(**(given | settings)))
    tls = {"ssl_certfile": certificates / "localhost.crt", "ssl_keyfile": certificates / "localhost.key"}
    async with listening(app, port, proxy_headers=False, **tls):
        service = Service(app, port, certificates / "ca.crt")
        yield service
        await service.close_browsers()


async def until(check: Any, seconds: float = 10) -> None:
    """Wait until a coroutine function returns something true."""
    async with asyncio.timeout(seconds):
        while not await check():  # noqa: ASYNC110 - what is waited for happens elsewhere
            await asyncio.sleep(0.05)


async def is_settled(service: Service, handle: str) -> bool:
    """Whether the end of a session has been dealt with: what is needed for it was dropped."""
    return await service.app.state.tied.hints.get(handle) is None
