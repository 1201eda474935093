"""redis.conf of a data node. What is secret in it is a separate text, so that a change of a setting stays readable."""

from infra.render.topology import TLS, Node
from infra.spec import RedisSpec
from infra.values import MEBIBYTE


def tls_conf(port: int) -> list[str]:
    """Nothing but TLS listens (redis.io: Security, "TLS Support")."""
    return [
        "bind * -::*",
        # Names and passwords guard the port (ACL, `default` off); protected mode would look for a default password.
        "protected-mode no",
        "port 0",
        f"tls-port {port}",
        f"tls-cert-file {TLS}/node.crt",
        f"tls-key-file {TLS}/node.key",
        f"tls-ca-cert-file {TLS}/ca.crt",
        "tls-auth-clients optional",
        "tls-replication yes",
        'tls-protocols "TLSv1.2 TLSv1.3"',
    ]


def redis_conf(redis: RedisSpec, node: Node) -> str:
    """The part without secrets of `node`'s redis.conf; the entrypoint adds the role."""
    return _text(
        [
            *tls_conf(node.port),
            "aclfile /run/redis/users.acl",
            "dir /data",
            "tcp-keepalive 60",
            # Sessions live in pooled connections: an idle one must not be cut.
            "timeout 0",
            *data_conf(redis),
            f"replica-announce-ip {node.name}",
            f"replica-announce-port {node.port}",
            *replicas_conf(redis),
            # The default of 5 s would be added to the recovery whenever a replica needs a full sync after a failover.
            "repl-diskless-sync-delay 0",
            # Replicas that were away for a short while catch up from here instead of copying everything.
            "repl-backlog-size 16mb",
            # On SIGTERM the primary waits this long (s) for its replicas to have everything.
            "shutdown-timeout 10",
            "acllog-max-len 128",
            # A session stays one compact block; by default a value over 64 bytes makes it a hash table.
            "hash-max-listpack-value 1024",
        ]
    )


def node_mebibytes(redis: RedisSpec) -> int:
    """Memory of a node's container, in MiB, whatever the target.

    Twice maxmemory and some: a full sync and an AOF rewrite fork, and the copy grows with what is written meanwhile.
    """
    return 2 * redis.maxmemory // MEBIBYTE + 64


def data_conf(redis: RedisSpec) -> list[str]:
    """What the spec decides of memory and disk."""
    return [
        f"maxmemory {redis.maxmemory}",
        f"maxmemory-policy {redis.maxmemory_policy}",
        "save " + (redis.save or '""'),
        "appendonly yes",
        f"appendfsync {redis.appendfsync}",
    ]


def replicas_conf(redis: RedisSpec) -> list[str]:
    """What the spec decides of the replicas that a write needs."""
    return [
        f"min-replicas-to-write {redis.min_replicas_to_write}",
        f"min-replicas-max-lag {redis.min_replicas_max_lag}",
    ]


def redis_auth_conf(replication_password: str) -> str:
    """The secret part of redis.conf: any node can become a replica."""
    return _text(["masteruser replication", f"masterauth {replication_password}"])


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
