"""The HTTP server: a start after which the garbage collector rests, and an end that no request notices."""

import asyncio
import gc
import socket
from typing import Final

import uvicorn

LINGER_SECONDS: Final = 0.5
"""From the end of listening to the end of idle connections: who has connected sends what it came for meanwhile."""
YOUNG_OBJECTS: Final = 10_000
"""Objects that are made before the collector looks at them (Python: 700): those of a request are gone by then."""


class Server(uvicorn.Server):
    """Uvicorn closes connections without a request at once; a gateway may be sending one that it must not repeat."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; what was made until now stays for good, so no collection looks at it again (0.1 s each time)."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen no more, answer who is connected and part from him, then end as uvicorn does."""
        for server in self.servers:
            server.close()
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        await asyncio.sleep(LINGER_SECONDS)
        await super().shutdown(sockets)
