"""What the load is put on: a stack, a file of outputs, or what the environment says; and what can be done to it."""

import atexit
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.config import ConfigError
from conformance.config import read as read_config
from conformance.faults.hooks import HookFaults
from conformance.targets import Target
from conformance.targets.stack import outputs_of, target_of
from infra.outputs import OutputsError, StackOutputs
from infra.outputs import read as read_outputs
from loadtests.level import Level
from loadtests.redis_level import RedisLevel
from loadtests.service import Service
from session_core.errors import SettingsError
from session_core.settings import Settings

LEVELS: Final = ("redis", "http")
HINT: Final = 'The target is what --stack, --outputs or the environment says: eval "$(make session-env)"'
TOKEN, AUTHORITY, WAITS = "SESSION_ADMIN_TOKEN", "REDIS_CA_FILE", "SESSION_WAIT_REPLICAS"


class TargetError(Exception):
    """It is not said where the target is; the message says which variable or option does, and never a secret."""


@dataclass(frozen=True)
class Choice:
    """The options that say where the target is; all empty: the environment does.

    Attributes:
        stack: of Pulumi.
        outputs: a file of the form of a stack's outputs.
        conformance: a configuration file of the conformance suite, whose commands inject faults.
        host: URL of the session service.
    """

    level: str
    stack: str = ""
    outputs: str = ""
    conformance: str = ""
    host: str = ""


@dataclass(frozen=True)
class Aim:
    """A target.

    Attributes:
        settings: of an application on Redis; None if nothing is said of Redis.
        service: set at the level `http`.
        deployment: what can be done to it; None if that is not said.
    """

    settings: Settings | None
    service: Service | None = None
    deployment: Target | None = None

    def level(self, agent_bytes: int) -> Level:
        """A way to it, for one user."""
        if self.service is not None:
            from loadtests.http_level import HttpLevel  # Locust patches all of Python when it is imported

            return HttpLevel(self.service, agent_bytes)
        if self.settings is None:
            raise TargetError(HINT)
        return RedisLevel(self.settings, agent_bytes)

    def store(self) -> Settings | None:
        """How to look at Redis itself, as an administrator if we know one; None where it is unknown or many."""
        if self.settings is None or self.settings.target.cluster:
            return None
        admin = self.deployment.admin if self.deployment else None
        if self.deployment is None or admin is None:
            return self.settings
        return self.deployment.settings(redis_username=admin.username, redis_password=admin.password)


def aim(choice: Choice) -> Aim:
    """Find out where the target is.

    Raises:
        TargetError: that is not said, or cannot be read.
    """
    try:
        if choice.stack or choice.outputs:
            found = outputs_of(choice.stack) if choice.stack else read_outputs(Path(choice.outputs))
            return _deployed(found, choice.level)
        return _named(choice)
    except (OutputsError, ConfigError, SettingsError, OSError) as error:
        raise TargetError(f"{error}\n{HINT}") from None


def _deployed(outputs: StackOutputs, level: str) -> Aim:
    directory = tempfile.TemporaryDirectory(prefix="loadtests-")
    atexit.register(directory.cleanup)
    deployment = target_of(outputs, "stack", Path(directory.name))
    if level == "redis":
        return Aim(deployment.settings(), deployment=deployment)
    if outputs.admin_token is None:
        raise TargetError("these outputs have no admin_token: nobody can log in over HTTP")
    waits = outputs.durability_delivered.wait_replicas > 0
    authority = Path(directory.name) / "ca.pem"
    service = Service(outputs.url, outputs.admin_token.get_secret_value(), authority, waits=waits)
    return Aim(deployment.settings(), service, deployment)


def _named(choice: Choice) -> Aim:
    config = read_config(Path(choice.conformance)) if choice.conformance else None
    given: Mapping[str, str] = config.settings if config else {}
    service = _service(choice.host) if choice.level == "http" else None
    if service and not (given or os.environ.get("REDIS_URL")):
        return Aim(None, service)
    settings = Settings(**{name.lower(): value for name, value in given.items()})
    if config is None:
        return Aim(settings, service)
    connect = {name: getattr(settings, name) for name in Settings.model_fields}
    sentinels = settings.target.addresses if settings.target.sentinel else ()
    faults = HookFaults(config.faults)
    deployment = Target("endpoint", "", connect, faults.abilities, sentinels=sentinels, faults=faults)
    return Aim(settings, service, deployment)


def _service(host: str) -> Service:
    token, authority = os.environ.get(TOKEN, ""), os.environ.get(AUTHORITY, "")
    if not host or not token:
        raise TargetError(f"--level http needs --host https://…, and the admin token in {TOKEN}")
    waits = os.environ.get(WAITS, "0") != "0"
    return Service(host.rstrip("/"), token, Path(authority) if authority else None, waits=waits)
