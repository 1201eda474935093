"""The configuration of a stack is read in full, and whatever is wrong with it is said at once."""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest
import yaml

from infra.kubernetes import KubernetesTarget
from infra.spec import TARGET_SECTIONS, ComposeTarget, DeploymentSpec
from infra.stackfile import SpecError, load_spec, settings
from tests.render.deployments import KEYCLOAK_CA

STACK_FILE = "stacks/Pulumi.dev.yaml"
ROOT = Path(__file__).parents[2]
PROJECT = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())


def refusal(config: Mapping[str, object], secret_keys: Collection[str] = ()) -> str:
    """Return the message with which `config` is refused."""
    with pytest.raises(SpecError) as refused:
        load_spec(config, STACK_FILE, secret_keys)
    return str(refused.value)


def test_no_configuration_at_all_means_the_defaults() -> None:
    assert load_spec({}, STACK_FILE) == DeploymentSpec()


def test_values_are_read_from_the_strings_that_the_engine_passes_on() -> None:
    spec = load_spec(
        {
            "target": "compose",
            "redisMaxmemory": "512mb",
            "sentinelNodes": "5",
            "sentinelQuorum": "3",
            "sessionSlidingWindow": "false",
            "redisSave": "",
            "compose": '{"redisPort": 7000, "deleteData": true}',
        },
        STACK_FILE,
    )

    assert spec.redis.maxmemory == 512 * 1024 * 1024
    assert (spec.sentinel.nodes, spec.sentinel.quorum) == (5, 3)
    assert not spec.session.sliding_window
    assert spec.redis.save == ""
    assert spec.target == ComposeTarget(redis_port=7000, delete_data=True)


def test_one_message_has_every_wrong_key_with_its_value_bound_and_remedy() -> None:
    message = refusal(
        {
            "redisMaxmemory": "2gbb",
            "redisMaxmemoryPolicy": "allkeys-lruu",
            "redisMaxmemry": "1gb",
            "sentinelQuorum": "4",
            "compose": '{"redisPort": 80, "httpPort": 8443, "publish": "perhaps"}',
        }
    )

    assert message == (
        """\
stacks/Pulumi.dev.yaml: 7 settings cannot be used; nothing has been changed
  redisMaxmemry
      is not a setting of this project; did you mean redisMaxmemory?
      Remove it: pulumi config rm redisMaxmemry
  compose.httpPort
      is not a setting of this project; did you mean compose.httpsPort?
      Remove it: pulumi config rm --path compose.httpPort
  redisMaxmemory: 2gbb
      must be a number of bytes with the unit k, kb, m, mb, g or gb, at least 8mb
      Correct it, for example: pulumi config set redisMaxmemory 256mb
  redisMaxmemoryPolicy: allkeys-lruu
      must be one of noeviction, allkeys-lru, allkeys-lfu, allkeys-random, volatile-lru, volatile-lfu, volatile-random, volatile-ttl
      Correct it, for example: pulumi config set redisMaxmemoryPolicy allkeys-lru
  compose.redisPort: 80
      must be a whole number from 1024 to 65535
      Correct it, for example: pulumi config set --path compose.redisPort 6379
  compose.publish: perhaps
      must be true or false
      Correct it, for example: pulumi config set --path compose.publish true
  sentinelQuorum: 4
      must be from 2 (the majority) to 3 (the number of Sentinels)
      Correct it, for example: pulumi config set sentinelQuorum 2"""  # noqa: E501 - the message as it is shown
    )


def test_four_sentinels_are_refused_without_blaming_the_quorum_for_it() -> None:
    message = refusal({"sentinelNodes": "4", "sentinelQuorum": "4"})

    assert "1 setting cannot" in message
    assert "sentinelNodes: 4\n      must be an odd number" in message


def test_a_default_that_contradicts_what_was_set_is_named_as_one() -> None:
    message = refusal({"sentinelNodes": "5"})

    assert "sentinelQuorum: 2 (the default)\n      must be from 3 (the majority) to 5" in message
    assert "pulumi config set sentinelQuorum 3" in message


def test_every_suggested_value_is_accepted() -> None:
    wrong: dict[str, object] = {key: "no such value" for key in settings("compose") if "." not in key}
    wrong["compose"] = {key.partition(".")[2]: "no" * 9 for key in settings("compose") if "." in key}

    message = refusal(wrong)

    commands = re.findall(r"pulumi config (set|rm) (?:--(path|secret) )?(\S+)(?: (.*))?", message)
    assert {key for _, _, key, _ in commands} == set(settings("compose"))
    config: dict[str, object] = {}
    target: dict[str, object] = {}
    for verb, option, key, value in commands:
        if verb == "rm" or option == "secret":
            continue
        section, _, field = key.partition(".")
        if field:
            target[field] = value
        else:
            config[section] = value.strip("'")
    assert load_spec({**config, "compose": target}, STACK_FILE) == DeploymentSpec()


def test_a_target_that_does_not_exist_is_refused_with_the_list() -> None:
    message = refusal({"target": "composed", "redisNodes": "x"})

    assert "target: composed\n      must be one of compose, kubernetes\n" in message


@pytest.mark.parametrize("section", ["6379", "[6379]", "{redisPort: 1", [6379]])
def test_a_target_section_that_is_no_object_is_refused(section: object) -> None:
    assert "compose\n      must be an object with keys like compose.redisPort" in refusal({"compose": section})


def test_a_secret_value_is_never_repeated() -> None:
    message = refusal(
        {"redisMaxmemory": "hunter2", "redisPasswrd": "hunter2", "compose": '{"redisPort": "hunter2"}'},
        {"redisMaxmemory", "redisPasswrd", "compose"},
    )

    assert "hunter2" not in message
    assert "redisMaxmemory: [secret]" in message
    assert "compose.redisPort: [secret]" in message


def test_the_value_of_an_unknown_key_is_not_repeated_even_in_clear() -> None:
    assert "hunter2" not in refusal({"redisPassword": "hunter2"})


def test_a_value_cannot_forge_lines_of_the_message() -> None:
    message = refusal({"redisMaxmemory": "1\n  redisNodes: 3 is fine" + "x" * 500})

    assert not any(line.startswith("  redisNodes") for line in message.splitlines())
    assert len(max(message.splitlines(), key=len)) < 200


LOGIN = {
    "keycloakServerUrl": "https://login.test",
    "keycloakRealm": "r",
    "keycloakClientId": "c",
    "keycloakClientSecret": "hunter2",
    "servicePublicUrl": "https://sessions.test",
}
KEY = "k" * 32


def test_of_a_secret_the_spec_holds_only_that_it_is_there() -> None:
    spec = load_spec(LOGIN | {"jwtSecretKey": KEY}, STACK_FILE, {"keycloakClientSecret", "jwtSecretKey"})

    assert (spec.keycloak.client_secret, spec.jwt.secret_key) == (True, True)
    assert "hunter2" not in repr(spec)
    assert KEY not in repr(spec)


def test_a_secret_in_clear_is_refused_without_repeating_it() -> None:
    assert refusal(LOGIN) == (
        """\
stacks/Pulumi.dev.yaml: 1 setting cannot be used; nothing has been changed
  keycloakClientSecret
      is a secret, and stands in the stack file in clear: have it changed where it comes from
      Encrypt the new one: pulumi config set --secret keycloakClientSecret"""
    )


def test_half_a_keycloak_is_refused_with_what_it_lacks() -> None:
    assert refusal({"keycloakServerUrl": "https://login.test", "keycloakClientId": "c"}) == (
        """\
stacks/Pulumi.dev.yaml: 3 settings cannot be used; nothing has been changed
  keycloakRealm: '' (the default)
      must be set, since keycloakServerUrl is
      Correct it, for example: pulumi config set keycloakRealm sessions
  keycloakClientSecret: '' (the default)
      must be set, since keycloakServerUrl is
      Correct it, for example: pulumi config set --secret keycloakClientSecret
  servicePublicUrl: '' (the default)
      must be set, since keycloakServerUrl is: where browsers come back to
      Correct it, for example: pulumi config set servicePublicUrl https://sessions.example.org"""
    )


def test_a_client_without_its_keycloak_is_refused_and_its_secret_not_repeated() -> None:
    message = refusal(
        {"keycloakClientSecret": "hunter2", "keycloakRealm": "r", "servicePasswordLogin": "true"},
        {"keycloakClientSecret"},
    )

    assert "keycloakRealm: r\n      must be unset, or keycloakServerUrl be set too" in message
    assert "keycloakClientSecret: [secret]\n      must be unset" in message
    assert "servicePasswordLogin: true\n      must be false" in message
    assert "pulumi config rm keycloakClientSecret" in message
    assert "hunter2" not in message


def test_a_short_key_of_signatures_is_refused_without_repeating_it() -> None:
    message = refusal({"jwtSecretKey": "hunter2", "authMode": "dual"}, {"jwtSecretKey"})

    assert "jwtSecretKey: [secret]\n      must be at least 32 bytes" in message
    assert "1 setting cannot" in message
    assert "hunter2" not in message


def test_the_project_declares_exactly_the_settings_of_the_spec() -> None:
    flat = {key: setting for key, setting in settings("compose").items() if "." not in key}

    declared = dict(PROJECT["config"])
    assert declared.pop("target")["default"] == DeploymentSpec().target.kind
    for kind in TARGET_SECTIONS:
        section = ", ".join(
            f"{key.partition('.')[2]} ({json.dumps(setting.default)})"
            for key, setting in settings(kind).items()
            if "." in key
        )
        assert declared.pop(kind) == {"type": "object", "default": {}, "description": f"Target {kind}: {section}"}
    assert declared == {
        key: {
            "type": setting.schema["type"],
            "default": setting.default,
            "description": setting.schema["description"],
        }
        for key, setting in flat.items()
    }


def test_the_settings_of_a_cluster_are_read_and_refused_like_all_others() -> None:
    spec = load_spec({"target": "kubernetes", "kubernetes": {"namespace": "sessions"}}, STACK_FILE)
    assert spec.target == KubernetesTarget(namespace="sessions")

    message = refusal({"target": "kubernetes", "kubernetes": {"namespace": "Sessions", "redisStorage": "2G"}})
    assert "kubernetes.namespace: Sessions\n      must be 1 to 63 of the characters a-z 0-9 -, or empty\n" in message
    assert "pulumi config set --path kubernetes.redisStorage 2Gi" in message


def test_what_a_chart_cannot_do_is_refused() -> None:
    told = refusal({"redisSource": "helm"})
    assert "redisSource: helm\n      must be native: Helm charts are for the target kubernetes" in told
    several = {"target": "kubernetes", "redisSource": "helm", "redisNodes": 5}
    assert "sentinelNodes: 3 (the default)\n      must be redisNodes (5)" in refusal(several)
    issued = {"certificateIssuer": "Issuer/internal", "certificateAuthority": KEYCLOAK_CA}
    told = refusal({"target": "kubernetes", "redisSource": "helm", "kubernetes": issued})
    assert "kubernetes.certificateIssuer: Issuer/internal\n      must be unset: a chart's Redis" in told
    digest = {"target": "kubernetes", "redisSource": "helm", "redisImage": f"redis@sha256:{'0' * 64}"}
    assert "must be with a tag alone" in refusal(digest)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"ingressClass": "nginx"},
            "servicePublicUrl: '' (the default)\n      must be set, since kubernetes.ingressClass",
        ),
        (
            {"certificateIssuer": "ClusterIssuer/internal"},
            "kubernetes.certificateAuthority: '' (the default)\n      must be set, since kubernetes.certificateIssuer",
        ),
        (
            {"certificateAuthority": KEYCLOAK_CA},
            "kubernetes.certificateIssuer: '' (the default)\n      must be set, since kubernetes.certificateAuthority",
        ),
        (
            {"ingressSecret": "tls"},
            "kubernetes.ingressSecret: tls\n      must be unset, or kubernetes.ingressClass be set",
        ),
        (
            {"ingressClass": "nginx", "gateway": "edge/public"},
            "kubernetes.gateway: edge/public\n      must be unset, or",
        ),
        ({"gateway": "public"}, "kubernetes.gateway: public\n      must be NAMESPACE/NAME, or empty"),
        *(
            ({"nodeSelector": wrong}, f"kubernetes.nodeSelector: {wrong}\n      must be KEY=VALUE,..., each key once")
            for wrong in (
                "pool",
                "=sessions",
                "pool=a=b",
                "pool=a,",
                "pool=a, arch=b",
                "pool=a,pool=b",
                "a/b/c=d",
                "-a=b",
            )
        ),
        *(
            (
                {"tolerations": wrong},
                f"kubernetes.tolerations: {wrong}\n      must be KEY=VALUE:EFFECT,... or KEY:EFFECT",
            )
            for wrong in ("pool", "pool=a", ":NoSchedule", "pool:noschedule", "pool=a:NoSchedule,", "a=b=c:NoExecute")
        ),
        ({"serviceMaxReplicas": "2"}, "kubernetes.serviceMaxReplicas: 2\n      must be more than serviceReplicas (2)"),
    ],
)
def test_optional_parts_of_a_cluster_that_contradict_each_other_are_refused(given: dict[str, str], told: str) -> None:
    assert told in refusal({"target": "kubernetes", "kubernetes": given})


def test_the_defaults_that_the_project_declares_make_the_default_spec() -> None:
    declared = {key: entry["default"] for key, entry in PROJECT["config"].items()}

    assert load_spec(
        {key: json.dumps(value) if key in TARGET_SECTIONS else str(value) for key, value in declared.items()},
        STACK_FILE,
    ) == (DeploymentSpec())


def test_the_section_of_another_target_is_refused_unless_it_is_empty() -> None:
    nothing: tuple[object, ...] = ({}, "{}")
    for empty in nothing:
        assert load_spec({"target": "compose", "kubernetes": empty}, STACK_FILE) == DeploymentSpec()

    message = refusal({"target": "compose", "kubernetes": {"namespace": "sessions"}})
    assert "kubernetes\n      is not a setting of this project" in message


def test_the_committed_stack_files_can_be_used() -> None:
    namespace = f"{PROJECT['name']}:"
    files = sorted((ROOT / PROJECT["stackConfigDir"]).glob("Pulumi.*.yaml"))
    for file in files:
        config = yaml.safe_load(file.read_text())["config"]
        load_spec({key.removeprefix(namespace): value for key, value in config.items()}, file.name)

    assert "Pulumi.dev.yaml" in {file.name for file in files}


def test_the_service_image_has_the_version_of_the_project() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    tag = DeploymentSpec().service.image.rpartition(":")[2]

    assert f'\nversion = "{tag}"\n' in project
