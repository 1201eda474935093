"""The HTTP server, with an end that no request notices."""

import asyncio
import socket
from typing import Final

import uvicorn

LINGER_SECONDS: Final = 0.5
"""From the end of listening to the end of idle connections: who has connected sends what it came for meanwhile."""


class Server(uvicorn.Server):
    """Uvicorn closes connections without a request at once; a gateway may be sending one that it must not repeat."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen no more, answer who is connected and part from him, then end as uvicorn does."""
        for server in self.servers:
            server.close()
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        await asyncio.sleep(LINGER_SECONDS)
        await super().shutdown(sockets)
