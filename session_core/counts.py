"""What a process counts."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """What this process has done, for the metrics.

    Attributes:
        expired: ids of the right form that led to nothing: expired, or never issued.
        slides_refused: reads that were answered although the extension that was due failed.
        not_durable: writes that the wanted number of replicas did not confirm in time.
        confirmed_late: revocations among them that were confirmed when they were repeated.
        forgotten: revocations that were given up unconfirmed, because there were too many.
    """

    created: int = 0
    retrieved: int = 0
    refreshed: int = 0
    revoked: int = 0
    evicted: int = 0
    rotated: int = 0
    expired: int = 0
    slides_refused: int = 0
    not_durable: int = 0
    confirmed_late: int = 0
    forgotten: int = 0
