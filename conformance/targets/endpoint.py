"""Any Redis that the session library can reach: by its variables, in the environment or in the configuration file."""

import asyncio
from dataclasses import replace

from conformance.config import Config, ConfigError
from conformance.faults import Faults, NoFaults
from conformance.faults.hooks import HookFaults
from conformance.targets import Target, probe
from conformance.view import View
from conformance.wire import WireError
from session_core import Settings
from session_core.address import Address
from session_core.errors import SessionError, SettingsError

CONNECTION = tuple(
    name
    for name in Settings.model_fields
    if name.startswith(("redis_", "session_backend", "session_scripts", "session_wait_replicas"))
)
"""Fields of the settings that say how Redis is reached; the others are set by each experiment."""


async def endpoint(config: Config) -> Target:
    """Find out what the endpoint is.

    Raises:
        ConfigError: nobody says where it is.
        SettingsError: the variables contradict each other.
        SessionError: it cannot be reached, or lacks the function library.
    """
    settings = _settings(config)
    connect = {name: getattr(settings, name) for name in CONNECTION}
    faults: Faults = HookFaults(config.faults) if config.faults else NoFaults()
    target = Target("endpoint", _name(settings), connect, config.features | faults.abilities, faults=faults)
    made = await probe(target, session_wait_replicas=1)
    # Who asks replicas has some: that none confirms now is not "not supported".
    confirms = made.durable or settings.wait_replicas > 0
    features = target.features | ({"wait"} if confirms else set()) | ({"tls"} if settings.tls else set())
    if not settings.target.sentinel:
        return replace(target, features=features, nodes=settings.target.addresses)
    found = replace(target, features=features | {"sentinel"}, sentinels=settings.target.addresses)
    return replace(found, nodes=await asyncio.to_thread(replicated, found))


def _settings(config: Config) -> Settings:
    try:
        return Settings(**{name.lower(): value for name, value in config.settings.items()})
    except SettingsError as error:
        if "REDIS_URL is missing" not in str(error):
            raise
        where = "set it in the environment, or under settings in the file of --config"
        raise ConfigError(f"REDIS_URL is missing: {where}") from None


def replicated(target: Target) -> tuple[Address, ...]:
    """The primary and its replicas, as the first Sentinel that answers knows them.

    Raises:
        SessionError: none does.
    """
    primary = View(target).primary()
    master = target.settings().target.master
    said: object = "no answer"
    for sentinel in target.sentinels:
        try:
            [said] = target.wire.ask(sentinel, target.sentinel_login, ("SENTINEL", "REPLICAS", master))
        except WireError:
            continue
        if isinstance(said, list):
            states = [dict(zip(each[::2], each[1::2], strict=True)) for each in said]
            replicas = (Address(each["ip"], int(each["port"])) for each in states)
            return (*((primary,) if primary else ()), *replicas)
    raise SessionError(f"no Sentinel answers who the replicas are: {said}")


def _name(settings: Settings) -> str:
    return ",".join(map(str, settings.target.addresses)) or settings.target.path
