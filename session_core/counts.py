"""What a process counts."""

from dataclasses import dataclass
from typing import Final


@dataclass(slots=True)
class Counts:
    """What this process has done, for the metrics; `DESCRIPTIONS` says what each is."""

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


DESCRIPTIONS: Final = {
    "created": "Sessions created",
    "retrieved": "Sessions found by their id, live or revoked",
    "refreshed": "Sessions extended",
    "revoked": "Sessions revoked",
    "evicted": "Sessions revoked because their user reached the limit",
    "rotated": "Sessions that got a new id",
    "expired": "Ids of the right form that led to nothing: expired, or never issued",
    "slides_refused": "Sessions returned although the extension that was due failed",
    "not_durable": "Writes that the wanted number of replicas did not confirm in time",
    "confirmed_late": "Revocations among them that were confirmed when they were repeated",
    "forgotten": "Revocations that were given up unconfirmed, because there were too many",
}
