"""The settings of the library (`session_core.environment` says where they are read from)."""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from session_core.address import AddressMap, Target, parse_map, parse_url
from session_core.environment import Environment
from session_core.errors import SettingsError
from session_core.metadata import MAX_GRACE_SECONDS

DAY: Final = 86_400
Names = Annotated[frozenset[str], NoDecode]
"""A comma-separated list of names."""


class Settings(Environment):
    """One attribute for each variable, in lower case.

    Raises:
        SettingsError: one line for each wrong variable.
    """

    secret_names: ClassVar[tuple[str, ...]] = ("redis_url", "redis_password", "redis_sentinel_password")

    auth_mode: Literal["session", "token", "dual"] = "session"
    """AUTH_MODE: what the application accepts; this library is what `session` means; `dual`: tokens, then cookies."""
    session_backend: Literal["redis", "memory"] = "redis"
    """SESSION_BACKEND: `memory` keeps everything in this process, for trials and tests."""
    redis_url: SecretStr = SecretStr("")
    """REDIS_URL: secret because it may hold a password."""
    redis_username: str = ""
    redis_password: SecretStr = SecretStr("")
    redis_ssl: bool | None = None
    """REDIS_SSL: `true` turns TLS on for a redis:// URL; unset means what the URL says."""
    redis_ca_file: Path | None = None
    """REDIS_CA_FILE: PEM; the only authorities trusted for Redis and Sentinel. Unset: those of the system."""
    redis_sentinel_username: str = ""
    redis_sentinel_password: SecretStr = SecretStr("")
    redis_address_map: str = ""
    redis_deploy_username: str = ""
    redis_deploy_password: SecretStr = SecretStr("")
    """REDIS_DEPLOY_…: the user that loads the function library; read by the command line only."""
    redis_max_connections: int = Field(default=32, ge=1, le=10_000)
    """REDIS_MAX_CONNECTIONS: of this process to a server, at least 4: three that all calls share, others for readers of
    events."""

    session_ttl_seconds: int = Field(default=DAY, ge=1)
    session_sliding_window: bool = True
    session_refresh_threshold: int = Field(default=3600, ge=1)
    session_max_concurrent: int = Field(default=0, ge=0)
    """SESSION_MAX_CONCURRENT: live sessions of one user; 0 means no limit."""
    session_limit_policy: Literal["oldest", "idle", "reject"] = "oldest"
    """SESSION_LIMIT_POLICY: who goes at the limit: the oldest, the longest unseen, or the newcomer."""
    session_max_lifetime_seconds: int = Field(default=7 * DAY, ge=1, le=100 * 365 * DAY)
    session_rotation_grace_seconds: int = Field(default=10, ge=0, le=MAX_GRACE_SECONDS)
    session_tombstone_seconds: int = Field(default=DAY, ge=60)
    """SESSION_TOMBSTONE_SECONDS: how long a revoked id still answers with its reason."""
    session_secret_metadata: Names = frozenset({"access_token", "refresh_token", "id_token"})
    """SESSION_SECRET_METADATA: names that are sealed, comma-separated."""
    session_max_metadata_bytes: int = Field(default=16_384, ge=2, le=1_048_576)
    session_old_ids: bool = False
    """SESSION_OLD_IDS: `true` accepts ids of the former system that `session-core import` has brought over."""
    session_events_kept: int = Field(default=100_000, ge=256)
    """SESSION_EVENTS_KEPT: entries of the event streams in all, about."""
    session_wait_replicas: int | None = Field(default=None, ge=0, le=10)
    """SESSION_WAIT_REPLICAS: confirmations that make a write durable; unset: 1 with Sentinel or a cluster, else 0."""
    session_wait_timeout_ms: int = Field(default=100, ge=1, le=10_000)
    session_read_from: Literal["primary", "replica"] = "primary"
    """SESSION_READ_FROM: `replica` lets replicas answer reads that change nothing, at most 3 s behind the primary."""
    session_deadline_seconds: float = Field(default=10.0, ge=0.5, le=120)
    session_fail_fast_seconds: float = Field(default=30.0, ge=0, le=3600)
    """SESSION_FAIL_FAST_SECONDS: after so long without an answer calls fail at once, but for one a second that tries;
    never less than the deadline; 0: not at all."""
    session_scripts: Literal["functions", "eval"] = "functions"
    """SESSION_SCRIPTS: `eval` where the server refuses functions; the application's user then needs other rights."""

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 - whatever pydantic-settings accepts
        """Read the environment; keyword arguments win over it."""
        super().__init__(**values)

    @field_validator("session_secret_metadata", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return {name.strip() for name in value.split(",") if name.strip()} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.session_ttl_seconds > self.session_max_lifetime_seconds:
            raise _refused("SESSION_TTL_SECONDS is above SESSION_MAX_LIFETIME_SECONDS")
        if self.session_wait_timeout_ms >= self.session_deadline_seconds * 1000:
            raise _refused("SESSION_WAIT_TIMEOUT_MS must be shorter than SESSION_DEADLINE_SECONDS")
        if self.session_backend == "redis":
            self._check_redis()
        elif self.session_wait_replicas:
            raise _refused("SESSION_WAIT_REPLICAS asks for replicas, SESSION_BACKEND=memory has none")
        return self

    def _check_redis(self) -> None:
        if not self.redis_url.get_secret_value():
            raise _refused("REDIS_URL is missing (or set SESSION_BACKEND=memory for a trial)")
        try:
            target = parse_url(self.redis_url.get_secret_value())
            parse_map(self.redis_address_map)
        except SettingsError as error:
            raise _refused(str(error)) from None
        if self.redis_ssl is False and target.tls:
            raise _refused("REDIS_SSL=false contradicts the TLS scheme of REDIS_URL")
        if self.redis_ssl and target.path:
            raise _refused("REDIS_SSL=true contradicts the unix socket of REDIS_URL")
        if self.redis_ca_file is not None and not (target.tls or self.redis_ssl):
            raise _refused("REDIS_CA_FILE is set but neither REDIS_URL nor REDIS_SSL asks for TLS")
        if self.session_read_from == "replica" and not (target.sentinel or target.cluster):
            raise _refused("SESSION_READ_FROM=replica needs a REDIS_URL that names Sentinels or a cluster")
        self._check_credentials(target)

    def _check_credentials(self, target: Target) -> None:
        for name, given in (("USERNAME", self.redis_username), ("PASSWORD", self.redis_password.get_secret_value())):
            in_url = getattr(target, name.lower())
            if given and in_url and given != in_url:
                raise _refused(f"REDIS_{name} and REDIS_URL name different ones")
        if (self.redis_username or target.username) and not (self.redis_password.get_secret_value() or target.password):
            raise _refused("REDIS_USERNAME is set but REDIS_PASSWORD is missing")
        if self.redis_sentinel_username and not self.redis_sentinel_password.get_secret_value():
            raise _refused("REDIS_SENTINEL_USERNAME is set but REDIS_SENTINEL_PASSWORD is missing")
        if self.redis_sentinel_password.get_secret_value() and not target.sentinel:
            raise _refused("REDIS_SENTINEL_PASSWORD is set but REDIS_URL names no Sentinel")

    @cached_property
    def target(self) -> Target:
        """What REDIS_URL says."""
        return parse_url(self.redis_url.get_secret_value())

    @property
    def tls(self) -> bool:
        """Whether connections to Redis and Sentinel use TLS."""
        return self.target.tls or bool(self.redis_ssl)

    @property
    def address_map(self) -> AddressMap:
        """REDIS_ADDRESS_MAP, read."""
        return parse_map(self.redis_address_map)

    @property
    def fail_fast_seconds(self) -> float:
        """After how long without an answer calls fail at once; 0: never. No call that would wait it out is refused."""
        return self.session_fail_fast_seconds and max(self.session_fail_fast_seconds, self.session_deadline_seconds)

    @property
    def wait_replicas(self) -> int:
        """How many replicas must confirm a durable write; 0 asks none."""
        if self.session_wait_replicas is not None:
            return self.session_wait_replicas
        return 1 if self.session_backend == "redis" and (self.target.sentinel or self.target.cluster) else 0


def _refused(problem: str) -> ValueError:
    return ValueError(problem)
