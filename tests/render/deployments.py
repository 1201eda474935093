"""Two deployments that the tests render: as it comes, and one with everything set otherwise."""

from collections.abc import Mapping
from functools import cache

from infra.render.project import ADMIN_TOKEN, USERS, plain_files, secret_files
from infra.render.topology import Topology, topology
from infra.spec import ComposeTarget, DeploymentSpec, RedisSpec, SentinelSpec, ServiceSpec, SessionSpec
from infra.values import MEBIBYTE

NAME = "dev"
SPECS = {
    "default": DeploymentSpec(),
    "variant": DeploymentSpec(
        redis=RedisSpec(maxmemory=64 * MEBIBYTE, maxmemory_policy="volatile-lru", appendfsync="always", save=""),
        sentinel=SentinelSpec(nodes=5, quorum=3, master_name="sessions", down_after_ms=5000),
        session=SessionSpec(sliding_window=False, max_concurrent=0),
        service=ServiceSpec(replicas=3),
        target=ComposeTarget(redis_port=17379, sentinel_port=37379, https_port=19443, publish=False),
    ),
}

PASSWORDS = {user: f"password-of-{user}." for user in (*USERS, ADMIN_TOKEN)}
"""Fixed, so that what is rendered from them is always the same; none is part of another one."""
AUTHORITY = "certificate of the authority\n"


def certificates(parts: Topology) -> dict[str, tuple[str, str]]:
    """A text in place of each part's certificate and key."""
    return {part: (f"certificate of {part}\n", f"key of {part}\n") for part in parts.certified}


@cache
def plain(name: str) -> Mapping[str, str]:
    """The files without secrets of a deployment of SPECS, by path."""
    return plain_files(SPECS[name], NAME)


@cache
def secret(name: str) -> Mapping[str, str]:
    """The files with secrets of a deployment of SPECS, by path."""
    return secret_files(SPECS[name], PASSWORDS, AUTHORITY, certificates(topology(SPECS[name])))


def every(name: str) -> Mapping[str, str]:
    """All files of a deployment of SPECS, by path."""
    return {**plain(name), **secret(name)}
