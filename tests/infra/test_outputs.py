"""Outputs of a deployment are read from JSON, and what is wrong with them is said by field."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.outputs import OutputsError, StackOutputs, parse, read

DURABILITY = {
    "append_only": "everysec",
    "snapshots": "900 1",
    "replicas": 2,
    "min_replicas_to_write": 1,
    "wait_replicas": 1,
}


def outputs(**changes: object) -> dict[str, Any]:
    """Return complete outputs with some fields changed, or left out where the change is None."""
    complete = {
        "schema_version": 1,
        "target": "compose",
        "location": {"compose_project": "redis-session-kit-dev"},
        "url": "https://localhost:8443",
        "ca_pem": "-----BEGIN CERTIFICATE-----\n",
        "redis_nodes": ["redis-1:6379", "redis-2:6380"],
        "sentinels": ["sentinel-1:26379"],
        "master_name": "mymaster",
        "address_map": "*=127.0.0.1",
        "features": ["sentinel", "tls"],
        "durability_requested": DURABILITY,
        "durability_delivered": {**DURABILITY, "append_only": "off"},
        "users": {"sessions": "sessions", "admin": "admin"},
        "sessions_password": "correct horse",
        "admin_password": "battery staple",
    }
    return {key: value for key, value in (complete | changes).items() if value is not None}


def test_a_file_with_outputs_is_read(tmp_path: Path) -> None:
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(outputs()))

    found = read(file)

    assert found.redis_nodes == ("redis-1:6379", "redis-2:6380")
    assert found.durability_requested.append_only == "everysec"
    assert found.durability_delivered.append_only == "off"
    assert found.sessions_password.get_secret_value() == "correct horse"


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(outputs())))

    assert read(None).master_name == "mymaster"


def test_a_managed_endpoint_without_sentinels_is_described_as_well() -> None:
    found = parse(
        outputs(sentinels=None, master_name=None, features=["tls"], redis_nodes=["cache.example:6380"]), "file"
    )

    assert found.sentinels == ()


def test_no_secret_shows_when_outputs_are_printed() -> None:
    text = repr(parse(outputs(), "file"))

    assert "mymaster" in text
    assert "correct horse" not in text
    assert "battery staple" not in text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": "http://localhost:8443"}, "url"),
        ({"redis_nodes": ["redis-1"]}, "redis_nodes.0"),
        ({"redis_nodes": []}, "redis_nodes"),
        ({"features": ["sentinel", "telepathy"]}, "features.1"),
        ({"session_settings": {"PATH": "/bin"}}, "session_settings"),
        ({"durability_delivered": {**DURABILITY, "append_only": "maybe"}}, "durability_delivered.append_only"),
        ({"sessions_password": None}, "sessions_password"),
        ({"sesions_password": "x"}, "sesions_password"),
        ({"master_name": None}, "master_name"),
        ({"features": ["tls"]}, "the feature sentinel"),
        ({"admin_password": None}, "admin_password"),
        ({"deploy_password": "x"}, "users.deploy"),
    ],
)
def test_a_wrong_or_missing_field_is_named_without_showing_a_secret(changes: dict[str, object], field: str) -> None:
    with pytest.raises(OutputsError) as refused:
        parse(outputs(**changes), "outputs.json")

    assert "outputs.json" in str(refused.value)
    assert field in str(refused.value)
    assert "correct horse" not in str(refused.value)


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(OutputsError) as refused:
        parse(outputs(url="x", target=None), "outputs.json")

    assert len(str(refused.value).splitlines()) == 1 + 2


def test_secrets_that_pulumi_has_hidden_are_refused_with_the_command_that_shows_them() -> None:
    with pytest.raises(OutputsError, match=r"sessions_password: hidden; .*--show-secrets"):
        parse(outputs(sessions_password="[secret]"), "outputs.json")


def test_outputs_of_another_version_are_refused() -> None:
    with pytest.raises(OutputsError, match="schema_version: 2"):
        parse(outputs(schema_version=2), "outputs.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_what_is_no_json_object_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "outputs.json"
    file.write_text(text)

    with pytest.raises(OutputsError, match=r"outputs\.json"):
        read(file)


def test_reading_outputs_needs_no_pulumi() -> None:
    check = "import sys, infra.outputs, infra.spec, infra.stackfile; sys.exit('pulumi' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_every_secret_is_a_field_of_its_own() -> None:
    secrets = {name for name, field in StackOutputs.model_fields.items() if "SecretStr" in str(field.annotation)}

    assert secrets == {name for name in StackOutputs.model_fields if name.endswith(("_password", "_token"))}
