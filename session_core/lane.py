"""One connection that many calls share: what is asked in one turn of the event loop is sent in one write.

Replies come in the order of the commands, so each call owns its place in the row, whether somebody still waits for it
or not: a cancelled call never takes another's reply. A call that comes while nothing is under way is sent at once.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse

from session_core.connection import Outcome, new_reader, take_over
from session_core.protocol import Word

PLACES: Final = 1024
"""Calls on their way in one lane, with those that were cancelled after they were sent; who comes later waits."""
CHUNK: Final = 24
"""Calls of one turn of the event loop that are sent before it ends: the server works on them while others are made."""
LOOK_SECONDS: Final = 0.05
"""How often overdue calls are looked for, while there are calls on their way."""
_NOTHING: Final = object()
Replies: TypeAlias = tuple[Outcome, Outcome]
"""The reply to a call, and that to the command that closed its batch (None for a call that does not want it)."""


class _Sent(NamedTuple):
    command: bytes
    closes: bool
    deadline: float
    replies: asyncio.Future[Replies]


class Lane(asyncio.Protocol):
    """Calls on one connection, in batches; one closing command serves all calls of a batch."""

    def __init__(
        self, connection: AbstractConnection, closing: Sequence[Word], patience: float, *, one_by_one: bool
    ) -> None:
        """Take over a connection that has logged in; nobody else may use it any more.

        Args:
            connection: where to.
            closing: the command that closes a batch.
            patience: seconds without a byte, while a reply is due, after which the connection is given up.
            one_by_one: a batch waits for the reply to the one before it, as behind a WAIT, which blocks the connection.
        """
        self.open = True
        self._closing = hiredis.pack_command(tuple(closing))  # type: ignore[arg-type]
        self._patience = patience
        self._one_by_one = one_by_one
        self._loop = asyncio.get_running_loop()
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._queue: list[_Sent] = []
        self._batches: deque[tuple[list[_Sent], int]] = deque()
        self._replies: list[Outcome] = []
        self._due = self._full = self._looking = False
        self._heard = 0.0
        self._reader = new_reader(_NOTHING)
        self._writer = take_over(connection, self)

    def ask(self, words: Sequence[Word], deadline: float, *, closes: bool) -> Awaitable[Replies]:
        """Send a command and return its reply; an error reply is returned, not raised.

        Args:
            words: the command.
            deadline: until when to wait, by the clock of the event loop.
            closes: whether the reply to the closing command is wanted.

        Raises:
            TimeoutError: the deadline has passed.
            RedisConnectionError: the connection was lost; the command may have been carried out.
        """
        if self._taken >= PLACES:
            return self._ask_later(words, deadline, closes=closes)
        if not self.open or self._writer.is_closing():  # meanwhile it was found to lead to the wrong server, or nowhere
            message = "the connection was closed"
            raise RedisConnectionError(message)
        command = hiredis.pack_command(tuple(words))  # type: ignore[arg-type]
        sent = _Sent(command, closes, deadline, self._loop.create_future())
        self._taken += 1
        self._queue.append(sent)
        self._send_soon()
        return sent.replies

    async def _ask_later(self, words: Sequence[Word], deadline: float, *, closes: bool) -> Replies:
        """Wait for a place, in the order of arrival."""
        place = self._loop.create_future()
        self._waiting.append(place)
        try:
            async with asyncio.timeout_at(deadline):
                await place
        except BaseException:
            if place.done() and not place.cancelled():
                self._leave(1)  # it was ours already: the next one's turn
            raise
        self._taken -= 1  # it was kept for us
        try:
            replies = self.ask(words, deadline, closes=closes)
        except RedisConnectionError:
            self._leave(0)  # whoever else waits is to know as well
            raise
        return await replies

    def retire(self) -> None:
        """Finish what is on its way, then close the connection."""
        self.open = False
        if not self._queue and not self._batches:
            self._writer.close()

    def _send_soon(self) -> None:
        if not self._looking:
            self._looking = True
            self._loop.call_later(LOOK_SECONDS, self._look)
        if self._one_by_one:
            if not self._batches:
                self._send()
        elif len(self._queue) >= CHUNK or not (self._batches or self._due):
            self._send()
        elif not self._due:
            self._due = True
            self._loop.call_soon(self._send_rest)

    def _send_rest(self) -> None:
        self._due = False
        self._send()

    def _send(self) -> None:
        if self._full or (self._one_by_one and self._batches):
            return
        queue, self._queue = self._queue, []
        batch = [sent for sent in queue if not sent.replies.done()]  # who was cancelled before is not sent at all
        self._leave(len(queue) - len(batch))
        if not batch:
            return
        commands = [sent.command for sent in batch]
        if not self._batches:
            self._heard = self._loop.time()
        if any(sent.closes for sent in batch):
            commands.append(self._closing)
            self._batches.append((batch, len(commands)))
        else:  # each gets its reply as it comes
            self._batches.extend(([sent], 1) for sent in batch)
        self._writer.write(b"".join(commands))

    def data_received(self, data: bytes) -> None:
        """Give each call its reply: at once, or with that of the command that closes its batch."""
        self._heard = self._loop.time()
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not _NOTHING:
                self._replies.append(reply)
                if len(self._replies) == self._batches[0][1]:
                    self._complete()
        except (InvalidResponse, IndexError):
            self._break("the server sent what nobody asked for")

    def _complete(self) -> None:
        replies, self._replies = self._replies, []
        batch, expected = self._batches.popleft()
        closing = replies[-1] if expected > len(batch) else None
        for sent, reply in zip(batch, replies, strict=False):
            if not sent.replies.done():
                sent.replies.set_result((reply, closing if sent.closes else None))
        self._leave(len(batch))
        if self._queue and self._one_by_one:
            self._send()
        if not self.open:
            self.retire()

    def _look(self) -> None:
        on_their_way = [*(sent for batch, _ in self._batches for sent in batch), *self._queue]
        now = self._loop.time()
        if self._batches and now > self._heard + self._patience:
            self._break(f"no reply within {self._patience:g} s")
            return
        for sent in on_their_way:
            if now > sent.deadline and not sent.replies.done():
                sent.replies.set_exception(TimeoutError())
        self._looking = bool(on_their_way)
        if self._looking:
            self._loop.call_later(LOOK_SECONDS, self._look)

    def pause_writing(self) -> None:
        """The server reads too slowly."""
        self._full = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self._full = False
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits."""
        self._break(str(exc or "the server closed the connection"))

    def _break(self, problem: str) -> None:
        self.open = False
        lost = [*(sent for batch, _ in self._batches for sent in batch), *self._queue]
        self._batches.clear()
        self._queue.clear()
        for sent in lost:
            if not sent.replies.done():
                sent.replies.set_exception(RedisConnectionError(problem))
        self._leave(len(lost))
        transport: Any = self._writer.transport
        transport.abort()

    def _leave(self, number: int) -> None:
        """Give places back; to those who have waited longest, if somebody waits: then all are taken."""
        self._taken -= number
        while self._waiting and self._taken < PLACES:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                self._taken += 1
