"""What a deployment may be asked for, and what is refused or warned about."""

from typing import Any

import pytest
from pydantic import ValidationError

from infra.components.pki import issue_authority
from infra.spec import DeploymentSpec, SessionSpec, published_ports, warnings
from session_core.settings import Settings


def spec(**sections: dict[str, Any]) -> DeploymentSpec:
    """Return a spec with some settings of some sections."""
    return DeploymentSpec.model_validate(sections)


@pytest.mark.parametrize(
    ("written", "in_bytes"),
    [
        ("256mb", 268_435_456),
        ("256MB", 268_435_456),
        ("100m", 100_000_000),
        ("1gb", 1_073_741_824),
        ("8388608", 8_388_608),
    ],
)
def test_memory_is_read_in_the_units_of_redis_conf(written: str, in_bytes: int) -> None:
    assert spec(redis={"maxmemory": written}).redis.maxmemory == in_bytes


@pytest.mark.parametrize("written", ["2gbb", "-1gb", "1.5gb", "0", "7mb", "", "256 mb mb", "\u0663\u0660\u0660mb"])
def test_memory_that_redis_would_not_read_or_could_not_live_with_is_refused(written: str) -> None:
    with pytest.raises(ValidationError, match="at least 8mb"):
        spec(redis={"maxmemory": written})


@pytest.mark.parametrize(
    "image", ["redis:8", "valkey/valkey:8.1", "registry.example:5000/a/redis:8", "redis@sha256:" + "0" * 64]
)
def test_an_image_with_a_tag_or_digest_is_taken(image: str) -> None:
    assert spec(redis={"image": image}).redis.image == image


@pytest.mark.parametrize(
    "image", ["redis", "registry.example:5000/redis", "Redis:8", "redis:8 --privileged", "redis:", "a\nb:1"]
)
def test_an_image_without_a_version_or_with_other_text_is_refused(image: str) -> None:
    with pytest.raises(ValidationError, match="tag or digest"):
        spec(redis={"image": image})


@pytest.mark.parametrize("points", ["900", "900 1 300", "0 1", "a b", "900 -1", "\u0669 1"])
def test_save_points_that_are_not_pairs_above_zero_are_refused(points: str) -> None:
    with pytest.raises(ValidationError, match="pairs of <seconds> <changes>"):
        spec(redis={"save": points})


def test_an_even_number_of_sentinels_is_refused() -> None:
    with pytest.raises(ValidationError, match="odd"):
        spec(sentinel={"nodes": 4})


@pytest.mark.parametrize(("nodes", "quorum"), [(3, 1), (3, 4), (5, 2), (5, 6)])
def test_a_quorum_below_the_majority_or_above_the_number_of_sentinels_is_refused(nodes: int, quorum: int) -> None:
    with pytest.raises(ValidationError, match=r"sentinel\.quorum"):
        spec(sentinel={"nodes": nodes, "quorum": quorum})


def test_a_quorum_of_all_sentinels_is_taken() -> None:
    assert spec(sentinel={"nodes": 5, "quorum": 5}).sentinel.quorum == 5


def test_more_replicas_than_a_failover_leaves_cannot_be_required_for_a_write() -> None:
    with pytest.raises(ValidationError, match="after a failover"):
        spec(redis={"nodes": 3, "min_replicas_to_write": 2})


@pytest.mark.parametrize(
    "session",
    [{"wait_replicas": 3}, {"ttl_seconds": 604_801}, {"wait_timeout_ms": 1000, "deadline_seconds": 1}],
)
def test_session_settings_that_contradict_each_other_or_the_nodes_are_refused(session: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match=rf"session\.{next(iter(session))}"):
        spec(session=session)


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ({"redis_port": 26_377}, "sentinel_port"),
        ({"https_port": 6381}, "https_port"),
        ({"https_port": 26_379}, "https_port"),
        ({"redis_port": 65_534}, "redis_port"),
    ],
)
def test_ports_that_overlap_or_run_out_are_refused(target: dict[str, int], field: str) -> None:
    with pytest.raises(ValidationError, match=rf"target\.{field}"):
        spec(target={"kind": "compose", **target})


def test_each_host_has_a_port_of_its_own() -> None:
    ports = published_ports(spec(redis={"nodes": 5}, target={"kind": "compose", "redis_port": 7000}))

    assert ports["redis-1"] == 7000
    assert ports["redis-5"] == 7004
    assert len(set(ports.values())) == len(ports) == 5 + 3 + 1


def test_a_misspelt_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        spec(redis={"maxmem": "1gb"})


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        spec().redis.nodes = 5  # type: ignore[misc]


def test_the_defaults_warn_of_nothing() -> None:
    assert warnings(spec()) == ()


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru", "volatile-ttl", "allkeys-random"])
def test_a_policy_that_evicts_warns_that_users_are_logged_out(policy: str) -> None:
    (warning,) = warnings(spec(redis={"maxmemory_policy": policy}))

    assert warning.startswith(f"redisMaxmemoryPolicy {policy}")
    assert "logged out" in warning


def test_everything_that_may_lose_sessions_is_warned_of() -> None:
    found = warnings(
        spec(
            redis={"appendfsync": "no", "min_replicas_to_write": 0},
            session={"wait_replicas": 0},
            service={"replicas": 1},
        )
    )

    assert [warning.split()[0] for warning in found] == [
        "redisAppendfsync",
        "redisMinReplicasToWrite",
        "sessionWaitReplicas",
        "serviceReplicas",
    ]


@pytest.mark.parametrize("field", SessionSpec.model_fields)
def test_the_session_service_takes_every_value_that_the_spec_takes(field: str) -> None:
    schema = SessionSpec.model_json_schema()["properties"][field]
    values = schema.get("enum") or [schema[bound] for bound in ("minimum", "maximum", "default") if bound in schema]
    for value in values:
        lifetime = {"session_max_lifetime_seconds": 10**9} if field == "ttl_seconds" else {"session_ttl_seconds": 1}
        deadline = {"session_deadline_seconds": 60} if field == "wait_timeout_ms" else {}
        settings = Settings(redis_url="redis://localhost", **lifetime | deadline | {f"session_{field}": value})

        assert getattr(settings, f"session_{field}") == value


KEYCLOAK: dict[str, Any] = {
    "server_url": "https://login.test",
    "realm": "r",
    "client_id": "c",
    "client_secret": True,
}
SERVICE: dict[str, Any] = {"public_url": "https://sessions.test"}


@pytest.mark.parametrize("mode", ["token", "dual"])
def test_tokens_are_accepted_only_where_somebody_issues_them(mode: str) -> None:
    with pytest.raises(ValidationError, match=r"auth\.mode: .* must be session, or keycloakServerUrl or jwtSecretKey"):
        spec(auth={"mode": mode})
    assert spec(auth={"mode": mode}, jwt={"secret_key": True}).auth.mode == mode
    assert spec(auth={"mode": mode}, keycloak=KEYCLOAK, service=SERVICE).auth.mode == mode


@pytest.mark.parametrize("field", ["issuer", "audience"])
def test_what_a_token_must_say_needs_a_key_that_shows_it(field: str) -> None:
    with pytest.raises(ValidationError, match=rf"jwt\.{field}: x must be unset, or jwtSecretKey be set too"):
        spec(jwt={field: "x"})


@pytest.mark.parametrize(
    "url",
    [
        "http://login.test",
        "login.test",
        "https://",
        "https://user:word@login.test",
        "https://login.test?x=1",
        "https://login.test#x",
        "https://login.test:99999",
        "https://login.test/a b",
        "https://[::1",
        "https://login.test/\nX: y",
    ],
)
def test_what_is_no_address_over_tls_is_refused(url: str) -> None:
    for section, field in (("keycloak", "server_url"), ("service", "public_url"), ("service", "trusted_origins")):
        with pytest.raises(ValidationError, match="an address such as"):
            spec(**{section: {field: url}})


@pytest.mark.parametrize("url", ["collector:4318", "grpc://collector:4317", "http://u:p@collector", "http://c?x=1"])
def test_traces_go_to_an_address_of_http(url: str) -> None:
    with pytest.raises(ValidationError, match="such as http://collector:4318"):
        spec(telemetry={"endpoint": url})
    assert spec(telemetry={"endpoint": "http://collector:4318/"}).telemetry.endpoint == "http://collector:4318"


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1", "127.1.2.3:8443", "[::1]", "x.localhost"])
def test_a_keycloak_on_the_loopback_interface_is_refused_for_no_container_reaches_it(host: str) -> None:
    with pytest.raises(ValidationError, match="an address that the service reaches as well"):
        spec(keycloak=KEYCLOAK | {"server_url": f"https://{host}"}, service=SERVICE)
    assert spec(service={"public_url": f"https://{host}"}).service.public_url == f"https://{host}"


def test_an_address_is_kept_in_one_form() -> None:
    found = spec(
        keycloak=KEYCLOAK | {"server_url": "https://login.test/auth/"},
        service={"public_url": "https://Sessions.test/", "trusted_origins": " https://a.test/ ,https://B.test:8443,"},
    )
    assert found.keycloak.server_url == "https://login.test/auth"
    assert found.service.public_url == "https://sessions.test"
    assert found.service.trusted_origins == "https://a.test,https://b.test:8443"


def test_an_origin_has_no_path() -> None:
    for field in ("public_url", "trusted_origins"):
        with pytest.raises(ValidationError, match="without a path"):
            spec(service={field: "https://sessions.test/login"})


def test_authorities_are_certificates_and_nothing_else() -> None:
    authority = issue_authority("login", "2124-01-01")
    good = KEYCLOAK | {"ca_pem": f"\n{authority.cert_pem}\n{authority.cert_pem}"}
    assert spec(keycloak=good, service=SERVICE).keycloak.ca_pem.count("BEGIN") == 2
    for wrong in ("x", authority.key_pem, authority.cert_pem + authority.key_pem, authority.cert_pem[:-30]):
        with pytest.raises(ValidationError, match="certificates in PEM"):
            spec(keycloak=KEYCLOAK | {"ca_pem": wrong}, service=SERVICE)


def test_a_key_that_opens_nothing_any_more_is_warned_of() -> None:
    assert any(each.startswith("jwtSecretKey") for each in warnings(spec(jwt={"secret_key": True})))
    assert warnings(spec(jwt={"secret_key": True}, auth={"mode": "dual"})) == ()


def test_a_keycloak_outside_of_an_internal_network_is_warned_of() -> None:
    inside = spec(keycloak=KEYCLOAK, service=SERVICE, target={"kind": "compose", "publish": False})
    assert [each for each in warnings(inside) if "compose.publish" in each]
    assert warnings(spec(keycloak=KEYCLOAK, service=SERVICE)) == ()
