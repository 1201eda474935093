"""Who is primary, as the Sentinels name it."""

import random
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from gevent.lock import BoundedSemaphore
from redis.exceptions import RedisError

from loadtests.conversation import Conversation, dial
from session_core.address import Address
from session_core.connection import Login
from session_core.settings import Settings

TURN_SECONDS: Final = 0.1
"""How long to wait for others who ask the same Sentinel; it does not answer then, and another one may."""


@cache
def sentinels_of(settings: Settings) -> "Sentinels":
    """Those that all users of a process ask."""
    return Sentinels(settings)


class Sentinels:
    """Asked on connections that stay open: in a failover everybody asks again and again until there is a primary.

    With a handshake for each question the generator would be busy with nothing else just when the primary comes back.
    """

    def __init__(self, settings: Settings) -> None:
        """Keep how to connect; nothing is sent."""
        self._settings = settings
        self._open: dict[Address, Conversation] = {}
        self._turns = {address: BoundedSemaphore() for address in settings.target.addresses}

    def named(self) -> Iterator[Address]:
        """The primary as each Sentinel knows it, in random order."""
        for sentinel in random.sample(self._settings.target.addresses, len(self._turns)):
            if not self._turns[sentinel].acquire(timeout=TURN_SECONDS):
                continue
            try:
                reply = self._answer(sentinel)
            finally:
                self._turns[sentinel].release()
            if reply:
                host, port = reply
                yield Address(host.decode(), int(port))

    def _answer(self, sentinel: Address) -> Any:  # noqa: ANN401 - a reply of Redis
        conversation = None
        try:
            conversation = self._open.pop(sentinel, None) or self._dialled(sentinel)
            [reply] = conversation.ask([("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._settings.target.master)])
        except (RedisError, OSError):
            reply = None
        else:
            self._open[sentinel], conversation = conversation, None
        finally:  # also if its user is stopped in the middle of the answer
            if conversation:
                conversation.close()
        return reply

    def _dialled(self, sentinel: Address) -> Conversation:
        settings = self._settings
        password = settings.redis_sentinel_password.get_secret_value()
        return dial(settings, sentinel, Login(settings.redis_sentinel_username, password))
