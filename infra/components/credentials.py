"""Passwords of a deployment: made once, kept in the state as secrets, remade by another generation; and given ones."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

PASSWORD_BYTES = 32


class _PasswordProvider(ResourceProvider):
    serialize_as_secret_always = False  # a class name is no secret

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=olds["generation"] != news["generation"])

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult("password", self._outs(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(self._outs(news))

    def _outs(self, props: dict[str, Any]) -> dict[str, Any]:
        return {"generation": props["generation"], "value": secrets.token_urlsafe(PASSWORD_BYTES)}


class RandomPassword(Resource, module="credentials", name="RandomPassword"):
    """A password of 256 random bits, in URL-safe characters."""

    value: pulumi.Output[str]
    """Secret."""

    def __init__(self, name: str, generation: int = 1, opts: pulumi.ResourceOptions | None = None) -> None:
        """Another `generation` makes another password."""
        # The dynamic provider server does not pass secrets on: the engine has to mark the value as one again.
        secret = pulumi.ResourceOptions(additional_secret_outputs=["value"])
        props = {"generation": generation, "value": None}
        super().__init__(_PasswordProvider(), name, props, pulumi.ResourceOptions.merge(opts, secret))


def stack_secrets(keys: Iterable[str]) -> Mapping[str, pulumi.Output[str]]:
    """Return the values of secret settings of the stack, by their keys."""
    config = pulumi.Config()
    return {key: config.require_secret(key) for key in keys}


class Credentials(pulumi.ComponentResource):
    """A password for each user of a deployment."""

    passwords: Mapping[str, pulumi.Output[str]]
    """Secret password of each user, by its name."""

    def __init__(
        self, name: str, users: Sequence[str], opts: pulumi.ResourceOptions | None = None, *, generation: int = 1
    ) -> None:
        """Make a password for each of `users`; another `generation` remakes them all."""
        super().__init__("redis-session-kit:credentials:Credentials", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.passwords = {user: RandomPassword(f"{name}-{user}", generation, child).value for user in users}
        self.register_outputs({})
