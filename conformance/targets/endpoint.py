"""Any Redis that the session library can reach: by its variables, in the environment or in the configuration file."""

import asyncio
from dataclasses import replace

from conformance.config import Config
from conformance.faults import Faults, NoFaults
from conformance.faults.hooks import HookFaults
from conformance.targets import Target, probe
from conformance.view import View
from conformance.wire import WireError
from session_core import Settings
from session_core.address import Address
from session_core.errors import SessionError

CONNECTION = ("redis_", "session_backend", "session_scripts", "session_wait_replicas")


async def endpoint(config: Config) -> Target:
    """Find out what the endpoint is.

    Raises:
        SettingsError: the variables do not say where it is.
        SessionError: it cannot be reached, or lacks the function library.
    """
    settings = Settings(**{name.lower(): value for name, value in config.settings.items()})
    connect = {name: getattr(settings, name) for name in Settings.model_fields if name.startswith(CONNECTION)}
    faults: Faults = HookFaults(config.faults) if config.faults else NoFaults()
    target = Target("endpoint", _name(settings), connect, config.features | faults.abilities, faults=faults)
    made = await probe(target, session_wait_replicas=1)
    # Who asks replicas has some: that none confirms now is not "not supported".
    confirms = made.durable or settings.wait_replicas > 0
    features = target.features | ({"wait"} if confirms else set()) | ({"tls"} if settings.tls else set())
    if not settings.target.sentinel:
        return replace(target, features=features, nodes=settings.target.addresses)
    found = replace(target, features=features | {"sentinel"}, sentinels=settings.target.addresses)
    return replace(found, nodes=await asyncio.to_thread(_nodes, found))


def _nodes(target: Target) -> tuple[Address, ...]:
    """The primary and its replicas, as the first Sentinel that answers knows them."""
    primary = View(target).primary()
    master = target.settings().target.master
    for sentinel in target.sentinels:
        try:
            [replies] = target.wire.ask(sentinel, target.sentinel_login, ("SENTINEL", "REPLICAS", master))
        except WireError:
            continue
        states = [dict(zip(each[::2], each[1::2], strict=True)) for each in replies]
        replicas = (Address(each["ip"], int(each["port"])) for each in states)
        return (*((primary,) if primary else ()), *replicas)
    raise SessionError("no Sentinel answers who the replicas are")


def _name(settings: Settings) -> str:
    return ",".join(map(str, settings.target.addresses)) or settings.target.path
