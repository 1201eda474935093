"""Looks at the store once a second while a run goes on: its memory, its processor time, and how many sessions live."""

import logging
import time
from typing import Final

import gevent
from redis.exceptions import RedisError

from loadtests.client import Client
from loadtests.record import Sample
from session_core import protocol
from session_core.protocol import Call, Reply
from session_core.settings import Settings

log = logging.getLogger("loadtests")
EVERY_SECONDS: Final = 1.0
NOT_DATA: Final = ("mem_clients_normal", "mem_clients_slaves", "mem_replication_backlog", "mem_aof_buffer")
"""Of INFO memory: what clients, replicas and the append-only file take for a while."""


class Watch:
    """Puts samples by second into a dict; the first one is taken at once."""

    def __init__(self, settings: Settings, samples: dict[int, Sample]) -> None:
        """Take how to reach the primary, as a user that may ask for INFO; without that right there are no samples."""
        self._client = Client(settings)
        self._samples = samples
        self._look()
        self._running = gevent.spawn(self._look_on)

    def stop(self) -> None:
        """Look no more."""
        self._running.kill()
        self._client.close()

    def _look_on(self) -> None:
        while True:
            gevent.sleep(EVERY_SECONDS)
            self._look()

    def _look(self) -> None:
        try:
            used, cpu_seconds = self._client.ask(Call(("INFO", "memory", "cpu"), _read))
            sessions = self._client.ask(protocol.count(protocol.index_keys()))
        except (RedisError, OSError) as error:
            log.info("the store does not say how much memory it uses: %s", error)
        else:
            self._samples[int(time.time())] = Sample(used, sessions, cpu_seconds)


def _read(reply: Reply, _now: int) -> tuple[int, float]:
    text = reply.decode() if isinstance(reply, bytes) else str(reply)
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    used = int(fields["used_memory"]) - sum(int(fields.get(name, 0)) for name in NOT_DATA)
    return used, float(fields["used_cpu_user"]) + float(fields["used_cpu_sys"])
