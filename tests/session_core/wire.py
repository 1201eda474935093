"""A TCP relay between the library and Redis: counts round trips; loses, cuts and holds back replies on demand."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Wire:
    """Between the two.

    Attributes:
        requests: bursts from the client.
        lose: decides which of them get no reply.
        cut: after so many bytes of the next reply the line breaks.
        replies: cleared, they are held back.
    """

    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    lose: Callable[[bytes], bool] = lambda _request: False
    cut: int | None = None
    replies: asyncio.Event = field(default_factory=asyncio.Event)

    def lose_once(self, marker: bytes) -> None:
        """The next request with these bytes in it gets no reply."""

        def lose(request: bytes) -> bool:
            if marker not in request:
                return False
            self.lose = lambda _request: False
            return True

        self.lose = lose


@asynccontextmanager
async def wire_to(port: int) -> AsyncIterator[Wire]:
    """Relay to a port of this machine. A lost reply: Redis carries the request out, the client sees a broken line."""
    wire = Wire()
    wire.replies.set()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        lost = asyncio.Event()

        async def back() -> None:
            while data := await server_reader.read(65_536):
                if lost.is_set():
                    break
                await wire.replies.wait()
                if wire.cut is not None:
                    writer.write(data[: wire.cut])
                    wire.cut = None
                    break
                writer.write(data)
            writer.close()

        answering = asyncio.create_task(back())
        with suppress(ConnectionError):
            while request := await reader.read(65_536):
                wire.requests.append(request)
                if wire.lose(request):
                    lost.set()
                server_writer.write(request)
        server_writer.close()
        with suppress(ConnectionError):
            await answering

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
