"""What the program asks the engine for where the target is a cluster."""

import base64
import json
import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import pytest

from infra.outputs import parse
from infra.render.kubernetes import Cluster
from infra.render.passwords import ADMIN_TOKEN, USERS
from infra.stackfile import load_spec
from infra.targets.kubernetes.manifests import manifests
from tests.infra.conftest import ROOT
from tests.infra.test_program import (
    PROJECT,
    SECRET_SIGNATURE,
    STACK,
    Engine,
    Registered,
    clear,
    is_secret,
    revealed,
    run,
)
from tests.render.deployments import KEYCLOAK_CA

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"  # pulumi/sdk: rpc.py, UNKNOWN


def configured(target: dict[str, Any]) -> dict[str, str]:
    """Settings of a stack with these of the target."""
    settings = {"target": "kubernetes", "compose": "{}", "servicePublicUrl": "https://sessions.example.org"}
    return {f"{PROJECT}:{key}": value for key, value in (settings | {"kubernetes": json.dumps(target)}).items()}


def annotations(manifest: Mapping[str, Any]) -> dict[str, str]:
    return dict(manifest["metadata"]["annotations"])


def key(manifest: dict[str, Any]) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def without_secrets(manifest: dict[str, Any]) -> str:
    """Return it as text, where secrets and what they decide read the same; numbers as they go over the wire."""
    text = json.dumps(manifest | {"data": sorted(manifest.get("data", []))}, sort_keys=True)
    text = re.sub(r'"redis-session-kit/files": "[0-9a-f]{32}"', '"redis-session-kit/files": ""', text)
    return re.sub(r"(\d)\.0\b(?=[,}\]])", r"\1", text)


@pytest.fixture(name="engine", scope="module")
def _engine() -> Engine:
    return run(configured({}))


@pytest.fixture(name="objects", scope="module")
def _objects(engine: Engine) -> list[Registered]:
    return [each for each in engine.registered if each.type.startswith("kubernetes:")]


def test_every_resource_is_of_a_known_type(engine: Engine) -> None:
    assert Counter(each.type for each in engine.registered if not each.type.startswith("kubernetes:")) == {
        "pulumi:pulumi:Stack": 1,
        "pulumi:providers:kubernetes": 1,
        "redis-session-kit:kubernetes:KubernetesDeployment": 1,
        "redis-session-kit:certificates:Certificates": 1,
        "redis-session-kit:credentials:Credentials": 2,
        "pulumi-python:dynamic/certificates:CertificateAuthority": 1,
        "pulumi-python:dynamic/certificates:NodeCertificate": 4,
        "pulumi-python:dynamic/credentials:RandomPassword": 2 * len(USERS) + 1,
        "pulumi-python:dynamic/kubernetes:Preflight": 1,
        "pulumi-python:dynamic/kubernetes:AppliedManifests": 1,
    }


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {
            "serviceMaxReplicas": 5,
            "ingressClass": "nginx",
            "ingressSecret": "page",
            "prometheusRelease": "prometheus",
        },
        {"gateway": "edge/public"},
        {"certificateIssuer": "ClusterIssuer/internal", "certificateAuthority": KEYCLOAK_CA},
    ],
)
def test_each_object_that_is_rendered_is_a_resource_of_its_name_and_says_the_same(settings: dict[str, Any]) -> None:
    given = configured(settings)
    engine = run(given)
    found = [revealed(each.inputs) for each in engine.registered if each.type.startswith("kubernetes:")]
    for each in found:
        kept = {key: value for key, value in annotations(each).items() if not key.startswith("pulumi.com/")}
        each["metadata"].pop("annotations")
        each["metadata"] |= {"annotations": kept} if kept else {}
    spec = load_spec({each.partition(":")[2]: value for each, value in given.items()}, "the test")
    cluster = Cluster(spec, STACK)
    passwords = dict.fromkeys((*USERS, ADMIN_TOKEN), "a password")
    pairs = dict.fromkeys(cluster.certified, ("a certificate", "a key"))
    rendered = manifests(cluster, passwords, "an authority", pairs, {}).every
    assert sorted(map(key, found)) == sorted(map(key, rendered))
    assert [without_secrets(each) for each in sorted(found, key=key)] == [
        without_secrets(each) for each in sorted(rendered, key=key)
    ]


def test_what_waits_for_each_other_is_not_awaited_and_what_has_a_pod_in_it_is_gone_at_once(
    objects: list[Registered],
) -> None:
    told = {each.type.rpartition(":")[2]: annotations(each.inputs) for each in objects}
    assert {kind for kind, said in told.items() if "pulumi.com/skipAwait" in said} == {
        "StatefulSet",
        "Deployment",
        "Service",
    }
    assert {kind for kind, said in told.items() if "pulumi.com/deletionPropagationPolicy" in said} == {
        "StatefulSet",
        "Deployment",
    }
    assert all(said["pulumi.com/patchForce"] == "true" for said in told.values())


def test_pods_come_after_what_they_read_and_the_wait_after_all(engine: Engine, objects: list[Registered]) -> None:
    def names(kinds: Collection[str]) -> set[str]:
        return {f"{each.type}::{each.name}" for each in objects if each.type.rpartition(":")[2] in kinds}

    def before(each: Registered) -> set[str]:
        urns = {"::".join(urn.split("::")[2:]).rpartition("$")[2] for urn in each.depends_on}
        return {urn for urn in urns if urn.startswith("kubernetes:") or ":Preflight:" in urn}

    (wait,) = [each for each in engine.registered if each.type.endswith(":AppliedManifests")]
    preflight = {f"pulumi-python:dynamic/kubernetes:Preflight::{STACK}-preflight"}
    for each in objects:
        kind = each.type.rpartition(":")[2]
        if kind == "Namespace":
            assert before(each) == preflight
        elif kind in {"StatefulSet", "Deployment"}:
            assert before(each) >= names({"Namespace", "Secret", "ConfigMap", "NetworkPolicy", "Service"})
        else:
            assert before(each) == preflight | names({"Namespace"})
    assert before(wait) == preflight | {f"{each.type}::{each.name}" for each in objects}


@pytest.mark.parametrize("delete", [False, True])
def test_the_namespace_with_its_volumes_stays_unless_data_is_to_go(delete: bool) -> None:  # noqa: FBT001 - the parameter of the test
    engine = run(configured({"deleteData": delete}))
    kept = [each.type for each in engine.registered if each.retained]
    assert kept == ([] if delete else ["kubernetes:core/v1:Namespace"])


def test_a_namespace_of_others_is_looked_for_and_not_made() -> None:
    engine = run(configured({"createNamespace": False, "namespace": "theirs", "context": "prod"}))
    assert not [each for each in engine.registered if each.type.endswith(":Namespace")]
    (preflight,) = [each for each in engine.registered if each.type.endswith(":Preflight")]
    assert preflight.inputs["needs"] == ["namespace/theirs"]
    (provider,) = [each for each in engine.registered if each.type == "pulumi:providers:kubernetes"]
    (wait,) = [each for each in engine.registered if each.type.endswith(":AppliedManifests")]
    assert [each.inputs["context"] for each in (preflight, provider, wait)] == ["prod"] * 3


def test_configuration_is_changed_in_place(engine: Engine) -> None:
    (provider,) = [each for each in engine.registered if each.type == "pulumi:providers:kubernetes"]
    assert {key: provider.inputs[key] for key in ("enableConfigMapMutable", "enableSecretMutable")} == {
        "enableConfigMapMutable": "true",
        "enableSecretMutable": "true",
    }


def test_a_preview_shows_all_but_what_secrets_decide_and_no_secret(engine: Engine, objects: list[Registered]) -> None:
    outputs = parse(revealed(engine.outputs[f"{PROJECT}-{STACK}"]), "the test")
    everything = json.dumps([clear(each.inputs) for each in engine.registered])
    secrets = [each.inputs["data"] for each in objects if each.type.endswith(":Secret")]
    assert len(secrets) == 5
    assert all(map(is_secret, secrets))
    for password in (outputs.sessions_password, outputs.admin_token, outputs.admin_password):
        assert password
        assert password.get_secret_value() not in everything
        assert base64.b64encode(password.get_secret_value().encode()).decode() not in everything

    first = run(configured({}), engine=Engine(preview=True))
    (redis,) = [each for each in first.registered if each.type.endswith(":StatefulSet") and each.name.endswith("redis")]
    assert redis.inputs["spec"]["replicas"] == 3
    assert redis.inputs["spec"]["template"]["spec"]["containers"][0]["image"]
    assert redis.inputs["spec"]["template"]["metadata"]["annotations"]["redis-session-kit/files"] == UNKNOWN


def test_the_outputs_are_those_of_a_cluster(engine: Engine) -> None:
    outputs = parse(revealed(engine.outputs[f"{PROJECT}-{STACK}"]), "the test")
    assert outputs.target == "kubernetes"
    assert outputs.location == {"context": "", "namespace": f"redis-session-kit-{STACK}"}


def test_with_an_issuer_of_the_cluster_there_is_no_certificate_of_the_kit() -> None:
    issued = {"certificateIssuer": "ClusterIssuer/internal", "certificateAuthority": KEYCLOAK_CA}
    engine = run(configured(issued))
    assert not [each for each in engine.registered if each.type.endswith(":NodeCertificate")]
    preflight = next(each for each in engine.registered if each.type.endswith(":Preflight"))
    assert preflight.inputs["needs"] == ["clusterissuer.cert-manager.io/internal"]
    assert parse(revealed(engine.outputs[f"{PROJECT}-{STACK}"]), "the test").ca_pem == KEYCLOAK_CA


@pytest.mark.parametrize(
    ("source", "chart", "repository"),
    [
        ("", "redis", "https://cagriekin.github.io/charts"),
        ("oci://registry.example.org/charts/redis", "oci://registry.example.org/charts/redis", None),
        ("./charts/redis", str(ROOT / "charts" / "redis"), None),
    ],
)
def test_a_chart_comes_after_what_its_pods_read_and_holds_no_secret(
    source: str, chart: str, repository: str | None
) -> None:
    engine = run(configured({"chart": "cagriekin", "chartSource": source}) | {f"{PROJECT}:redisSource": "helm"})
    (made,) = [each for each in engine.registered if each.type == "kubernetes:helm.sh/v4:Chart"]
    assert made.inputs["chart"] == chart
    assert made.inputs.get("repositoryOpts", {}).get("repo") == repository
    assert (made.inputs["name"], made.inputs["namespace"]) == (STACK, f"redis-session-kit-{STACK}")
    assert made.inputs["skipAwait"]
    assert made.inputs["values"]["redis"]["auth"]["existingSecret"] == {"name": "redis", "key": "redis-password"}
    assert SECRET_SIGNATURE not in json.dumps(made.inputs)
    before = {urn.rpartition("::")[2] for urn in made.depends_on}
    assert {f"{STACK}-redis-session-kit-{STACK}", f"{STACK}-redis", f"{STACK}-functions"} <= before
    (wait,) = [each for each in engine.registered if each.type.endswith(":AppliedManifests")]
    assert wait.inputs["workloads"] == ["statefulset/redis", "deployment/session", "deployment/exporter"]
    assert f"{STACK}-chart" in {urn.rpartition("::")[2] for urn in wait.depends_on}


def test_another_generation_has_other_passwords_and_its_neighbours(engine: Engine) -> None:
    def names(found: Engine) -> set[str]:
        return {each.name for each in found.registered if each.type.endswith(":RandomPassword")}

    third = run(configured({"passwordGeneration": 3}))
    users = f"{STACK}-users"
    assert names(engine) == {
        *(f"{users}-{user}" for user in (*USERS, "admin-token")),
        *(f"{users}-2-{u}" for u in USERS),
    }
    assert names(third) == {f"{users}-admin-token", *(f"{users}-{n}-{user}" for n in (2, 3, 4) for user in USERS)}
