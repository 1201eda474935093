"""The target is what the outputs, a file of the suite, or the environment say; what is missing is named."""

import json
import os
from pathlib import Path

import pytest

from loadtests.redis_level import RedisLevel
from loadtests.target import Choice, TargetError, aim
from tests.infra.test_outputs import outputs

TOKEN = "an-admin-token-of-enough-characters"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("REDIS_", "SESSION_")):
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> str:
    made = tmp_path / "outputs.json"
    made.write_text(json.dumps(outputs(admin_token=TOKEN)))
    return str(made)


def test_outputs_say_everything_at_the_level_of_redis(file: str) -> None:
    found = aim(Choice("redis", outputs=file))

    assert isinstance(found.level(10), RedisLevel)
    assert found.settings is not None
    assert (found.settings.redis_username, found.settings.wait_replicas) == ("sessions", 1)
    store = found.store()
    assert store is not None
    assert (store.redis_username, store.redis_password.get_secret_value()) == ("admin", "battery staple")
    assert found.deployment is not None
    assert "kill" in found.deployment.faults.abilities


def test_outputs_say_everything_at_the_level_of_http(file: str) -> None:
    found = aim(Choice("http", outputs=file))

    assert found.service is not None
    assert (found.service.url, found.service.token, found.service.waits) == ("https://localhost:8443", TOKEN, True)
    assert found.service.ca_file is not None
    assert found.service.ca_file.read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert TOKEN not in repr(found)


def test_without_an_admin_token_nobody_can_log_in_over_http(tmp_path: Path) -> None:
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(outputs()))

    with pytest.raises(TargetError, match="admin_token"):
        aim(Choice("http", outputs=str(file)))


def test_the_environment_says_where_redis_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://somewhere:6379/0")

    found = aim(Choice("redis"))

    assert isinstance(found.level(10), RedisLevel)
    assert found.deployment is None, "nothing can be done to it"


def test_a_file_of_the_suite_brings_commands_for_faults(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "settings: {REDIS_URL: 'redis-sentinel://one:26379,two:26379/mymaster'}\nfaults: {kill: {inject: 'true'}}\n"
    )

    found = aim(Choice("redis", conformance=str(file)))

    assert found.deployment is not None
    assert found.deployment.faults.abilities == {"kill"}
    assert [str(each) for each in found.deployment.sentinels] == ["one:26379", "two:26379"]


@pytest.mark.parametrize(
    ("choice", "named"),
    [
        (Choice("redis"), "REDIS_URL"),
        (Choice("http"), "SESSION_ADMIN_TOKEN"),
        (Choice("redis", outputs="nowhere.json"), "nowhere.json"),
        (Choice("redis", conformance="nowhere.yaml"), "nowhere.yaml"),
    ],
)
def test_what_is_missing_is_named(choice: Choice, named: str) -> None:
    with pytest.raises(TargetError, match=named):
        aim(choice)
