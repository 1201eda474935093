"""What must hold for every deployment on Kubernetes, whatever its settings; and what is rendered for two, in full."""

import base64
import json
from collections.abc import ItemsView, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from infra.kubernetes import KubernetesTarget
from infra.render.compose import compose_yaml
from infra.render.entrypoints import script
from infra.render.kubernetes import Cluster, Object, plain_objects
from infra.render.kubernetes.documents import manifest
from infra.render.passwords import ADMIN_TOKEN
from infra.spec import ComposeTarget
from tests.render.clusters import CLUSTERS, plain, secrets
from tests.render.deployments import AUTHORITY, PASSWORDS

pytestmark = pytest.mark.parametrize("name", CLUSTERS)
GOLDEN = Path(__file__).parent / "golden"
PODS = {"StatefulSet", "Deployment"}


def objects(name: str, *kinds: str) -> dict[tuple[str, str], Object]:
    """Objects of some kinds, or all, by kind and name."""
    every = [each for file in plain(name).values() for each in file]
    return {(each["kind"], each["metadata"]["name"]): each for each in every if not kinds or each["kind"] in kinds}


def pods(name: str) -> dict[str, Object]:
    """The pods' template of each part."""
    return {part: each["spec"]["template"] for (_, part), each in objects(name, *PODS).items()}


def containers(name: str) -> Iterator[Object]:
    for template in pods(name).values():
        yield from (*template["spec"]["containers"], *template["spec"].get("initContainers", []))


def document(name: str) -> str:
    """Every manifest under its name, the scripts by their name: their text is no rendering."""
    programs = {script(program): f"(the script {program})\n" for program in ("redis", "sentinel", "ctl")}
    text = ""
    for file, found in [*plain(name).items(), ("secrets", list(secrets(name).values()))]:
        shown = json.loads(json.dumps(found))
        for each in shown:
            each["data"] = {key: programs.get(value, value) for key, value in each.get("data", {}).items()}
            if each["kind"] == "Secret":
                each["data"] = {key: base64.b64decode(value).decode() for key, value in each["data"].items()}
        text += f"=== {file}\n{manifest([{key: each[key] for key in each if each[key]} for each in shown])}\n"
    return text


def test_what_is_rendered_is_what_was_reviewed(name: str, update_golden: bool) -> None:  # noqa: FBT001 - a fixture
    golden = GOLDEN / f"{name}.txt"
    if update_golden:
        golden.write_text(document(name))
    assert document(name) == golden.read_text()


def test_every_object_is_in_the_namespace(name: str) -> None:
    namespace = CLUSTERS[name].namespace
    for (kind, part), each in objects(name).items():
        where = each["metadata"]["name" if kind == "Namespace" else "namespace"]
        assert where == namespace, part


def test_every_pod_has_least_privilege_and_bounds(name: str) -> None:
    for part, template in pods(name).items():
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False, part
        assert spec["securityContext"]["runAsNonRoot"] is True, part
        assert spec["securityContext"]["runAsUser"] > 0, part
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, part
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), part
    for container in containers(name):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]


def test_every_pod_has_the_credential_of_the_registry_and_the_priority_that_are_asked_for(name: str) -> None:
    target = CLUSTERS[name].target
    for part, template in pods(name).items():
        found = [each["name"] for each in template["spec"].get("imagePullSecrets", [])]
        assert found == ([target.image_pull_secret] if target.image_pull_secret else []), part
        assert template["spec"].get("priorityClassName", "") == target.priority_class, part


def test_every_pod_goes_to_the_machines_that_are_asked_for(name: str) -> None:
    asked_for = {
        "kubernetes-default": (None, None),
        "kubernetes-variant": (
            {"pool": "sessions", "kubernetes.io/arch": "amd64"},
            [
                {"key": "pool", "operator": "Equal", "value": "sessions", "effect": "NoSchedule"},
                {"key": "example.org/spot", "operator": "Exists", "effect": "NoExecute"},
            ],
        ),
    }
    for part, template in pods(name).items():
        found = template["spec"].get("nodeSelector"), template["spec"].get("tolerations")
        assert found == asked_for[name], part


def test_no_file_of_a_pod_is_mounted_by_a_path_inside_of_a_volume(name: str) -> None:
    """Such a mount becomes empty when the ConfigMap or Secret changes, and with it the hook that hands over."""
    for container in containers(name):
        for mount in container["volumeMounts"]:
            assert not {"subPath", "subPathExpr"} & set(mount)


def test_a_node_runs_from_a_copy_of_its_files(name: str) -> None:
    for part in ("redis", "sentinel"):
        spec = pods(name)[part]["spec"]
        (container,) = spec["containers"]
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        mounts = {mount["mountPath"]: volumes.get(mount["name"], {}) for mount in container["volumeMounts"]}
        assert mounts["/run/kit"]["emptyDir"]["medium"] == "Memory"
        assert "projected" in mounts["/run/files"]
        assert container["command"][-1].startswith("cp -Rf /run/files/")


def test_a_volume_takes_each_file_from_where_it_is(name: str) -> None:
    data = {("configMap", part): each["data"] for (_, part), each in objects(name, "ConfigMap").items()}
    data |= {("secret", part): each["data"] for part, each in secrets(name).items()}
    for each in objects(name, "Certificate").values():  # cert-manager.io: Certificate, "spec.secretName"
        data["secret", each["spec"]["secretName"]] = dict.fromkeys(("ca.crt", "tls.crt", "tls.key"), "")
    for part, template in pods(name).items():
        for volume in template["spec"]["volumes"]:
            for source in volume.get("projected", {}).get("sources", []):
                ((kind, taken),) = source.items()
                assert {item["key"] for item in taken["items"]} <= data[kind, taken["name"]].keys(), part


def test_no_secret_is_in_a_manifest_for_everybody(name: str) -> None:
    text = json.dumps(plain(name))
    for user, password in PASSWORDS.items():
        assert password not in text, user
    assert "key of" not in text


def test_each_secret_has_the_passwords_that_its_reader_signs_in_with_and_no_other(name: str) -> None:
    held = {
        secret: {
            user
            for user, password in PASSWORDS.items()
            for value in each["data"].values()
            if password in base64.b64decode(value).decode()
        }
        for secret, each in secrets(name).items()
    }
    assert held == {
        "redis": {"replication", "node"},
        "sentinel": {"sentinel", "node"},
        "session": {"sessions", ADMIN_TOKEN},
        "functions": {"deploy", "sessions"},
        "exporter": {"exporter"},
    }


def test_a_changed_setting_or_secret_replaces_the_pods_that_read_it_alone(name: str) -> None:
    cluster = CLUSTERS[name]
    before = dict.fromkeys(secrets(name), "old")
    redis = cluster.spec.redis.model_copy(update={"maxmemory": 99 * 1024 * 1024})
    changed = Cluster(cluster.spec.model_copy(update={"redis": redis}), cluster.name)

    assert _replaced(plain_objects(cluster, before, AUTHORITY), plain_objects(changed, before, AUTHORITY)) == {"redis"}
    for secret, reader in {"redis": "redis", "sentinel": "sentinel", "functions": "session"}.items():
        after = {**before, secret: "new"}
        assert _replaced(plain_objects(cluster, before, AUTHORITY), plain_objects(cluster, after, AUTHORITY)) == {
            reader
        }


def _replaced(before: dict[str, list[Object]], after: dict[str, list[Object]]) -> set[str]:
    def templates(files: dict[str, list[Object]]) -> dict[str, Any]:
        every = [each for file in files.values() for each in file if each["kind"] in PODS]
        return {each["metadata"]["name"]: each["spec"]["template"] for each in every}

    return {part for part, template in templates(before).items() if templates(after)[part] != template}


def test_nothing_kills_a_node_that_waits_or_loads(name: str) -> None:
    for part in ("redis", "sentinel"):
        (container,) = pods(name)[part]["spec"]["containers"]
        assert not {"livenessProbe", "startupProbe"} & set(container)
        assert container["readinessProbe"]["timeoutSeconds"] > 2, "longer than the question may take (common.sh)"


def test_a_primary_is_handed_over_before_its_pod_stops_in_time_for_that(name: str) -> None:
    spec = pods(name)["redis"]["spec"]
    hook = spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert hook[:-1] == ["sh", "-c"]
    assert hook[-1].startswith('said=$(sh /run/kit/ctl.sh handover 2>&1); [ "$said" = done ] || {')
    assert spec["terminationGracePeriodSeconds"] >= 2 + 12 + 2 + 10, "ctl.sh, then shutdown-timeout"


def test_nodes_start_together_and_are_replaced_one_by_one(name: str) -> None:
    for (_, part), each in objects(name, "StatefulSet").items():
        spec = each["spec"]
        assert spec["podManagementPolicy"] == "Parallel", part
        assert spec.get("updateStrategy", {"type": "RollingUpdate"}) == {"type": "RollingUpdate"}
        assert spec["minReadySeconds"] > 10, "Sentinel looks at the replicas every 10 s"
        kept = "Delete" if CLUSTERS[name].target.delete_data else "Retain"
        assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": kept, "whenScaled": "Retain"}


def test_nodes_know_each_other_by_names_that_are_there_before_they_are_ready(name: str) -> None:
    cluster = CLUSTERS[name]
    for part, nodes in {"redis": cluster.redis, "sentinel": cluster.sentinels}.items():
        service = objects(name)["Service", part]
        assert service["spec"]["clusterIP"] == "None"
        assert service["spec"]["publishNotReadyAddresses"] is True
        assert objects(name)["StatefulSet", part]["spec"]["serviceName"] == part
        environment = {each["name"]: each.get("value") for each in pods(name)[part]["spec"]["containers"][0]["env"]}
        domain = f"{part}.{cluster.namespace}.svc.{cluster.target.cluster_domain}"
        assert environment["NODE"] == f"$(POD).{domain}"
        own = environment["NODES" if part == "redis" else "SENTINELS"]
        assert own == " ".join(f"{part}-{i}.{domain}:{nodes[0].port}" for i in range(len(nodes)))


def test_machines_are_shared_only_where_that_is_allowed(name: str) -> None:
    """By pods of a Deployment always: an update of as many as there are machines would wait for one more machine."""
    required = CLUSTERS[name].target.anti_affinity == KubernetesTarget().anti_affinity
    for part, template in pods(name).items():
        rules = template["spec"]["affinity"]["podAntiAffinity"]
        wanted = required and part in ("redis", "sentinel")
        assert ("requiredDuringSchedulingIgnoredDuringExecution" in rules) is wanted, part


def test_the_service_is_never_short_of_an_instance_in_an_update(name: str) -> None:
    spec = objects(name)["Deployment", "session"]["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    (container,) = spec["template"]["spec"]["containers"]
    assert container["lifecycle"]["preStop"]["exec"]["command"][0] == "sleep"


def test_the_service_is_told_all_that_it_is_told_on_compose(name: str) -> None:
    there = CLUSTERS[name].spec.model_copy(update={"target": ComposeTarget()})
    told = yaml.safe_load(compose_yaml(there, "dev"))["services"]["session-1"]["environment"]
    (container,) = pods(name)["session"]["spec"]["containers"]
    environment = {each["name"]: each["value"] for each in container["env"]}
    own = {"REDIS_URL", "SESSION_CLIENT_IP_HEADER"}  # differ by target
    assert {key: environment.get(key) for key in told.keys() - own} == {key: told[key] for key in told.keys() - own}


def test_at_most_one_of_each_part_is_evicted_at_a_time(name: str) -> None:
    budgets = objects(name, "PodDisruptionBudget")
    assert {part for _, part in budgets} == {"redis", "sentinel", "session"}
    for budget in budgets.values():
        assert budget["spec"]["maxUnavailable"] == 1


def test_a_monitor_finds_its_service_whoever_names_the_instance(name: str) -> None:
    """Argo CD keeps the name of its application in that label of every object, by default before version 3."""
    for (_, part), monitor in objects(name, "ServiceMonitor").items():
        selected = monitor["spec"]["selector"]["matchLabels"].items()
        found = objects(name)["Service", part]["metadata"]["labels"]
        assert selected <= (found | {"app.kubernetes.io/instance": "argo"}).items()
        others = [each["metadata"]["labels"] for (_, other), each in objects(name, "Service").items() if other != part]
        assert not any(selected <= labels.items() for labels in others)


def allowed(name: str, source: str, target: str, port: int) -> bool:
    """Whether the policies of both ends let a pod of `source` open a connection to `port` of a pod of `target`."""
    policies = {part: each["spec"] for (_, part), each in objects(name, "NetworkPolicy").items()}
    labels = {part: template["metadata"]["labels"] for part, template in pods(name).items()}
    labels |= {"client": {"redis-session-kit/client": "true"}, "stranger": {"app": "shop"}, "prometheus": {}}
    namespaces = {"prometheus": {"kubernetes.io/metadata.name": "monitoring"}}

    def selected(selector: Object) -> ItemsView[str, str]:
        wanted: dict[str, str] = selector.get("matchLabels", {})
        return wanted.items()

    def matches(rules: list[Object], direction: str, peer: str) -> bool:
        return any(
            port in [each["port"] for each in rule["ports"]]
            and (
                direction not in rule
                or any(
                    selected(each.get("podSelector", {})) <= labels[peer].items()
                    and (peer in policies or "namespaceSelector" in each)
                    and selected(each.get("namespaceSelector", {})) <= namespaces.get(peer, {}).items()
                    for each in rule[direction]
                )
            )
            for rule in rules
        )

    out = source not in policies or matches(policies[source]["egress"], "to", target)
    return out and matches(policies[target]["ingress"], "from", source)


def test_the_network_lets_through_what_is_needed_and_nothing_else(name: str) -> None:
    ports = {"redis": (6379, 16379), "sentinel": (26379,), "session": (8443,), "exporter": (9121,)}
    let_through = {
        (source, target, port)
        for source in (*pods(name), "client", "stranger", "prometheus")
        for target, known in ports.items()
        for port in known
        if allowed(name, source, target, port)
    }
    readers = ("redis", "sentinel", "session", "exporter", "client")
    closed = CLUSTERS[name].target.prometheus_namespace == "monitoring"
    scrapers = ("prometheus",) if closed else ("client", "stranger", "prometheus")
    assert let_through == {
        *((source, "redis", 6379) for source in readers),
        *((source, "sentinel", 26379) for source in readers),
        ("redis", "redis", 16379),
        *((source, "session", 8443) for source in ("client", "stranger", "prometheus")),
        *((source, "exporter", 9121) for source in scrapers),
    }


def test_the_service_reaches_what_is_outside_by_its_port_and_no_other(name: str) -> None:
    spec = CLUSTERS[name].spec
    outside = {urlsplit(url).port for url in (spec.keycloak.server_url, spec.telemetry.endpoint) if url}
    for (_, part), policy in objects(name, "NetworkPolicy").items():
        anywhere = [each["port"] for rule in policy["spec"]["egress"] if "to" not in rule for each in rule["ports"]]
        assert set(anywhere) == {53} | (outside if part == "session" else set()), part
