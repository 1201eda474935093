"""compose.yaml: every container non-root, with a read-only root file system, no capabilities and bounded resources."""

from typing import Any

import yaml

from infra.render.redis_conf import node_mebibytes
from infra.render.session_settings import (
    connection,
    exporter_settings,
    login_settings,
    session_settings,
    trace_settings,
)
from infra.render.topology import KIT, SECRETS, Node, Topology, topology
from infra.spec import ComposeTarget, DeploymentSpec, target_of

REDIS_USER, GATEWAY_USER, SERVICE_USER, EXPORTER_USER = "999:999", "101:101", "10001:10001", "59000:59000"


def project_name(deployment: str) -> str:
    """The compose project of `deployment`: its containers, networks and volumes carry this name."""
    return f"redis-session-kit-{deployment}"


def hash_variable(service: str) -> str:
    """The variable in `.env` with the hash of a service's files: a changed file makes compose replace the container."""
    return service.upper().replace("-", "_") + "_FILES"


def compose_yaml(spec: DeploymentSpec, deployment: str) -> str:
    """The compose file of `deployment`; its directory holds one folder of files for each service."""
    parts, publish = topology(spec), target_of(spec, ComposeTarget).publish
    services: dict[str, Any] = {node.name: _redis(spec, parts, node) for node in parts.redis}
    services |= {node.name: _sentinel(spec, parts, node) for node in parts.sentinels}
    services["functions"] = _functions(spec)
    services |= {name: _session(spec, name) for name in parts.services}
    services["gateway"] = _gateway(spec)
    services["exporter"] = _exporter(spec)
    networks: dict[str, Any] = {"data": {"internal": not publish}}
    if publish:
        networks["edge"] = {}
    project = {
        "name": project_name(deployment),
        "services": services,
        "networks": networks,
        "volumes": {f"{node.name}-data": {} for node in (*parts.redis, *parts.sentinels)},
    }
    return yaml.safe_dump(project, sort_keys=False, width=120)


def _container(name: str, image: str, user: str, memory_mib: int, **more: object) -> dict[str, Any]:
    return {
        "image": image,
        "user": user,
        "init": True,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": "unless-stopped",
        "mem_limit": f"{memory_mib}m",
        "pids_limit": 256,
        "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}},
        "labels": {"redis-session-kit.files": f"${{{hash_variable(name)}:-}}"},
        "networks": ["data"],
        # A name that is not running must fail at once: Sentinel looks names up while it should be answering.
        "dns_opt": ["timeout:1", "attempts:1"],
    } | more


def _bind(folder: str, target: str) -> dict[str, Any]:
    return {"type": "bind", "source": f"./{folder}", "target": target, "read_only": True}


def _healthcheck(*command: str) -> dict[str, Any]:
    return {"test": ["CMD", *command], "interval": "5s", "timeout": "4s", "retries": 3, "start_period": "60s"}


def _data_node(spec: DeploymentSpec, parts: Topology, node: Node, memory_mib: int) -> dict[str, Any]:
    return _container(
        node.name,
        spec.redis.image,
        REDIS_USER,
        memory_mib,
        entrypoint=["sh", f"{KIT}/entrypoint.sh"],
        stop_grace_period="30s",
        environment={
            "NODE": node.name,
            "NODES": " ".join(map(str, parts.redis)),
            "SENTINELS": " ".join(map(str, parts.sentinels)),
            "MASTER_NAME": parts.master_name,
        },
        volumes=[_bind(node.name, KIT), f"{node.name}-data:/data"],
        tmpfs=["/run/redis:uid=999,gid=999,mode=0700,size=16m", "/tmp:uid=999,gid=999,mode=0700,size=16m"],
        healthcheck=_healthcheck("sh", f"{KIT}/ctl.sh", "ping"),
    ) | _ports(spec, node.port)


def _redis(spec: DeploymentSpec, parts: Topology, node: Node) -> dict[str, Any]:
    return _data_node(spec, parts, node, node_mebibytes(spec.redis))


def _sentinel(spec: DeploymentSpec, parts: Topology, node: Node) -> dict[str, Any]:
    """Depends on the nodes, so that a stop of everything ends the Sentinels first and starts no failover."""
    after = {"depends_on": {each.name: {"condition": "service_started"} for each in parts.redis}}
    return _data_node(spec, parts, node, 64) | after


def _ports(spec: DeploymentSpec, port: int) -> dict[str, Any]:
    return {"ports": [f"127.0.0.1:{port}:{port}"]} if target_of(spec, ComposeTarget).publish else {}


def _functions(spec: DeploymentSpec) -> dict[str, Any]:
    """Runs once at each `up`: loads the function library as the deploy user."""
    return _container(
        "functions",
        spec.service.image,
        SERVICE_USER,
        128,
        restart="no",
        entrypoint=["python3", "-m", "session_core", "functions", "load"],
        environment=connection(spec, topology(spec).sentinels) | {"SESSION_DEADLINE_SECONDS": "60"},
        volumes=[_bind("functions/secrets", SECRETS), _bind("functions/tls", f"{KIT}/tls")],
        tmpfs=["/tmp:mode=1777,size=16m"],
    )


def _session(spec: DeploymentSpec, name: str) -> dict[str, Any]:
    return _container(
        name,
        spec.service.image,
        SERVICE_USER,
        256,
        networks={"data": {"aliases": ["session"]}},
        stop_grace_period="30s",
        environment={"SESSION_BACKEND": "redis", "REDIS_USERNAME": "sessions"}
        | connection(spec, topology(spec).sentinels)
        | session_settings(spec)
        | login_settings(spec)
        | trace_settings(spec)
        | {"SESSION_CLIENT_IP_HEADER": "X-Forwarded-For"}  # the gateway sets it
        | {"SESSION_TLS_CERT_FILE": f"{KIT}/tls/node.crt", "SESSION_TLS_KEY_FILE": f"{KIT}/tls/node.key"},
        volumes=[_bind(f"{name}/secrets", SECRETS), _bind(f"{name}/tls", f"{KIT}/tls")],
        tmpfs=["/tmp:mode=1777,size=16m"],
        depends_on={"functions": {"condition": "service_completed_successfully"}},
        healthcheck=_healthcheck("python3", "-m", "session_core.service", "health"),
    )


def _gateway(spec: DeploymentSpec) -> dict[str, Any]:
    target = target_of(spec, ComposeTarget)
    return _container(
        "gateway",
        spec.gateway.image,
        GATEWAY_USER,
        64,
        networks=["data", "edge"] if target.publish else ["data"],
        entrypoint=["nginx", "-c", f"{KIT}/nginx.conf", "-g", "daemon off;"],
        volumes=[_bind("gateway", KIT)],
        tmpfs=["/tmp:uid=101,gid=101,mode=0700,size=64m"],
        # Written once the configuration is read and the port is open.
        healthcheck=_healthcheck("sh", "-c", "kill -0 $$(cat /tmp/nginx.pid)"),
    ) | _ports(spec, target.https_port)


def _exporter(spec: DeploymentSpec) -> dict[str, Any]:
    """Redis and Sentinel metrics for a Prometheus in the network `data`: `/scrape?target=rediss://redis-1:6379`."""
    return _container(
        "exporter",
        spec.exporter.image,
        EXPORTER_USER,
        64,
        environment=exporter_settings(),
        volumes=[_bind("exporter", KIT)],
    )
