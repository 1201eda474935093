"""Settings: names and defaults, contradictions refused by name, and never a secret in an error."""

import traceback
from pathlib import Path
from typing import Any

import pytest

from session_core import Settings, environment
from session_core.errors import SettingsError
from session_core.service.settings import ServiceSettings

SECRET = "hunter2-hunter2"
REDIS = "redis://h:6379/0"
CLUSTER = "redis-cluster://a:7001,b:7002"
SENTINEL = "redis-sentinel://s:26379/mymaster"


def test_the_pages_env_file_is_read_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("""
# .env or Kubernetes ConfigMap
AUTH_MODE=session
SESSION_BACKEND=redis

# Redis connection
REDIS_URL=redis://redis-session:6379/0
REDIS_PASSWORD=your-redis-password-here
REDIS_SSL=false  # true for production

# Session settings
SESSION_TTL_SECONDS=86400  # 24 hours
SESSION_SLIDING_WINDOW=true  # Extend on activity
SESSION_MAX_CONCURRENT=5  # Per user
SESSION_REFRESH_THRESHOLD=3600  # Refresh if < 1hr left
""")
    monkeypatch.chdir(tmp_path)
    read = Settings()
    assert read.auth_mode == "session"
    assert str(read.target.addresses[0]) == "redis-session:6379"
    assert read.redis_password.get_secret_value() == "your-redis-password-here"
    assert not read.tls
    assert (read.session_ttl_seconds, read.session_max_concurrent, read.session_refresh_threshold) == (86_400, 5, 3600)


def test_defaults_are_those_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", REDIS)
    read = Settings()
    assert read.session_ttl_seconds == 86_400
    assert read.session_sliding_window
    assert read.session_refresh_threshold == 3600
    assert read.session_max_concurrent == 0
    assert read.session_max_lifetime_seconds == 7 * 86_400
    assert read.session_wait_timeout_ms == 100
    assert read.session_deadline_seconds == 10
    assert read.session_rotation_grace_seconds == 10
    assert read.wait_replicas == 0
    assert Settings(redis_url=SENTINEL).wait_replicas == 1
    assert Settings(redis_url=CLUSTER).wait_replicas == 1
    assert read.session_read_from == "primary"
    assert Settings(redis_url=SENTINEL, session_wait_replicas=2).wait_replicas == 2


def test_secrets_come_from_files_named_after_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "REDIS_PASSWORD").write_text(SECRET + "\n")
    monkeypatch.setattr(environment, "SECRETS_DIR", tmp_path)
    monkeypatch.setenv("REDIS_URL", REDIS)
    assert Settings().redis_password.get_secret_value() == SECRET
    monkeypatch.setenv("REDIS_PASSWORD", "from the environment")
    assert Settings().redis_password.get_secret_value() == "from the environment"


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", REDIS)
    monkeypatch.setenv("SESSION_MAX_CONCURRENT", "")
    assert Settings().session_max_concurrent == 0


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, "REDIS_URL"),
        ({"redis_url": "http://h"}, "REDIS_URL"),
        ({"redis_url": f"https://u:{SECRET}@h"}, "REDIS_URL"),
        ({"redis_url": f"redis://:{SECRET}@h:port/0"}, "REDIS_URL"),
        ({"redis_url": REDIS, "session_ttl_seconds": 604_801}, "SESSION_TTL_SECONDS"),
        ({"redis_url": REDIS, "session_ttl_seconds": 0}, "SESSION_TTL_SECONDS"),
        ({"redis_url": REDIS, "session_ttl_seconds": SECRET}, "SESSION_TTL_SECONDS"),
        ({"redis_url": REDIS, "session_max_concurrent": -1}, "SESSION_MAX_CONCURRENT"),
        ({"redis_url": REDIS, "session_limit_policy": "youngest"}, "SESSION_LIMIT_POLICY"),
        ({"redis_url": REDIS, "session_backend": "postgres"}, "SESSION_BACKEND"),
        ({"session_backend": "memory", "session_wait_replicas": 1}, "SESSION_WAIT_REPLICAS"),
        ({"redis_url": REDIS, "session_wait_timeout_ms": 0}, "SESSION_WAIT_TIMEOUT_MS"),
        (
            {"redis_url": REDIS, "session_wait_timeout_ms": 1000, "session_deadline_seconds": 1},
            "SESSION_WAIT_TIMEOUT_MS",
        ),
        ({"redis_url": "rediss://h", "redis_ssl": False}, "REDIS_SSL"),
        ({"redis_url": "unix:///s", "redis_ssl": True}, "REDIS_SSL"),
        ({"redis_url": f"redis://:{SECRET}@h", "redis_password": "other"}, "REDIS_PASSWORD"),
        ({"redis_url": REDIS, "redis_username": "sessions"}, "REDIS_PASSWORD"),
        ({"redis_url": SENTINEL, "redis_sentinel_username": "s"}, "REDIS_SENTINEL_PASSWORD"),
        ({"redis_url": REDIS, "redis_sentinel_password": SECRET}, "REDIS_SENTINEL_PASSWORD"),
        ({"redis_url": REDIS, "redis_ca_file": "/ca.pem"}, "REDIS_CA_FILE"),
        ({"redis_url": CLUSTER + "/1"}, "REDIS_URL"),
        ({"redis_url": CLUSTER, "redis_sentinel_password": SECRET}, "REDIS_SENTINEL_PASSWORD"),
        ({"redis_url": REDIS, "session_read_from": "replica"}, "SESSION_READ_FROM"),
        ({"redis_url": "unix:///s", "session_read_from": "replica"}, "SESSION_READ_FROM"),
        ({"redis_url": REDIS, "redis_address_map": "nonsense"}, "REDIS_ADDRESS_MAP"),
    ],
)
def test_what_contradicts_itself_is_refused_by_name_and_without_its_value(given: dict[str, Any], names: str) -> None:
    with pytest.raises(SettingsError, match=names) as refusal:
        Settings(**given)
    shown = "".join(traceback.format_exception(refusal.value)) + repr(refusal.value)
    assert SECRET not in shown.replace(repr(given), "")


def test_settings_show_no_secret() -> None:
    read = Settings(redis_url=f"redis://u:{SECRET}@h", redis_sentinel_password="")
    assert SECRET not in repr(read) + str(read) + repr(read.target) + read.model_dump_json()
    assert read.target.password == SECRET


KEYCLOAK = {
    "keycloak_server_url": "https://kc.test",
    "keycloak_realm": "r",
    "keycloak_client_id": "c",
    "keycloak_client_secret": "s",
}


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"session_admin_token": "short"}, "SESSION_ADMIN_TOKEN"),
        ({}, "SESSION_ADMIN_TOKEN"),
        ({"session_admin_token": "x" * 32, "session_tls_cert_file": "/c"}, "SESSION_TLS_KEY_FILE"),
        ({"session_admin_token": "x" * 32, "session_verify_from": "replica"}, "SESSION_VERIFY_FROM"),
        ({"session_admin_token": "x" * 32, "auth_mode": "token"}, "AUTH_MODE=token accepts tokens"),
        ({"session_admin_token": "x" * 32, "auth_mode": "dual"}, "JWT_SECRET_KEY"),
        ({"session_admin_token": "x" * 32, "jwt_secret_key": "short"}, "JWT_SECRET_KEY must have at least 32"),
        ({"session_admin_token": "x" * 32, "keycloak_server_url": "https://kc.test"}, "KEYCLOAK_REALM"),
        ({"session_admin_token": "x" * 32, "keycloak_server_url": "kc.test"}, "KEYCLOAK_SERVER_URL: not an address"),
        ({"session_admin_token": "x" * 32, "session_public_url": "https://x.test/path"}, "SESSION_PUBLIC_URL"),
        ({"session_admin_token": "x" * 32, **KEYCLOAK}, "SESSION_PUBLIC_URL"),
    ],
)
def test_the_service_refuses_what_it_cannot_serve_with(given: dict[str, Any], names: str) -> None:
    with pytest.raises(SettingsError, match=names):
        ServiceSettings(session_backend="memory", **given)
