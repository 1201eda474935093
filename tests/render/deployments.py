"""Two deployments that the tests render: as it comes, and one with everything set otherwise."""

from collections.abc import Mapping
from functools import cache

from infra.render.passwords import ADMIN_TOKEN, USERS
from infra.render.project import plain_files, secret_files
from infra.render.topology import Topology, topology
from infra.service import AuthSpec, JwtSpec, KeycloakSpec, ServiceSpec, TelemetrySpec
from infra.spec import ComposeTarget, DeploymentSpec, RedisSpec, SentinelSpec, SessionSpec
from infra.values import MEBIBYTE

NAME = "dev"
KEYCLOAK_CA = """\
-----BEGIN CERTIFICATE-----
MIIBajCCAQ+gAwIBAgIULX9P5V1WVv6lSRcMEIQpODvhbBcwCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFbG9naW4wIBcNMjYxMTI3MDQwMzA5WhgPMjEyNDAxMDEwMDAw
MDBaMBAxDjAMBgNVBAMMBWxvZ2luMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
RrPz1PPxbOIaYDF2VSNBWCgIExBIDWHKA6JrwIkt4FuG3qWfPrBzAd9qCdoNgTT2
pzxg16FpMLoDkoNUt2ZCNaNFMEMwHQYDVR0OBBYEFHBa+sUj4SFrydRA6KnVTefX
KqnmMBIGA1UdEwEB/wQIMAYBAf8CAQAwDgYDVR0PAQH/BAQDAgEGMAoGCCqGSM49
BAMCA0kAMEYCIQCE/w1xkAIQwaMpZBekJdJ0s0wakVAgR5I+qYIuMnZYpQIhAM3l
vM9yZxmyv/JUWh9iLlUFScYbBcijjPHgPktgNLpv
-----END CERTIFICATE-----
"""
"""A certificate whose key nobody has."""
SPECS = {
    "default": DeploymentSpec(),
    "variant": DeploymentSpec(
        redis=RedisSpec(maxmemory=64 * MEBIBYTE, maxmemory_policy="volatile-lru", appendfsync="always", save=""),
        sentinel=SentinelSpec(nodes=5, quorum=3, master_name="sessions", down_after_ms=5000),
        session=SessionSpec(sliding_window=False, max_concurrent=0),
        service=ServiceSpec(
            replicas=3,
            public_url="https://sessions.test",
            trusted_origins="https://app.test, https://other.test:8443",
            password_login=True,
        ),
        auth=AuthSpec(mode="dual"),
        keycloak=KeycloakSpec(
            server_url="https://login.test/auth",
            realm="sessions",
            client_id="session-service",
            client_secret=True,
            ca_pem=KEYCLOAK_CA,
            audience="applications",
            follow=False,
        ),
        telemetry=TelemetrySpec(endpoint="http://collector:4318"),
        jwt=JwtSpec(secret_key=True, issuer="former", audience="applications"),
        target=ComposeTarget(redis_port=17379, sentinel_port=37379, https_port=19443, publish=False),
    ),
}

PASSWORDS = {user: f"password-of-{user}." for user in (*USERS, ADMIN_TOKEN)}
"""Fixed, so that what is rendered from them is always the same; none is part of another one."""
GIVEN = {key: f"value-of-{key}." for key in ("keycloakClientSecret", "jwtSecretKey")}
"""Secrets that a stack gives."""
AUTHORITY = "certificate of the authority\n"


def certificates(parts: Topology) -> dict[str, tuple[str, str]]:
    """A text in place of each part's certificate and key."""
    return {part: (f"certificate of {part}\n", f"key of {part}\n") for part in parts.certified}


@cache
def plain(name: str) -> Mapping[str, str]:
    """The files without secrets of a deployment of SPECS, by path."""
    return plain_files(SPECS[name], NAME)


@cache
def secret(name: str) -> Mapping[str, str]:
    """The files with secrets of a deployment of SPECS, by path."""
    return secret_files(SPECS[name], PASSWORDS, AUTHORITY, certificates(topology(SPECS[name])), GIVEN)


def every(name: str) -> Mapping[str, str]:
    """All files of a deployment of SPECS, by path."""
    return {**plain(name), **secret(name)}
