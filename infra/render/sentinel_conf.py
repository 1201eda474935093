"""sentinel.conf. `@PRIMARY@` is put in by the entrypoint: whom to watch is learned at run time, never rendered."""

import hashlib

from infra.render.redis_conf import tls_conf
from infra.render.topology import Node
from infra.spec import SentinelSpec


def sentinel_conf(sentinel: SentinelSpec, node: Node, deployment: str) -> str:
    """The part without secrets of `node`'s sentinel.conf; `deployment` tells two deployments' Sentinels apart."""
    master = sentinel.master_name
    return (
        "\n".join(
            [
                *tls_conf(node.port),
                "aclfile /run/redis/users.acl",
                "dir /run/redis",
                # A name survives a restart, an address does not; both must stand before `monitor` (redis.io: Sentinel).
                "sentinel resolve-hostnames yes",
                "sentinel announce-hostnames yes",
                f"sentinel announce-ip {node.name}",
                f"sentinel announce-port {node.port}",
                # A Sentinel that comes back under a new id would count as one more voter for ever.
                f"sentinel myid {_id(deployment, node)}",
                f"sentinel monitor {master} @PRIMARY@ {sentinel.quorum}",
                f"sentinel down-after-milliseconds {master} {sentinel.down_after_ms}",
                f"sentinel failover-timeout {master} {sentinel.failover_timeout_ms}",
                f"sentinel parallel-syncs {master} 1",
                "sentinel deny-scripts-reconfig yes",
            ]
        )
        + "\n"
    )


def sentinel_auth_conf(sentinel: SentinelSpec, password: str) -> str:
    """The secret part: how this Sentinel signs in at the Redis nodes and at the other Sentinels."""
    return (
        "\n".join(
            [
                f"sentinel auth-user {sentinel.master_name} sentinel",
                f"sentinel auth-pass {sentinel.master_name} {password}",
                "sentinel sentinel-user sentinel",
                f"sentinel sentinel-pass {password}",
            ]
        )
        + "\n"
    )


def _id(deployment: str, node: Node) -> str:
    return hashlib.sha1(f"{deployment}/{node.name}".encode(), usedforsecurity=False).hexdigest()
