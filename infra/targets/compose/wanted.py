"""The properties of the compose resource, as the provider gets them from the engine, in a typed form."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import infra
from infra.render.compose import project_name
from infra.targets.compose.engine import Project

Props = dict[str, Any]


@dataclass(frozen=True)
class Parts:
    """The services of the project by what they are."""

    redis: tuple[str, ...]
    """Announced addresses, `name:port`."""
    sentinels: tuple[str, ...]
    services: tuple[str, ...]
    others: tuple[str, ...]
    master_name: str

    @property
    def redis_names(self) -> tuple[str, ...]:
        """Services of the Redis nodes."""
        return tuple(address.partition(":")[0] for address in self.redis)

    @property
    def sentinel_names(self) -> tuple[str, ...]:
        """Services of the Sentinels."""
        return tuple(address.partition(":")[0] for address in self.sentinels)

    @property
    def all_names(self) -> tuple[str, ...]:
        """Every service that keeps running."""
        return (*self.redis_names, *self.sentinel_names, *self.services, *self.others)

    def same_nodes(self, other: Self) -> bool:
        """Whether nodes can be replaced one by one: they all still know each other by the same addresses."""
        return (self.redis, self.sentinels, self.master_name) == (other.redis, other.sentinels, other.master_name)


@dataclass(frozen=True)
class Wanted:
    """What a deployment is to be."""

    name: str
    project: Project
    stack_file: str
    files: Mapping[str, str]
    """Every rendered file by path, the secret ones too."""
    images: Mapping[str, str]
    """Image by the configuration key that names it."""
    ports: Mapping[str, int]
    """Published port by configuration key and part."""
    parts: Parts
    delete_data: bool

    @classmethod
    def of(cls, props: Props) -> Self:
        """Read the properties; numbers reach a dynamic provider as floats, and unknown secrets as a text."""
        plain, secret = props["files"], props["secretFiles"]
        return cls(
            name=props["deployment"],
            project=Project(project_name(props["deployment"]), directory(props["deployment"])),
            stack_file=f"stacks/Pulumi.{props['deployment']}.yaml",
            files={**plain, **secret} if isinstance(secret, dict) else plain,
            images=props["images"],
            ports={name: int(port) for name, port in props["ports"].items()},
            parts=Parts(**{name: _tuple(value) for name, value in props["parts"].items()}),
            delete_data=props["deleteData"],
        )


def directory(deployment: str) -> Path:
    """Where the project of a deployment is rendered to: private, beside the checkout's other state."""
    return Path(infra.__file__).parents[1] / ".state" / deployment


def _tuple(value: Any) -> Any:  # noqa: ANN401 - what JSON has
    return tuple(value) if isinstance(value, list) else value
