"""What the program asks the engine for, resource by resource, seen by an engine of our own that notes everything.

Certificates and passwords are really made, by the providers that the program hands over; containers are not.
"""

import asyncio
import base64
import json
import pickle
import runpy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pulumi
import pytest
from google.protobuf.json_format import MessageToDict
from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks, mocks

from infra.outputs import StackOutputs, parse
from infra.render.passwords import USERS

INFRA = Path(__file__).parents[2] / "infra"
PROJECT, STACK = "redis-session-kit", "test"
SECRET_SIGNATURE = "4dabf18193072939515e22adb298388d"  # pulumi/sdk: rpc.py, _special_sig_key
SECRET = "1b47061264138c4ac30d75fd1eb44270"
SECRET_OUTPUTS = {"key_pem", "value"}


@dataclass(frozen=True)
class Registered:
    """One resource, as it was registered."""

    type: str
    name: str
    parent: str
    inputs: Mapping[str, Any]
    """As they go over the wire: a secret is an object with SECRET_SIGNATURE."""
    secret_outputs: Sequence[str]
    """Outputs that the engine is told to keep secret."""
    depends_on: Sequence[str] = ()
    """URNs that the program names; not those whose outputs are among the inputs."""
    retained: bool = False
    """Whether it stays when the resource goes."""


@dataclass
class Engine(mocks.MockMonitor):
    """Notes every registration and every output; runs the providers of certificates and passwords."""

    preview: bool = False
    """Whether nothing is made, so that what would be made is unknown."""
    registered: list[Registered] = field(default_factory=list)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By the name of the component or stack."""

    def __post_init__(self) -> None:
        super().__init__(_Providers(preview=self.preview))

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the name in the protocol
        """Note a resource."""
        inputs = MessageToDict(request.object)
        parent = request.parent.rpartition("::")[2]
        secret_outputs = list(request.additionalSecretOutputs)
        self.registered.append(
            Registered(
                request.type,
                request.name,
                parent,
                inputs,
                secret_outputs,
                list(request.dependencies),
                request.retainOnDelete,
            )
        )
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the name in the protocol
        """Note what a component or the stack gives out."""
        self.outputs[request.urn.rpartition("::")[2]] = MessageToDict(request.outputs)
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


@dataclass
class _Providers(Mocks):
    preview: bool

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], None]:
        raise AssertionError(f"the program asks a cloud: {args.token}")

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """Return the id and state of a new resource."""
        if not args.typ.startswith(("pulumi-python:dynamic/certificates:", "pulumi-python:dynamic/credentials:")):
            return f"{args.name}-id", {}
        if self.preview:
            return "", {}
        provider = pickle.loads(base64.b64decode(args.inputs["__provider"]))  # noqa: S301 - made by this process
        # The engine passes secrets in clear to a provider that does not know of them.
        inputs = {name: revealed(value) for name, value in args.inputs.items() if name != "__provider"}
        created = provider.create(provider.check({}, inputs).inputs)
        secrets = SECRET_OUTPUTS & created.outs.keys()
        return created.id, created.outs | {name: pulumi.Output.secret(created.outs[name]) for name in secrets}


def run(settings: Mapping[str, str], secret_keys: Sequence[str] = (), engine: Engine | None = None) -> Engine:
    """Run the program as Pulumi does, with this configuration, and return the engine that watched it."""
    engine = engine or Engine()

    async def program() -> None:
        pulumi.runtime.set_all_config(dict(settings), list(secret_keys))
        settings_of_run = mocks.MockSettings(  # type: ignore[no-untyped-call]
            monitor=engine,
            monitor_features=set(engine.GetDeploymentInfo(None).supportedFeatures),  # type: ignore[no-untyped-call]
            engine=mocks.MockEngine(None),
            project=PROJECT,
            stack=STACK,
            organization=None,
            dry_run=engine.preview,
            callbacks=None,
        )
        pulumi.runtime.configure(settings_of_run)
        await pulumi.runtime.run_in_stack(_program)

    asyncio.run(program())
    return engine


def _program() -> None:
    runpy.run_path(str(INFRA), run_name="__main__")


def is_secret(value: object) -> bool:
    return isinstance(value, dict) and value.get(SECRET_SIGNATURE) == SECRET


def revealed(value: object) -> Any:
    """Return a copy of `value` with secrets in clear."""
    if is_secret(value):
        return revealed(cast("dict[str, object]", value)["value"])
    if isinstance(value, dict):
        return {key: revealed(each) for key, each in value.items()}
    return [revealed(each) for each in value] if isinstance(value, list) else value


def clear(value: object) -> Any:
    """Return a copy of `value` without secrets."""
    if isinstance(value, dict):
        return {key: clear(each) for key, each in value.items() if not is_secret(each)}
    return [clear(each) for each in value if not is_secret(each)] if isinstance(value, list) else value


@pytest.fixture(name="engine", scope="module")
def _engine() -> Engine:
    return run({f"{PROJECT}:target": "compose", "another:redisNodes": "9"})


@pytest.fixture(name="outputs", scope="module")
def _outputs(engine: Engine) -> dict[str, Any]:
    return engine.outputs[f"{PROJECT}-{STACK}"]


def test_every_resource_is_of_a_known_type_with_a_name_of_its_own(engine: Engine) -> None:
    types = Counter(each.type for each in engine.registered)

    assert types == {
        "pulumi:pulumi:Stack": 1,
        "redis-session-kit:compose:ComposeDeployment": 1,
        "redis-session-kit:certificates:Certificates": 1,
        "redis-session-kit:credentials:Credentials": 1,
        "pulumi-python:dynamic/certificates:CertificateAuthority": 1,
        "pulumi-python:dynamic/certificates:NodeCertificate": 3 + 3 + 2 + 2,
        "pulumi-python:dynamic/credentials:RandomPassword": len(USERS) + 1,
        "pulumi-python:dynamic/compose:ComposeProject": 1,
    }
    assert len({each.name for each in engine.registered}) == len(engine.registered)


def test_every_resource_hangs_below_a_component_and_the_deployment_below_the_stack(engine: Engine) -> None:
    types = {each.name: each.type for each in engine.registered}
    parents = {
        each.type.rpartition(":")[2]: types.get(each.parent, "").rpartition(":")[2] for each in engine.registered
    }

    assert parents == {
        "Stack": "",
        "ComposeDeployment": "Stack",
        "Certificates": "ComposeDeployment",
        "Credentials": "ComposeDeployment",
        "ComposeProject": "ComposeDeployment",
        "CertificateAuthority": "Certificates",
        "NodeCertificate": "Certificates",
        "RandomPassword": "Credentials",
    }


def test_every_component_says_that_it_is_complete(engine: Engine) -> None:
    components = {each.name for each in engine.registered if not each.type.startswith("pulumi-python:")}

    assert engine.outputs.keys() == components


def test_a_preview_shows_every_resource_before_anything_is_known(engine: Engine) -> None:
    preview = run({f"{PROJECT}:target": "compose"}, engine=Engine(preview=True))

    assert {(each.type, each.name) for each in preview.registered} == {
        (each.type, each.name) for each in engine.registered
    }


def test_no_secret_is_registered_in_clear(engine: Engine, outputs: dict[str, Any]) -> None:
    passwords = {value for name, value in revealed(outputs).items() if is_secret(outputs[name])}
    registered = [each.inputs for each in engine.registered] + list(engine.outputs.values())
    in_clear = json.dumps(clear(registered))

    assert len(passwords) == 5  # one user has the same password on Redis and on the Sentinels
    assert "PRIVATE KEY" in json.dumps(registered)
    assert "PRIVATE KEY" not in in_clear
    assert not [password for password in passwords if password in in_clear]
    assert not [each for each in outputs if each.endswith(("_password", "_token")) and not is_secret(outputs[each])]


def test_secret_state_that_the_providers_make_is_marked_as_secret(engine: Engine) -> None:
    expected = {"CertificateAuthority": ["key_pem"], "NodeCertificate": ["key_pem"], "RandomPassword": ["value"]}
    marked = {each.type.rpartition(":")[2]: each.secret_outputs for each in engine.registered}

    assert {name: marked[name] for name in expected} == expected
    assert {name for names in expected.values() for name in names} == SECRET_OUTPUTS


def test_the_stack_exports_what_its_readers_expect(outputs: dict[str, Any]) -> None:
    found = parse(revealed(outputs), "the stack's outputs")

    assert found.target == "compose"
    assert found.redis_nodes == ("redis-1:6379", "redis-2:6380", "redis-3:6381")
    assert found.session_settings["SESSION_MAX_CONCURRENT"] == "5"
    assert {name for name in StackOutputs.model_fields if name.endswith(("_password", "_token"))} <= outputs.keys()


def test_the_deployment_has_the_name_of_the_stack_and_the_settings_of_its_file() -> None:
    engine = run({f"{PROJECT}:redisNodes": "5", f"{PROJECT}:compose": '{"redisPort": 7000}'})

    names = [each.name for each in engine.registered if each.type.endswith(":NodeCertificate")]
    assert len(names) == 5 + 3 + 2 + 2
    assert engine.outputs[f"{PROJECT}-{STACK}"]["redis_nodes"][4] == "redis-5:7004"
    assert f"{PROJECT}:compose:ComposeDeployment" in {each.type for each in engine.registered if each.name == STACK}


def test_wrong_settings_end_the_program_before_anything_is_registered() -> None:
    engine = Engine()

    with pytest.raises(pulumi.RunError) as refused:
        run({f"{PROJECT}:redisMaxmemory": "2gbb", f"{PROJECT}:redisNode": "3"}, engine=engine)

    assert str(refused.value).startswith(f"stacks/Pulumi.{STACK}.yaml: 2 settings cannot be used")
    assert "did you mean redisNodes?" in str(refused.value)
    assert [each.type for each in engine.registered] == ["pulumi:pulumi:Stack"]


def test_a_secret_setting_is_not_repeated_when_it_is_wrong() -> None:
    with pytest.raises(pulumi.RunError) as refused:
        run({f"{PROJECT}:redisMaxmemory": "hunter2"}, [f"{PROJECT}:redisMaxmemory"])

    assert "redisMaxmemory: [secret]" in str(refused.value)
    assert "hunter2" not in str(refused.value)


LOGIN = {
    "authMode": "dual",
    "keycloakServerUrl": "https://login.test",
    "keycloakRealm": "sessions",
    "keycloakClientId": "session-service",
    "keycloakClientSecret": "hunter2-of-the-client",
    "servicePublicUrl": "https://sessions.test",
    "jwtSecretKey": "hunter2-of-the-former-system-long-enough",
}


def test_secrets_of_the_stack_reach_the_files_of_the_services_and_nothing_in_clear() -> None:
    secrets = [f"{PROJECT}:keycloakClientSecret", f"{PROJECT}:jwtSecretKey"]
    engine = run({f"{PROJECT}:{key}": value for key, value in LOGIN.items()}, secrets)

    [project] = [each.inputs for each in engine.registered if each.type.endswith(":ComposeProject")]
    files = revealed(project["secretFiles"])
    for service in ("session-1", "session-2"):
        assert files[f"{service}/secrets/KEYCLOAK_CLIENT_SECRET"] == LOGIN["keycloakClientSecret"]
        assert files[f"{service}/secrets/JWT_SECRET_KEY"] == LOGIN["jwtSecretKey"]
    assert len([path for path, text in files.items() if "hunter2" in text]) == 4
    registered = [each.inputs for each in engine.registered] + list(engine.outputs.values())
    assert "hunter2" not in json.dumps(clear(registered))


def test_a_secret_of_the_stack_in_clear_ends_the_program() -> None:
    with pytest.raises(pulumi.RunError) as refused:
        run({f"{PROJECT}:{key}": value for key, value in LOGIN.items()}, [f"{PROJECT}:jwtSecretKey"])

    assert "keycloakClientSecret\n      is a secret" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_setting_that_takes_something_away_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    run({f"{PROJECT}:redisMaxmemoryPolicy": "allkeys-lru"})

    assert any("logged out" in record.message and record.levelname == "WARNING" for record in caplog.records)
