"""What must hold for every rendered deployment, whatever its settings."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.render.passwords import ADMIN_TOKEN, USERS
from infra.render.topology import Node, Topology, topology
from infra.render.users_acl import REDIS_RULES, SENTINEL_RULES
from infra.spec import ComposeTarget, target_of
from session_core.service.settings import ServiceSettings
from tests.render.deployments import GIVEN, KEYCLOAK_CA, PASSWORDS, SPECS, every, plain, secret

pytestmark = pytest.mark.parametrize("name", SPECS)
Services = Mapping[str, Mapping[str, Any]]


def compose(name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load(plain(name)["compose.yaml"])
    return found


def services(name: str) -> Services:
    found: Services = compose(name)["services"]
    return found


def parts_of(name: str) -> Topology:
    return topology(SPECS[name])


def nodes(name: str) -> tuple[Node, ...]:
    return (*parts_of(name).redis, *parts_of(name).sentinels)


def conf(name: str, node: Node) -> list[str]:
    """The lines of a node's redis.conf or sentinel.conf."""
    kind = "redis" if node in parts_of(name).redis else "sentinel"
    return plain(name)[f"{node.name}/{kind}.conf"].splitlines()


# Containers.


def test_every_part_runs(name: str) -> None:
    parts = parts_of(name)
    assert set(services(name)) == {
        *(node.name for node in nodes(name)),
        *parts.services,
        "functions",
        "gateway",
        "exporter",
    }


def test_every_container_has_least_privilege_and_bounds(name: str) -> None:
    for service, settings in services(name).items():
        user, _, group = str(settings["user"]).partition(":")
        assert user.isdecimal(), service
        assert group.isdecimal(), service
        assert "0" not in {user, group}, service
        assert settings["read_only"] is True, service
        assert settings["cap_drop"] == ["ALL"], service
        assert settings["security_opt"] == ["no-new-privileges:true"], service
        assert settings["pids_limit"] > 0, service
        assert settings["logging"]["options"].keys() == {"max-size", "max-file"}, service
        assert not {"cap_add", "privileged", "network_mode", "pid", "ipc", "devices", "userns_mode"} & set(settings)


def test_a_redis_node_has_memory_for_its_data_and_for_a_copy_of_it(name: str) -> None:
    spec = SPECS[name]
    for node in parts_of(name).redis:
        limit = services(name)[node.name]["mem_limit"]
        assert limit.endswith("m")
        assert int(limit.removesuffix("m")) * 1024 * 1024 >= 2 * spec.redis.maxmemory


def test_every_container_has_a_memory_limit(name: str) -> None:
    for service, settings in services(name).items():
        assert int(settings["mem_limit"].removesuffix("m")) > 0, service


def test_only_the_disks_of_the_nodes_can_be_written_to(name: str) -> None:
    for service, settings in services(name).items():
        for mount in settings["volumes"]:
            if isinstance(mount, str):
                assert mount == f"{service}-data:/data", "each node has a disk of its own"
            else:
                assert (mount["type"], mount["read_only"]) == ("bind", True)
    assert compose(name)["volumes"].keys() == {f"{node.name}-data" for node in nodes(name)}


def test_a_container_sees_its_own_files_alone(name: str) -> None:
    for service, settings in services(name).items():
        folders = [mount["source"] for mount in settings["volumes"] if isinstance(mount, dict)]
        assert folders
        for folder in folders:
            assert folder == f"./{service}" or folder.startswith(f"./{service}/")
            assert any(path.startswith(f"{folder.removeprefix('./')}/") for path in every(name)), f"{folder} is empty"


def test_ports_are_published_on_this_host_alone_and_are_the_same_inside(name: str) -> None:
    spec, found = SPECS[name], []
    for service, settings in services(name).items():
        for port in settings.get("ports", []):
            address, outside, inside = port.split(":")
            assert (address, outside) == ("127.0.0.1", inside)
            found.append((service, int(outside)))
    published = [(node.name, node.port) for node in nodes(name)] + [
        ("gateway", target_of(spec, ComposeTarget).https_port)
    ]
    assert found == (published if target_of(spec, ComposeTarget).publish else [])


def test_a_deployment_that_publishes_nothing_has_no_way_out(name: str) -> None:
    networks, publish = compose(name)["networks"], target_of(SPECS[name], ComposeTarget).publish
    assert networks["data"] == {"internal": not publish}
    assert ("edge" in networks) is publish


def test_only_the_gateway_is_on_the_edge(name: str) -> None:
    on_edge = [service for service, settings in services(name).items() if "edge" in settings["networks"]]
    assert on_edge == (["gateway"] if target_of(SPECS[name], ComposeTarget).publish else [])


def test_sentinels_stop_before_the_nodes_they_watch(name: str) -> None:
    """Compose stops in the reverse order of starting: a planned stop of everything is no failure."""
    parts = parts_of(name)
    for sentinel in parts.sentinels:
        assert services(name)[sentinel.name]["depends_on"].keys() == {node.name for node in parts.redis}


def test_a_changed_file_replaces_its_container_alone(name: str) -> None:
    labels = [settings["labels"]["redis-session-kit.files"] for settings in services(name).values()]
    assert len(set(labels)) == len(labels)


# Secrets.


def test_no_secret_is_in_a_file_for_everybody(name: str) -> None:
    for path, text in plain(name).items():
        for user, password in (PASSWORDS | GIVEN).items():
            assert password not in text, f"{user} in {path}"
            assert hashlib.sha256(password.encode()).hexdigest() not in text, f"{user} in {path}"
        assert "PRIVATE KEY" not in text
        assert "key of" not in text


def test_each_file_has_the_passwords_that_its_reader_signs_in_with_and_no_other(name: str) -> None:
    expected = {
        "auth.conf of redis": {"replication"},
        "auth.conf of sentinel": {"sentinel"},
        "node.password": {"node"},
        "passwords.json": {"exporter"},
        "REDIS_PASSWORD": {"sessions"},
        "REDIS_SENTINEL_PASSWORD": {"sessions"},
        "REDIS_DEPLOY_PASSWORD": {"deploy"},
        "SESSION_ADMIN_TOKEN": {ADMIN_TOKEN},
    }
    if name == "variant":
        expected |= {"KEYCLOAK_CLIENT_SECRET": {"keycloakClientSecret"}, "JWT_SECRET_KEY": {"jwtSecretKey"}}
    seen = set()
    for path, text in secret(name).items():
        file = path.rpartition("/")[2]
        file += f" of {path.partition('-')[0]}" if file == "auth.conf" else ""
        held = {user for user, password in (PASSWORDS | GIVEN).items() if password in text}
        assert held == expected.get(file, set()), path
        seen |= {file} & expected.keys()
    assert seen == expected.keys()


def test_the_admins_password_is_nowhere_but_as_a_hash(name: str) -> None:
    assert not [path for path, text in every(name).items() if PASSWORDS["admin"] in text]


def test_a_private_key_is_where_its_part_is_and_nowhere_else(name: str) -> None:
    for part in parts_of(name).certified:
        holders = [path for path, text in secret(name).items() if f"key of {part}\n" in text]
        assert holders == [f"{part}/tls/node.key"]


def test_the_exporter_signs_in_at_every_node_over_tls(name: str) -> None:
    addresses = json.loads(secret(name)["exporter/passwords.json"])
    assert addresses == {f"rediss://exporter@{node}": PASSWORDS["exporter"] for node in nodes(name)}


# Logins.


def test_the_service_reads_from_its_files_and_variables_what_the_stack_says_of_logins(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service itself reads them: every variable is one that it knows, and together they are accepted."""
    spec, service = SPECS[name], parts_of(name).services[-1]
    environment = services(name)[service]["environment"]
    secrets = {path.rpartition("/")[2]: text for path, text in secret(name).items() if path.startswith(f"{service}/s")}
    assert {variable.lower() for variable in (*environment, *secrets)} <= ServiceSettings.model_fields.keys()
    for variable, text in secrets.items():
        (tmp_path / variable).write_text(text.ljust(32, "."))
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    settings = ServiceSettings(_env_file=None, _secrets_dir=tmp_path)
    assert settings.auth_mode == spec.auth.mode
    assert settings.session_public_url == spec.service.public_url
    assert ",".join(sorted(settings.session_trusted_origins)) == spec.service.trusted_origins
    assert settings.keycloak_server_url == spec.keycloak.server_url
    assert settings.keycloak_follow is spec.keycloak.follow or not spec.keycloak.server_url
    assert settings.session_password_login is spec.service.password_login
    assert bool(settings.keycloak_client_secret.get_secret_value()) is spec.keycloak.client_secret
    assert settings.otel_exporter_otlp_endpoint == spec.telemetry.endpoint
    assert settings.session_recent_login_seconds == spec.service.recent_login_seconds
    assert bool(settings.jwt_secret_key.get_secret_value()) is spec.jwt.secret_key
    mounted = {mount["target"]: mount["source"] for mount in services(name)[service]["volumes"]}
    ca = str(settings.keycloak_ca_file or "")
    folder, _, file = ca.rpartition("/")
    assert not ca or plain(name)[f"{mounted[folder].removeprefix('./')}/{file}"] == KEYCLOAK_CA
    assert bool(ca) is bool(spec.keycloak.ca_pem)


# Access.


@pytest.mark.parametrize("kind", ["redis", "sentinels"])
def test_default_is_off_and_each_password_is_a_hash(name: str, kind: str) -> None:
    rules = REDIS_RULES if kind == "redis" else SENTINEL_RULES
    for node in getattr(parts_of(name), kind):
        lines = secret(name)[f"{node.name}/users.acl"].splitlines()
        assert lines[0].split()[:4] == ["user", "default", "off", "resetpass"]
        users = {words[1]: words for words in (line.split() for line in lines[1:])}
        assert users.keys() == rules.keys()
        for user, words in users.items():
            assert words[:3] == ["user", user, "on"]
            assert words[3] == "#" + hashlib.sha256(PASSWORDS[user].encode()).hexdigest()
            assert not [word for word in words if word.startswith(">") or word == "nopass"]


@pytest.mark.parametrize("rules", [REDIS_RULES, SENTINEL_RULES], ids=["redis", "sentinel"])
def test_only_the_admin_may_do_everything(name: str, rules: Mapping[str, str]) -> None:
    for user, rule in rules.items():
        words = rule.split()
        if user == "admin":
            continue
        assert "-@all" in words, user
        assert not [word for word in words if word.startswith("+@") or word in {"allcommands", "allkeys", "~*"}], user
        assert not {"+config", "+config|get", "+config|set", "+acl", "+debug", "+shutdown", "+module"} & set(words), (
            user
        )


def test_each_user_of_a_deployment_has_a_rule(name: str) -> None:
    assert set(USERS) == {*REDIS_RULES, *SENTINEL_RULES}


# Configuration.


def test_nothing_listens_without_tls(name: str) -> None:
    for node in nodes(name):
        lines = conf(name, node)
        assert "port 0" in lines
        assert f"tls-port {node.port}" in lines
        assert "tls-replication yes" in lines
        assert [line for line in lines if line.split()[0] in {"port", "tls-port"}] == [
            "port 0",
            f"tls-port {node.port}",
        ]
    nginx = plain(name)["gateway/nginx.conf"]
    listening = [line.split() for line in nginx.splitlines() if line.split()[:1] == ["listen"]]
    assert listening == [["listen", str(target_of(SPECS[name], ComposeTarget).https_port), "ssl;"]]


def test_every_node_announces_its_name(name: str) -> None:
    """An address of a container changes with each start, and is not reachable from outside."""
    parts = parts_of(name)
    for node in parts.redis:
        assert f"replica-announce-ip {node.name}" in conf(name, node)
        assert f"replica-announce-port {node.port}" in conf(name, node)
    for node in parts.sentinels:
        lines = conf(name, node)
        assert f"sentinel announce-ip {node.name}" in lines
        assert f"sentinel announce-port {node.port}" in lines
        assert "sentinel resolve-hostnames yes" in lines
        assert "sentinel announce-hostnames yes" in lines


def test_every_sentinel_has_an_id_of_its_own_that_stays(name: str) -> None:
    ids = {line.split()[2] for node in parts_of(name).sentinels for line in conf(name, node) if "sentinel myid" in line}
    assert len(ids) == len(parts_of(name).sentinels)
    assert all(len(each) == 40 and set(each) <= set("0123456789abcdef") for each in ids)


def test_what_was_asked_for_is_in_the_configuration(name: str) -> None:
    redis, sentinel = SPECS[name].redis, SPECS[name].sentinel
    for node in parts_of(name).redis:
        lines = conf(name, node)
        assert f"maxmemory {redis.maxmemory}" in lines
        assert f"maxmemory-policy {redis.maxmemory_policy}" in lines
        assert "appendonly yes" in lines
        assert f"appendfsync {redis.appendfsync}" in lines
        assert "save " + (redis.save or '""') in lines
        assert f"min-replicas-to-write {redis.min_replicas_to_write}" in lines
    for node in parts_of(name).sentinels:
        lines = conf(name, node)
        assert f"sentinel monitor {sentinel.master_name} @PRIMARY@ {sentinel.quorum}" in lines
        assert f"sentinel down-after-milliseconds {sentinel.master_name} {sentinel.down_after_ms}" in lines


def test_nothing_that_is_rendered_says_who_is_primary(name: str) -> None:
    for node in parts_of(name).redis:
        assert not [line for line in conf(name, node) if line.startswith(("replicaof", "slaveof", "replica-priority"))]


def test_every_node_is_told_of_every_other_one(name: str) -> None:
    parts = parts_of(name)
    for node in nodes(name):
        assert services(name)[node.name]["environment"] == {
            "NODE": node.name,
            "NODES": " ".join(map(str, parts.redis)),
            "SENTINELS": " ".join(map(str, parts.sentinels)),
            "MASTER_NAME": parts.master_name,
        }
