"""Which operations a workload is made of, and for which users. Data; what they do is in `loadtests.sessions`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

FAULT_SECONDS: Final = 5.0
STEADY: Final = {"validate": 85, "touch": 10, "create": 4, "revoke": 1}


@dataclass(frozen=True, slots=True)
class Workload:
    """A mix of operations.

    Attributes:
        about: what it imitates, for `--help` and the report.
        mix: operation and its share.
        rate: starts a second unless told otherwise.
        users_each: session users that each load user looks after.
        skew: exponent of Zipf's law: a few users are much busier than the rest; 0: all alike.
        ttl_seconds: of the sessions that it creates.
        prepared: sessions of each load user before the first start.
        reconnects: each operation opens a connection of its own.
        agent_bytes: length of the longest value in the metadata of its sessions.
        fault: done to the primary once, `FAULT_SECONDS` after the warm-up (`conformance.faults`); empty: nothing.
    """

    about: str
    mix: Mapping[str, int]
    rate: float
    users_each: int = 100
    skew: float = 1.0
    ttl_seconds: int = 600
    prepared: int = 20
    reconnects: bool = False
    agent_bytes: int = 250
    fault: str = ""
    weights: tuple[float, ...] = field(init=False)
    """Cumulative shares of the session users, busiest first."""

    def __post_init__(self) -> None:
        """Compute the shares once."""
        shares = (1 / rank**self.skew for rank in range(1, self.users_each + 1))
        object.__setattr__(self, "weights", tuple(accumulate(shares)))


WORKLOADS: Final[Mapping[str, Workload]] = {
    "steady": Workload(
        "an ordinary hour: mostly requests of users who are logged in",
        STEADY,
        rate=500,
    ),
    "soak": Workload(
        "the same for hours: whether latency and memory stay what they are",
        STEADY,
        rate=100,
    ),
    "failover_under_load": Workload(
        "the primary is killed in the middle: what is lost, and for how long no login is possible",
        {"validate": 50, "create": 40, "revoke": 10},
        rate=200,
        users_each=1000,
        skew=0,
        fault="kill",
    ),
    "memory_pressure": Workload(
        "large sessions until the memory is full: logins are refused, everybody else stays in",
        {"validate": 35, "create": 60, "revoke": 5},
        rate=300,
        users_each=10_000,
        skew=0,
        prepared=5,
        agent_bytes=15_000,
    ),
    "login_storm": Workload(
        "everybody logs in at once, as after an outage or at nine o'clock",
        {"create": 90, "validate": 10},
        rate=200,
        users_each=1000,
        skew=0,
        prepared=0,
    ),
    "expiry_wave": Workload(
        "sessions of one login storm that all expire together, and their users who come back",
        {"validate": 60, "create": 40},
        rate=200,
        skew=0,
        ttl_seconds=5,
        prepared=100,
    ),
    "connection_storm": Workload(
        "a client without a pool: each operation is a new connection, with its TLS handshake",
        {"validate": 100},
        rate=50,
        prepared=5,
        reconnects=True,
    ),
}
