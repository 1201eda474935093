"""The configuration file: which endpoint, what it claims, which commands do to it what this suite cannot."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from conformance.requirements import register
from session_core import Settings

Fault = Literal["kill", "pause", "partition", "stop", "handover", "restart", "failover"]


class ConfigError(ValueError):
    """The file cannot be used; the message names the field and never a value."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)


class Hook(_Frozen):
    """Commands of a shell, which find the node's announced name in `CONFORMANCE_NODE`."""

    inject: str
    heal: str = ""
    """Undoes it; empty where it heals by itself."""


class Config(_Frozen):
    """Everything the file may say."""

    settings: Mapping[str, str] = {}
    """Of the endpoint: variables of the session library; they win over the environment."""
    features: frozenset[str] = frozenset()
    """Claimed beside what is probed."""
    faults: Mapping[Fault, Hook] = {}
    prometheus: Annotated[str, Field(pattern=r"^https?://[^\s/@]+(/[^\s@]*[^\s@/])?$|^$")] = ""
    """Address of the Prometheus that watches it, such as http://127.0.0.1:9090."""
    profiles: tuple[str, ...] = ()
    recovery_seconds: float = Field(default=8.0, gt=0)
    """How long a failover may take: the Sentinels' down-after and 5 s."""


def read(path: Path) -> Config:
    """Read a file.

    Raises:
        ConfigError: not YAML, or a field that is not known or wrong.
        OSError: it cannot be read.
    """
    try:
        text = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: not YAML: {error}") from None
    try:
        found = Config.model_validate(text)
    except ValidationError as error:
        raise ConfigError(f"{path}: cannot be used\n{by_field(error)}") from None
    if problem := _unknown(found):
        raise ConfigError(f"{path}: {problem}")
    return found


def by_field(error: ValidationError) -> str:
    """What is wrong with a file, a line for each field, without what stands there: it may be a secret."""
    details = error.errors(include_url=False, include_input=False)
    return "\n".join(f"  {'.'.join(map(str, each['loc'])) or 'file'}: {each['msg']}" for each in details)


def _unknown(config: Config) -> str:
    """The first name that nobody here knows, and what would be known; empty if all are."""
    known = register()
    if wrong := sorted(set(config.profiles) - known.profiles.keys()):
        return f"profiles: {', '.join(wrong)}: no such profile; see: conformance list"
    needed = frozenset().union(*map(known.needs, known.requirements))
    if wrong := sorted(config.features - needed):
        return (
            f"features: {', '.join(wrong)}: no requirement needs it; those that are known: {', '.join(sorted(needed))}"
        )
    if wrong := sorted(name for name in config.settings if name.lower() not in Settings.model_fields):
        return f"settings: {', '.join(wrong)}: no variable of the session library; see session_core.Settings"
    return ""
