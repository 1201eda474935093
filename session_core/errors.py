# ruff: noqa: N818 - the names say what happened
"""Everything this library raises on purpose: one small tree.

::

    SessionError
    ├── InvalidInput (also ValueError)    the caller's argument; nothing was written
    │   ├── InvalidUserId
    │   ├── InvalidSessionId
    │   ├── InvalidMetadata
    │   ├── InvalidTtl
    │   └── InvalidReason
    ├── SettingsError (also ValueError)   the environment contradicts itself; names the variables
    ├── SessionLimitReached               policy "reject": the user has as many sessions as allowed
    ├── SessionConflict                   somebody else changed or rotated the session meanwhile
    ├── SealBroken                        a sealed part does not open with this session id: it was tampered with
    └── StoreError                        Redis did not do it
        ├── StoreUnavailable              not within the deadline; try again later
        ├── StoreFull                     out of memory or disk; only an operator can help
        ├── StoreDenied                   wrong password, missing right, certificate refused
        └── StoreNotReady                 the function library is missing or old; says what to run

No message holds a session id, a password or metadata.
"""


class SessionError(Exception):
    """Base of all errors of this library."""


class InvalidInput(SessionError, ValueError):
    """An argument was refused before anything was sent."""


class InvalidUserId(InvalidInput):
    """The user id is empty, too long, or holds control characters."""


class InvalidSessionId(InvalidInput):
    """Not of the form that `create_session` returns (or a handle where the secret is needed)."""


class InvalidMetadata(InvalidInput):
    """Not a JSON object, or larger than allowed."""


class InvalidTtl(InvalidInput):
    """Zero, negative, or more than the absolute lifetime."""


class InvalidReason(InvalidInput):
    """The reason or the actor of a revocation is too long."""


class SettingsError(SessionError, ValueError):
    """The settings are incomplete or contradict each other."""


class SessionLimitReached(SessionError):
    """The user has as many live sessions as allowed and the policy is to refuse new ones."""


class SessionConflict(SessionError):
    """Another call changed or rotated the session between our two steps."""


class SealBroken(SessionError):
    """A sealed part does not open with the session id that was presented."""


class StoreError(SessionError):
    """Redis did not carry out the operation."""


class StoreUnavailable(StoreError):
    """No answer within the deadline.

    Attributes:
        outcome_unknown: true if a write may have been carried out although no answer arrived.
    """

    def __init__(self, message: str, *, outcome_unknown: bool = False) -> None:
        """Keep the message and whether the write may have happened."""
        super().__init__(message)
        self.outcome_unknown = outcome_unknown


class StoreFull(StoreError):
    """The server is out of memory or cannot write its disk."""


class StoreDenied(StoreError):
    """The server or a Sentinel refused our credentials, our rights, or we refused its certificate."""


class StoreNotReady(StoreError):
    """The function library on the server is missing, older than ours, or made for other buckets."""
