"""Where the session service is, and how to log in there."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Service:
    """Where the service is.

    Attributes:
        url: `https://host:port`.
        token: its admin token, for logins.
        ca_file: of the authority that signed its certificate; None: those that this machine knows.
        waits: it waits for replicas; only then does `durable: false` excuse the loss of a session.
    """

    url: str
    token: str = field(repr=False)
    ca_file: Path | None = None
    waits: bool = False
