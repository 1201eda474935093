"""What ROLE tells of replicas: every user of this library may ask it, unlike INFO."""

import asyncio
from typing import Final, NamedTuple

from session_core.address import Address
from session_core.link import Link
from session_core.protocol import Call, Reply

ASK_SECONDS: Final = 0.2
LATE_SECONDS: Final = 3.0
"""A replica acknowledges once a second (https://redis.io/docs/latest/operate/oss_and_stack/management/replication/)."""


class Role(NamedTuple):
    """Attributes: `offset` of what was written, in bytes; `acknowledged` by each replica; `primary` of a replica."""

    offset: int
    acknowledged: dict[str, int]
    primary: str = ""


async def role_of(link: Link, server: Address | str = "") -> Role:
    """Ask a server (one of `Link.servers`) which role it plays.

    Raises:
        StoreError: as the link.
    """
    return await link.ask(Call(("ROLE",), _read, at=server))


async def behind(link: Link, first: Role, server: Address | str = "") -> list[str]:
    """Return the replicas that have not acknowledged, some seconds later, what the primary had written at `first`."""
    loop = asyncio.get_running_loop()
    deadline, now = loop.time() + LATE_SECONDS, first
    while late := [
        f"{name} by {first.offset - offset} bytes" for name, offset in now.acknowledged.items() if offset < first.offset
    ]:
        if loop.time() > deadline:
            return late
        await asyncio.sleep(ASK_SECONDS)
        now = await role_of(link, server)
    return []


def _read(reply: Reply, _now: int) -> Role:
    match reply:
        case [b"master", int(offset), list(replicas)]:
            return Role(offset, dict(_replica(replica) for replica in replicas))
        case [b"slave", bytes(host), int(port), *_]:
            return Role(0, {}, f"{host.decode()}:{port}")
    message = "an unexpected reply to ROLE"
    raise TypeError(message)


def _replica(reply: Reply) -> tuple[str, int]:
    match reply:
        case [bytes(host), bytes(port), bytes(offset)]:
            return f"{host.decode()}:{port.decode()}", int(offset)
    message = "an unexpected replica in the reply to ROLE"
    raise TypeError(message)
