"""Kills of the primary. One counts only when `+switch-master` was seen and another process answers as primary."""

import threading
from dataclasses import dataclass
from typing import Self

import redis

from tests.stack.kit import Access, docker, eventually

RECOVERY_TIMEOUT = 60  # s
KILL_SERVER = """
for pid in /proc/[0-9]*; do
  case $(cat "$pid/comm" 2>/dev/null) in redis-server | valkey-server) kill -9 "${pid#/proc/}" ;; esac
done"""


@dataclass
class Switch:
    """What a Sentinel said of the failover."""

    message: str = ""


class SwitchWatch:
    """Listens for `+switch-master` on every Sentinel."""

    def __init__(self, access: Access) -> None:
        self.switch = Switch()
        self.subscriptions = []
        for sentinel in access.names("sentinels"):
            subscription = access.node(sentinel).pubsub(ignore_subscribe_messages=True)
            subscription.subscribe("+switch-master")
            self.subscriptions.append(subscription)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        while not self.ended.is_set():
            for subscription in self.subscriptions:
                try:
                    message = subscription.get_message(timeout=0.05)
                except redis.RedisError:
                    continue
                if message and not self.switch.message:
                    self.switch = Switch(message["data"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.ended.set()
        self.thread.join()
        for subscription in self.subscriptions:
            subscription.close()


def kill_for_good(access: Access, node: str) -> None:
    """SIGKILL; the container stays down, as `docker kill` counts as a stop by hand."""
    docker("kill", "--signal", "KILL", access.stack.container(node))


def kill_and_restart(access: Access, node: str) -> None:
    """SIGKILL from within: the restart policy brings the container back at once."""
    docker("exec", "--user", "999", access.stack.container(node), "sh", "-c", KILL_SERVER, check=False)


def _run_id(access: Access, node: str) -> str:
    try:
        return str(access.node(node).info("server")["run_id"])
    except redis.RedisError:
        return ""


def kill_primary(access: Access, *, stays_down: bool) -> tuple[str, str]:
    """Kill the primary and wait for the failover; the old and the new primary's names."""
    old = access.wait_settled()
    old_run = access.node(old).info("server")["run_id"]
    with SwitchWatch(access) as watch:
        (kill_for_good if stays_down else kill_and_restart)(access, old)
        eventually("+switch-master", lambda: watch.switch.message, RECOVERY_TIMEOUT)
    eventually("another primary", lambda: access.primary() not in {"", old}, RECOVERY_TIMEOUT)
    new = access.primary()
    assert watch.switch.message.split()[1] == old
    if stays_down:
        assert docker("inspect", "--format", "{{.State.Status}}", access.stack.container(old)) == "exited"
    else:
        eventually("another process in the killed container", lambda: _run_id(access, old) not in {"", old_run})
    return old, new
