"""What the program asks the engine for where the target is a cluster."""

import json
from collections import Counter
from typing import Any

import pytest
from pulumi import RunError

from infra.outputs import parse
from infra.render.passwords import USERS
from tests.infra.test_program import PROJECT, STACK, Engine, Registered, clear, is_secret, revealed, run
from tests.render.deployments import KEYCLOAK_CA


@pytest.fixture(name="engine", scope="module")
def _engine() -> Engine:
    return run({f"{PROJECT}:target": "kubernetes", f"{PROJECT}:compose": "{}"})


@pytest.fixture(name="applied", scope="module")
def _applied(engine: Engine) -> Registered:
    return next(each for each in engine.registered if each.type.endswith(":AppliedManifests"))


def test_every_resource_is_of_a_known_type(engine: Engine) -> None:
    assert Counter(each.type for each in engine.registered) == {
        "pulumi:pulumi:Stack": 1,
        "redis-session-kit:kubernetes:KubernetesDeployment": 1,
        "redis-session-kit:certificates:Certificates": 1,
        "redis-session-kit:credentials:Credentials": 2,
        "pulumi-python:dynamic/certificates:CertificateAuthority": 1,
        "pulumi-python:dynamic/certificates:NodeCertificate": 4,
        "pulumi-python:dynamic/credentials:RandomPassword": 2 * len(USERS) + 1,
        "pulumi-python:dynamic/kubernetes:AppliedManifests": 1,
    }


def test_a_preview_may_show_the_manifests_and_no_secret(engine: Engine, applied: Registered) -> None:
    secrets = applied.inputs["secrets"]
    assert is_secret(secrets)
    assert "secrets" in applied.secret_outputs
    shown: dict[str, Any] = clear(applied.inputs)
    assert shown["plain"].keys() >= {"00-namespace.yaml", "20-redis.yaml", "40-session.yaml"}
    outputs = parse(revealed(engine.outputs[f"{PROJECT}-{STACK}"]), "the test")
    for password in (outputs.sessions_password, outputs.admin_token, outputs.admin_password):
        assert password
        assert password.get_secret_value() not in json.dumps(shown)


def test_the_outputs_are_those_of_a_cluster(engine: Engine) -> None:
    outputs = parse(revealed(engine.outputs[f"{PROJECT}-{STACK}"]), "the test")
    assert outputs.target == "kubernetes"
    assert outputs.location == {"namespace": f"redis-session-kit-{STACK}"}


def test_with_an_issuer_of_the_cluster_there_is_no_certificate_of_the_kit() -> None:
    issued = {"certificateIssuer": "ClusterIssuer/internal", "certificateAuthority": KEYCLOAK_CA}
    engine = run(
        {
            f"{PROJECT}:target": "kubernetes",
            f"{PROJECT}:compose": "{}",
            f"{PROJECT}:kubernetes": json.dumps(issued),
        }
    )
    assert not [each for each in engine.registered if each.type.endswith(":NodeCertificate")]
    applied = next(each for each in engine.registered if each.type.endswith(":AppliedManifests"))
    assert applied.inputs["needs"] == ["clusterissuer.cert-manager.io/internal"]
    assert parse(revealed(engine.outputs[f"{PROJECT}-{STACK}"]), "the test").ca_pem == KEYCLOAK_CA


def test_pulumi_leaves_helm_to_whoever_applies_the_manifests() -> None:
    with pytest.raises(RunError, match="redisSource helm: `make render`"):
        run({f"{PROJECT}:target": "kubernetes", f"{PROJECT}:compose": "{}", f"{PROJECT}:redisSource": "helm"})


def test_another_generation_has_other_passwords_and_its_neighbours(engine: Engine) -> None:
    def names(found: Engine) -> set[str]:
        return {each.name for each in found.registered if each.type.endswith(":RandomPassword")}

    third = run(
        {
            f"{PROJECT}:target": "kubernetes",
            f"{PROJECT}:compose": "{}",
            f"{PROJECT}:kubernetes": '{"passwordGeneration": 3}',
        }
    )
    users = f"{STACK}-users"
    assert names(engine) == {
        *(f"{users}-{user}" for user in (*USERS, "admin-token")),
        *(f"{users}-2-{u}" for u in USERS),
    }
    assert names(third) == {f"{users}-admin-token", *(f"{users}-{n}-{user}" for n in (2, 3, 4) for user in USERS)}
