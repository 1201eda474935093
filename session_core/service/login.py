"""One login, from the browser's departure to its return. No I/O.

Everything is derived from a random secret in a short-lived cookie, so nothing is stored and no other browser can finish
it: the `state` in the address is a hash of the secret, and so are the nonce and the PKCE verifier (RFC 7636). That it
is finished once only is for the caller.
"""

import hmac
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self
from urllib.parse import urlsplit

LOGIN_SECONDS: Final = 600
COOKIE_PREFIX: Final = "__Host-login-"
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
LONGEST_ADDRESS: Final = 1024


@dataclass(frozen=True, slots=True)
class Login:
    """A login under way.

    Attributes:
        secret: 256 random bits; in the cookie only.
        return_to: where the browser goes afterwards; checked when it is used.
    """

    secret: str
    return_to: str

    @classmethod
    def begin(cls, return_to: str) -> Self:
        """Begin a login."""
        return cls(secrets.token_urlsafe(32), return_to)

    @classmethod
    def from_cookie(cls, value: str) -> Self | None:
        """Return the login of a cookie; None if it is not one."""
        secret, _, encoded = value.partition(".")
        if not _SECRET.fullmatch(secret):
            return None
        try:
            return cls(secret, urlsafe_b64decode(encoded.encode() + b"==").decode())
        except ValueError:
            return None

    @property
    def cookie(self) -> tuple[str, str]:
        """Name and value of the cookie; each login has its own, so that two tabs do not disturb each other."""
        encoded = urlsafe_b64encode(self.return_to.encode()).rstrip(b"=").decode()
        return cookie_name(self.state), f"{self.secret}.{encoded}"

    @property
    def state(self) -> str:
        """What comes back in the address."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """What comes back in the ID token."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """What proves to Keycloak that who redeems the code is who began."""
        return self._derived("verifier")

    @property
    def challenge(self) -> str:
        """The verifier's hash."""
        return _base64(sha256(self.verifier.encode()).digest())

    def is_of(self, state: str) -> bool:
        """Tell whether a state is that of this login."""
        return hmac.compare_digest(self.state.encode(), state.encode())

    def _derived(self, purpose: str) -> str:
        return _base64(hmac.digest(self.secret.encode(), purpose.encode(), "sha256"))


def cookie_name(state: str) -> str:
    """Return the name of the cookie of the login with this state."""
    return COOKIE_PREFIX + re.sub(r"[^A-Za-z0-9_-]", "", state)[:8]


def may_return_to(address: str, origins: frozenset[str]) -> bool:
    """Tell whether a browser may be sent there: a path of ours, or an address of one of these origins."""
    if len(address) > LONGEST_ADDRESS or not address.isascii() or not address.isprintable() or "\\" in address:
        return False
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    if not parts.scheme and not parts.netloc:
        return address.startswith("/") and not address.startswith("//")
    return f"{parts.scheme}://{parts.netloc}".lower() in origins


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
