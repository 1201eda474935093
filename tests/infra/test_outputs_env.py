"""The environment of an application, from the outputs of a deployment, is what the session library reads."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.outputs import parse
from infra.outputs_env import environment, main
from infra.render.session_settings import session_settings
from infra.spec import DeploymentSpec
from session_core.settings import Settings
from tests.infra.test_outputs import DURABILITY, outputs

WHOLE = outputs(
    features=["sentinel", "tls", "acl"],
    sentinels=["sentinel-1:26379", "sentinel-2:26380"],
    users={"sessions": "sessions", "sentinel": "watcher", "admin": "admin"},
    sessions_password="it's $HOME; `id`",
    sentinel_password="other",
    durability_delivered={**DURABILITY, "wait_replicas": 2},
)


def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ca_file: Path, given: object) -> str:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(given)))
    assert main(["--ca-file", str(ca_file)]) == 0
    return capsys.readouterr().out


def as_a_shell_reads(text: str) -> dict[str, str]:
    script = f"{text}\nenv -0"
    done = subprocess.run(["/bin/sh", "-c", script], env={}, capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if "=" in line)


def settings(variables: dict[str, str]) -> Settings:
    known = {name.lower(): value for name, value in variables.items() if name.lower() in Settings.model_fields}
    assert {name for name in variables if name.lower() not in Settings.model_fields} <= {"PWD", "_"}
    return Settings(_env_file=None, **known)


def test_a_shell_gets_exactly_what_the_outputs_say(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"

    found = settings(as_a_shell_reads(printed(monkeypatch, capsys, ca_file, WHOLE)))

    assert found.redis_url.get_secret_value() == "rediss-sentinel://sentinel-1:26379,sentinel-2:26380/mymaster/0"
    assert found.target.master == "mymaster"
    assert found.tls
    assert found.redis_ca_file == ca_file
    assert found.redis_username == "sessions"
    assert found.redis_password.get_secret_value() == WHOLE["sessions_password"]
    assert found.redis_sentinel_username == "watcher"
    assert found.redis_sentinel_password.get_secret_value() == "other"
    assert found.redis_address_map == "*=127.0.0.1"
    assert found.wait_replicas == 2


def test_an_application_beside_the_service_has_the_same_limit_and_lifetimes(tmp_path: Path) -> None:
    spec = DeploymentSpec.model_validate({"session": {"max_concurrent": 2, "ttl_seconds": 60, "limit_policy": "idle"}})
    shared = WHOLE | {"session_settings": session_settings(spec)}

    found = settings(dict(environment(parse(shared, "a file"), tmp_path / "ca.pem")))

    assert (found.session_max_concurrent, found.session_ttl_seconds, found.session_limit_policy) == (2, 60, "idle")
    assert found.wait_replicas == 2, "what the deployment can confirm decides"


def test_the_same_text_is_an_env_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plain = WHOLE | {"sessions_password": "a-B_9" * 8}
    text = printed(monkeypatch, capsys, tmp_path / "ca.pem", plain)
    (tmp_path / ".env").write_text(text)
    for name in as_a_shell_reads(text):
        monkeypatch.delenv(name, raising=False)

    found = Settings(_env_file=tmp_path / ".env")

    assert found.redis_password.get_secret_value() == plain["sessions_password"]
    assert found.redis_address_map == "*=127.0.0.1"


def test_the_certificate_of_the_authority_is_in_a_file_for_this_user_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("an older one")
    ca_file.chmod(0o644)

    printed(monkeypatch, capsys, ca_file, WHOLE)

    assert ca_file.read_text() == WHOLE["ca_pem"]
    assert ca_file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [ca_file]


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({"features": ["tls"]}, "rediss://redis-1:6379/0"),
        ({"features": ["acl"]}, "redis://redis-1:6379/0"),
        ({"features": ["sentinel"]}, "redis-sentinel://sentinel-1:26379/mymaster/0"),
    ],
)
def test_the_form_of_the_url_follows_from_the_features(changes: dict[str, Any], url: str, tmp_path: Path) -> None:
    without = {} if "sentinel" in changes["features"] else {"sentinels": None, "master_name": None}
    found = environment(parse(outputs(**changes, **without), "a file"), tmp_path / "ca.pem")

    assert found["REDIS_URL"] == url
    assert found["REDIS_SSL"] == str("tls" in changes["features"]).lower()
    assert ("REDIS_CA_FILE" in found) == ("tls" in changes["features"])
    assert settings(dict(found)).target.sentinel == ("sentinel" in changes["features"])


@pytest.mark.parametrize("given", ["", "[]", '{"schema_version": 1, "sessions_password": "[secret]"}'])
def test_outputs_that_cannot_be_used_print_nothing_but_the_reason(
    given: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(given))

    assert main(["--ca-file", str(tmp_path / "ca.pem")]) == 1

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("standard input: ")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(WHOLE)))

    assert main(["--ca-file", str(tmp_path / "missing" / "ca.pem")]) == 1

    shown = capsys.readouterr()
    assert shown.out == ""
    assert "missing" in shown.err
