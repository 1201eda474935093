"""Finds out whether an address speaks TLS, where settings and server disagree. Sends no password."""

import asyncio
import ssl
from typing import Final

from session_core.address import Address
from session_core.settings import Settings

SECONDS: Final = 2.0


async def mistaken_for(settings: Settings) -> list[tuple[Address, str]]:
    """Return the addresses of REDIS_URL that speak TLS where the settings say none, or the other way round."""
    found = []
    for address in settings.target.addresses:
        place = settings.address_map.dial(address)
        if settings.tls and await _answers_in_clear(place):
            found.append((address, "answers without TLS: redis:// or redis-sentinel:// in REDIS_URL, no REDIS_SSL"))
        if not settings.tls and await _shakes_hands(place):
            found.append((address, "speaks TLS: rediss:// or rediss-sentinel:// in REDIS_URL, and REDIS_CA_FILE"))
    return found


async def _answers_in_clear(place: Address) -> bool:
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(*place)
            writer.write(b"PING\r\n")
            answer = await reader.read(1)
            writer.close()
    except OSError:  # a TimeoutError is one
        return False
    return answer in {b"+", b"-"}  # PONG, or NOAUTH


async def _shakes_hands(place: Address) -> bool:
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE  # nothing is said to whoever it is
    try:
        async with asyncio.timeout(SECONDS):
            _, writer = await asyncio.open_connection(*place, ssl=anybody)
    except OSError:  # an SSLError is one
        return False
    writer.close()
    return True
