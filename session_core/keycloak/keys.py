"""The issuer's public keys: fetched when they are needed, kept for a while, fetched again when a new one signs."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import KeySet, import_key
from joserfc.jws import extract_compact

from session_core.keycloak.errors import InvalidToken, KeycloakUnavailable

FRESH_SECONDS: Final = 600.0
"""A key that the issuer has withdrawn is accepted no longer than this."""
AGAIN_SECONDS: Final = 5.0
"""Tokens with unknown keys make us ask no more often: anybody can send them."""


class Keys:
    """A cache of one JWK set (RFC 7517). `fetch` returns it as parsed JSON."""

    def __init__(self, fetch: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        self._fetch = fetch
        self._keys: dict[str, Any] = {}
        self._fetched = float("-inf")
        self._lock = asyncio.Lock()

    async def key_of(self, token: str) -> KeySet:
        """Return the key that a token names.

        Raises:
            InvalidToken: not a token, or the issuer has no such key.
            KeycloakUnavailable: the keys cannot be had, and none are known.
        """
        try:
            kid = extract_compact(token.encode()).headers().get("kid")
        except (JoseError, ValueError, TypeError) as error:
            raise InvalidToken("not a JWT") from error
        if not isinstance(kid, str):
            raise InvalidToken("the token names no key")
        age = time.monotonic() - self._fetched
        if age > FRESH_SECONDS or (kid not in self._keys and age > AGAIN_SECONDS):
            await self._renew(self._fetched)
        if kid not in self._keys:
            raise InvalidToken("the issuer has no such key")
        return KeySet([self._keys[kid]])

    async def _renew(self, seen: float) -> None:
        async with self._lock:
            if self._fetched != seen:  # somebody else was faster
                return
            try:
                document = await self._fetch()
            except KeycloakUnavailable:
                if not self._keys:
                    raise
                self._fetched = time.monotonic() - FRESH_SECONDS + AGAIN_SECONDS  # go on with those we know, ask soon
                return
            self._keys = dict(_signing(document))
            self._fetched = time.monotonic()


def _signing(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the keys for signatures, by their ids; those of kinds that we do not know are passed over."""
    for each in document.get("keys", []):
        if each.get("use", "sig") == "sig" and isinstance(each.get("kid"), str):
            with suppress(JoseError, ValueError):
                yield each["kid"], import_key(each)
