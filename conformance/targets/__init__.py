"""What is examined: containers of our own, a stack, or any endpoint. One value, whatever it came from."""

import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

from conformance.faults import Faults, NoFaults
from conformance.wire import Login, Wire
from session_core import Session, SessionManager, Settings
from session_core.address import Address
from session_core.errors import SessionError

NO_VARIABLE = "NO_VARIABLE_BEGINS_SO_"
PROBE_SECONDS = 60


@dataclass(frozen=True)
class Target:
    """A deployment, and what may be known of it and done to it.

    Attributes:
        kind: `containers`, `stack` or `endpoint`.
        connect: how the application reaches it, by field of `session_core.Settings`.
        features: claimed, or probed, or what `faults` can do. `exclusive`: nobody else uses it, so that counts of
            everything are ours.
        nodes, sentinels: announced addresses.
        admin: who may do everything; None where we are not told.
        prometheus: address of the Prometheus that watches it; empty where we are not told.
    """

    kind: str
    name: str
    connect: Mapping[str, Any] = field(repr=False)
    features: frozenset[str]
    nodes: tuple[Address, ...] = ()
    sentinels: tuple[Address, ...] = ()
    admin: Login | None = None
    prometheus: str = ""
    faults: Faults = field(default_factory=NoFaults)

    def watched_by(self, prometheus: str) -> Self:
        """This target, with the Prometheus at this address; with none if it is empty."""
        return replace(self, prometheus=prometheus, features=self.features | {"prometheus"}) if prometheus else self

    def settings(self, **changes: Any) -> Settings:  # noqa: ANN401 - whatever the settings take
        """Settings of the session library for this target, with `changes`; the environment has no say."""
        return Settings(_env_file=None, _env_prefix=NO_VARIABLE, **{**self.connect, **changes})

    @property
    def login(self) -> Login:
        """The application's user on Redis."""
        settings = self.settings()
        return Login(settings.redis_username, settings.redis_password.get_secret_value())

    @property
    def sentinel_login(self) -> Login:
        """The application's user on the Sentinels."""
        settings = self.settings()
        return Login(settings.redis_sentinel_username, settings.redis_sentinel_password.get_secret_value())

    @cached_property
    def wire(self) -> Wire:
        """The way to its addresses."""
        settings = self.settings()
        authority = str(settings.redis_ca_file) if settings.redis_ca_file else None
        return Wire(settings.address_map, ssl.create_default_context(cafile=authority) if settings.tls else None)


async def probe(target: Target, **settings: Any) -> Session:  # noqa: ANN401 - those of Settings
    """Log a user in and out, before anything is said about a target: the session.

    Raises:
        SessionError: it cannot be reached, refuses us, lacks the function library, or is no Redis.
    """
    brief = {"session_ttl_seconds": PROBE_SECONDS, "session_tombstone_seconds": PROBE_SECONDS}
    try:
        async with SessionManager(target.settings(**brief, **settings)) as sessions:
            made = await sessions.create_session(f"conformance-{secrets.token_hex(4)}-probe")
            await sessions.revoke_session(made.session_id, "conformance")
    except SessionError:
        raise
    except (TypeError, ValueError) as error:
        raise SessionError(f"{target.name}: answers as no Redis does: {error}") from error
    return made
