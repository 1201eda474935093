"""What a deployment exports, and all that its users know of it. No Pulumi.

Written by a target as stack outputs; read from `pulumi stack output --json --show-secrets`, or from a file of the
same form that describes a Redis which somebody else has deployed.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

SCHEMA_VERSION = 1
HIDDEN = "[secret]"
"""What Pulumi prints in place of a secret."""

Address = Annotated[str, Field(pattern=r"^[^\s:/,]+:\d{1,5}$")]
"""`host:port`, as Redis and Sentinel announce it."""
SessionVariable = Annotated[str, Field(pattern=r"^SESSION_[A-Z_]+$")]
HttpsUrl = Annotated[str, Field(pattern=r"^https://[^\s/]+$")]

Feature = Literal[
    "sentinel",
    "tls",
    "acl",
    "aof",
    "rdb",
    "wait",
    "waitaof",
    "min_replicas",
    "kill",
    "pause",
    "partition",
    "restart",
    "clock_skew",
    "admin_config",
]
"""What a deployment delivers, and what may be done to it from outside (`kill` to `admin_config`)."""


class OutputsError(ValueError):
    """The outputs cannot be read; the message names the field and never a secret."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)


class Durability(_Frozen):
    """What protects an acknowledged write."""

    append_only: Literal["always", "everysec", "no", "off"]
    """When the append-only file reaches the disk; `off`: there is none."""
    snapshots: str
    """RDB snapshots as pairs of seconds and changes, or in the words of a cloud; empty: none."""
    replicas: int = Field(ge=0)
    min_replicas_to_write: int = Field(ge=0)
    wait_replicas: int = Field(ge=0)
    """Confirmations that the session service waits for."""


class Users(_Frozen):
    """Names of the users whose passwords are exported."""

    sessions: str
    """Of applications, on Redis."""
    sentinel: str | None = None
    """Of applications, on the Sentinels."""
    exporter: str | None = None
    deploy: str | None = None
    """Loads the function library."""
    admin: str | None = None
    """May do everything, on Redis and on the Sentinels."""


class StackOutputs(_Frozen):
    """Everything a deployment exports; each secret is a field of its own."""

    schema_version: Literal[1]
    target: str
    """Kind of the target (`compose`)."""
    location: Mapping[str, str] = {}
    """How the parts are found from outside, in the target's own words (`compose_project`)."""
    url: HttpsUrl
    """Of the session service."""
    ca_pem: str = Field(pattern="^-----BEGIN CERTIFICATE-----")
    """Certificates of the authorities that signed every certificate of the deployment."""

    redis_nodes: tuple[Address, ...] = Field(min_length=1)
    """Redis nodes, or the one endpoint of a managed service."""
    sentinels: tuple[Address, ...] = ()
    master_name: str | None = None
    """Name of the primary at the Sentinels."""
    address_map: str = ""
    """Where this host reaches the announced addresses, as in REDIS_ADDRESS_MAP; empty: as announced."""

    features: tuple[Feature, ...]
    durability_requested: Durability
    durability_delivered: Durability

    session_settings: Mapping[SessionVariable, str] = {}
    """What the session service runs with, for applications that share its sessions; empty: the library's defaults."""

    users: Users
    sessions_password: SecretStr
    sentinel_password: SecretStr | None = None
    exporter_password: SecretStr | None = None
    deploy_password: SecretStr | None = None
    admin_password: SecretStr | None = None
    admin_token: SecretStr | None = None
    """Of the session service's admin API."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.sentinels) != ("sentinel" in self.features) or bool(self.sentinels) != bool(self.master_name):
            raise ValueError("sentinels, master_name and the feature sentinel belong together: give all three or none")
        for role, user in self.users:
            if bool(user) != bool(getattr(self, f"{role}_password")):
                raise ValueError(f"users.{role} and {role}_password belong together: give both or none")
        return self


def place(location: Mapping[str, Any]) -> tuple[str, ...]:
    """First words for kubectl: the namespace at `location`, of the cluster of its context or of the current one."""
    context = ("--context", location["context"]) if location.get("context") else ()
    return (*context, "--namespace", location["namespace"])


def read(source: Path | None) -> StackOutputs:
    """Read the outputs as JSON from a file, or from standard input.

    Raises:
        OutputsError: with one line for each wrong field.
        OSError: when the file cannot be read.

    """
    name = str(source) if source else "standard input"
    try:
        outputs = json.loads(source.read_text(encoding="utf-8") if source else sys.stdin.read())
    except ValueError as error:
        raise OutputsError(f"{name}: not JSON: {error}") from None
    return parse(outputs, name)


def parse(outputs: object, name: str) -> StackOutputs:
    """Validate `outputs`, a decoded JSON object; errors begin with `name`.

    Raises:
        OutputsError: with one line for each wrong field.

    """
    if not isinstance(outputs, Mapping):
        raise OutputsError(f"{name}: must be an object with the fields {', '.join(StackOutputs.model_fields)}")
    if hidden := [key for key, value in outputs.items() if value == HIDDEN]:
        raise OutputsError(
            f"{name}: {', '.join(hidden)}: hidden; write them with: pulumi stack output --json --show-secrets"
        )
    if (version := outputs.get("schema_version")) != SCHEMA_VERSION:
        raise OutputsError(f"{name}: schema_version: {version}, but this version reads {SCHEMA_VERSION}")
    try:
        return StackOutputs.model_validate(outputs)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    lines = [": ".join(filter(None, [".".join(map(str, each["loc"])), each["msg"]])) for each in details]
    raise OutputsError("\n".join([f"{name}: these outputs cannot be used", *(f"  {line}" for line in lines)]))
