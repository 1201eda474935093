"""`SessionManager`: the whole of the library for its callers."""

import secrets
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final, Self

from session_core import protocol
from session_core.content import Change, Contents, Opened
from session_core.counts import Counts
from session_core.errors import SessionConflict, SessionLimitReached, StoreError
from session_core.ids import (
    BUCKETS,
    Ref,
    adopted_id,
    bucket_of,
    is_handle,
    new_session_id,
    old_ref,
    ref_of,
    ref_of_either,
)
from session_core.journal import Journal
from session_core.metadata import (
    checked_entries,
    checked_grace,
    checked_names,
    checked_note,
    checked_ttl,
    checked_user_id,
)
from session_core.protocol import ALWAYS
from session_core.records import Answer, Effort, NewSession, Note, Record, Rotation, Update, UserRevocation
from session_core.session import Event, JsonValue, Revoked, RevokedAll, Session, moment
from session_core.settings import Settings
from session_core.store import Store, store_of

MAX_UPDATE_TRIES: Final = 50
EVENT_WAIT_MS: Final = 1000


class SessionManager:
    """Creates, reads, extends and ends user sessions. Safe for any number of concurrent calls in one event loop.

    Every method may raise `InvalidInput` before anything is sent, and `StoreError` if the store did not do it: a store
    that is away is never taken for a session that is not there. One round trip each, where nothing else is said.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        """Use these settings, or those of the environment; nothing is sent.

        Raises:
            SettingsError: incomplete or contradictory settings, named by their variables.
        """
        self.settings = settings or Settings()
        self.counts = Counts()
        self._store: Store = store_of(self.settings)
        self.ephemeral = self._store.ephemeral
        self._contents = Contents(self.settings)
        self._journal = Journal(self._store, self.counts, wanted=self.settings.wait_replicas > 0)

    @property
    def effort(self) -> Effort:
        """What was sent to the store, for the metrics."""
        return self._store.effort

    @property
    def unconfirmed_revocations(self) -> int:
        """How many revocations this process repeats until a replica confirms them (`session_core.journal`)."""
        return len(self._journal)

    async def create_session(
        self,
        user_id: str,
        metadata: Mapping[str, JsonValue] | None = None,
        ttl_seconds: int | None = None,
        *,
        secret_names: Iterable[str] = (),
    ) -> Session:
        """Log a user in; at the limit of sessions, the policy decides who goes (`Session.evicted`).

        Args:
            user_id: 1 to 256 bytes of UTF-8 without control characters.
            metadata: a JSON object; the names of SESSION_SECRET_METADATA and `secret_names` are sealed.
            ttl_seconds: instead of SESSION_TTL_SECONDS.
            secret_names: further names to seal.

        Raises:
            InvalidMetadata: not JSON, or too large.
            SessionLimitReached: policy `reject`.
        """
        settings = self.settings
        checked_user_id(user_id)
        longest = settings.session_max_lifetime_seconds
        ttl = settings.session_ttl_seconds if ttl_seconds is None else checked_ttl(ttl_seconds, longest)
        session_id = new_session_id(user_id)
        content = self._contents.make({} if metadata is None else metadata, secret_names, session_id, user_id)
        new = NewSession(
            ref=ref_of(session_id),
            user=user_id,
            ttl_ms=ttl * 1000,
            lifetime_ms=(longest if settings.session_sliding_window else ttl) * 1000,
            meta=content.meta,
            sealed=content.sealed,
            wrap=content.wrap,
            version=_new_version(),
        )
        answer, durable = await self._store.create(new)
        if answer.record is None:
            message = f"the user has {settings.session_max_concurrent} sessions already (SESSION_MAX_CONCURRENT)"
            raise SessionLimitReached(message)
        self.counts.created += 1
        self.counts.evicted += len(answer.record.evicted)
        self._count_durable(durable)
        evicted = tuple(Ref(new.ref.bucket, digest).handle for digest in answer.record.evicted)
        session = self._session(session_id, new.ref, answer.record, content.wrap, durable)
        return replace(session, evicted=evicted) if evicted else session

    async def get_session(self, session_id: str, *, consistent: bool = False) -> Session | None:
        """Return the session, extended if it slides and that is due; None if it expired or never was.

        A revoked session is returned for SESSION_TOMBSTONE_SECONDS with `is_active=False` and its `revocation`. Second
        round trips: to extend (if that fails, the session is returned as it is), to follow an id in its grace, to look
        for one that a replica does not know. With SESSION_READ_FROM=replica it may be 3 s old, unless `consistent`.

        Raises:
            InvalidSessionId: malformed, or a handle.
            SealBroken: the sealed metadata was tampered with.
        """
        session_id = await self._adopted(session_id)
        current, answer, wrap = await self._read(ref_of(session_id), consistent=consistent)
        if answer.code == "ok" and answer.record is not None and self._due(answer.record, answer.now):
            try:
                extended = await self._store.refresh(current, self.settings.session_refresh_threshold * 1000, once=True)
            except StoreError:
                self.counts.slides_refused += 1
            else:
                self.counts.refreshed += extended.code == "ok"
                answer = extended
                current = Ref(current.bucket, extended.digest or current.digest)
        if answer.record is None:
            self.counts.expired += 1
            return None
        self.counts.retrieved += 1
        return self._session(session_id, current, answer.record, wrap)

    async def refresh_session(self, session_id: str) -> Session | None:
        """Extend the session by its TTL, at most to its absolute limit; None if it expired or never was.

        An id in its grace takes two further round trips: what is sealed is opened with what stands under that id.
        With SESSION_SLIDING_WINDOW=false nothing is extended and the session is returned as it is.
        """
        session_id = await self._adopted(session_id)
        ref = ref_of(session_id)
        if not self.settings.session_sliding_window:
            current, answer, wrap = await self._read(ref)
        else:
            answer = await self._store.refresh(ref, ALWAYS)
            current = Ref(ref.bucket, answer.digest or ref.digest)
            wrap = answer.record.wrap if answer.record else b""
            if current != ref:  # rotated away: only the old name's wrap is for the old id
                _, _, wrap = await self._read(ref)
            self.counts.refreshed += answer.code == "ok"
        return self._session(session_id, current, answer.record, wrap) if answer.record else None

    async def revoke_session(self, session_id: str, reason: str | None = None, *, actor: str | None = None) -> Revoked:
        """End a session now, given its id or its handle. The result is false if there was no such session.

        An id that was rotated away ends the session that it became, as long as the id is known: in its grace, or if it
        had none, while its tombstone stays (SESSION_TOMBSTONE_SECONDS). A later reason does not replace the first one.
        While it is not durable, or after `StoreUnavailable`, this process repeats it until it is.
        """
        ref = ref_of_either(await self._adopted(session_id))
        note = Note(checked_note(reason, "reason"), checked_note(actor, "actor"))
        answer, durable = await self._journal.revoke(ref, note)
        if answer.record is None:
            return Revoked(ref.handle, None, durable=False)
        self.counts.revoked += 1
        self._count_durable(durable)
        return Revoked(ref.handle, answer.record.revocation(), durable)

    async def revoke_user_sessions(
        self,
        user_id: str,
        reason: str | None = None,
        except_session_id: str | None = None,
        *,
        actor: str | None = None,
    ) -> RevokedAll:
        """End all sessions of a user, but for one if its id or handle is given.

        Two round trips: the first asks for the server's time, and sessions that are created after it live on. So
        a repeat of the second, after its reply was lost, never ends a later login.
        """
        checked_user_id(user_id)
        note = Note(checked_note(reason, "reason"), checked_note(actor, "actor"))
        spared = ref_of_either(except_session_id) if except_session_id is not None else None
        bucket = bucket_of(user_id)
        cutoff = await self._store.now(user_id)
        digest = spared.digest if spared is not None and spared.bucket == bucket else ""
        digests, durable = await self._journal.revoke_user(UserRevocation(user_id, cutoff, digest, note))
        self.counts.revoked += len(digests)
        self._count_durable(durable)
        return RevokedAll(tuple(Ref(bucket, digest).handle for digest in digests), moment(cutoff), durable)

    async def rotate_session(self, session_id: str, *, grace_seconds: int | None = None) -> Session | None:
        """Give the session a new id, as after login or step-up; None if it expired or never was. Two round trips.

        The old id keeps working for the grace (SESSION_ROTATION_GRACE_SECONDS; 0: not at all), so that requests in
        flight are not logged out. A revoked session is returned as such, under its old id.

        Args:
            session_id: the present id.
            grace_seconds: 0 to 300, instead of the setting.

        Raises:
            SessionConflict: the id was rotated already; the caller that did it has the new one.
        """
        grace = self.settings.session_rotation_grace_seconds if grace_seconds is None else checked_grace(grace_seconds)
        session_id = await self._adopted(session_id)
        ref = ref_of(session_id)
        for _ in range(MAX_UPDATE_TRIES):
            current, answer, wrap = await self._read(ref)
            if answer.record is None or answer.code != "ok":
                return self._session(session_id, current, answer.record, wrap) if answer.record else None
            if current != ref:
                break
            new_id = new_session_id(answer.record.user)
            new_wrap = self._contents.rewrap(wrap, session_id, new_id)
            what = Rotation(ref, ref_of(new_id), answer.record.version, _new_version(), new_wrap, grace * 1000)
            answer, durable = await self._store.rotate(what)
            if answer.code == "rotated":
                break
            if answer.code == "stale":
                continue
            if answer.record is None:
                return None
            if answer.code != "ok":
                return self._session(session_id, current, answer.record, wrap)
            self.counts.rotated += 1
            self._count_durable(durable)
            return self._session(new_id, what.new, answer.record, new_wrap, durable)
        message = "the session was rotated or changed by another call"
        raise SessionConflict(message)

    async def update_metadata(
        self,
        session_id: str,
        changes: Mapping[str, JsonValue],
        *,
        remove: Iterable[str] = (),
        secret_names: Iterable[str] = (),
    ) -> Session | None:
        """Set and remove entries; entries that others set meanwhile are kept. None if the session expired or never was.

        Two round trips, more if others change the same session at the same time; one more by an id in its grace.

        Raises:
            SessionConflict: others were faster 50 times.
        """
        change = Change(checked_entries(changes), checked_names(remove), checked_names(secret_names))
        session_id = await self._adopted(session_id)
        ref = ref_of(session_id)
        for _ in range(MAX_UPDATE_TRIES):
            current, answer, wrap = await self._read(ref)
            if answer.record is None or answer.code != "ok":
                return self._session(session_id, current, answer.record, wrap) if answer.record else None
            opened = Opened(answer.record, session_id, wrap, renamed=current != ref)
            content = self._contents.change(opened, change)
            what = Update(current, answer.record.version, _new_version(), content.meta, content.sealed, content.wrap)
            answer, durable = await self._store.update(what)
            if answer.code == "ok":
                self._count_durable(durable)
            if answer.code != "stale":
                wrap, written = content.wrap or wrap, durable if answer.code == "ok" else None
                return self._session(session_id, current, answer.record, wrap, written) if answer.record else None
        message = f"the session was changed by others {MAX_UPDATE_TRIES} times in a row"
        raise SessionConflict(message)

    async def inspect_session(self, session_id_or_handle: str) -> Session | None:
        """Look at a session without extending it, given its id or its handle, as operators do.

        None if it expired or never was. With a handle `session_id` is the handle, and sealed metadata is absent.
        """
        name = await self._adopted(session_id_or_handle)
        ref, answer, wrap = await self._read(ref_of_either(name))
        return self._session(name, ref, answer.record, b"" if is_handle(name) else wrap) if answer.record else None

    async def get_user_sessions(self, user_id: str, *, consistent: bool = False) -> list[Session]:
        """List live sessions, oldest first: handles for ids, nothing sealed. Not `consistent`: by SESSION_READ_FROM."""
        bucket = bucket_of(checked_user_id(user_id))
        found = await self._store.list_user(user_id, consistent=consistent)
        listed = [(Ref(bucket, digest), record) for digest, record in found]
        return [self._session(ref.handle, ref, record, b"") for ref, record in listed]

    async def count_active_sessions(self) -> int:
        """Count the live sessions of all users."""
        return await self._store.count()

    async def count_user_sessions(self, user_id: str) -> int:
        """Count the live sessions of one user."""
        return await self._store.count(checked_user_id(user_id))

    async def count_active_users(self) -> int:
        """Count the users with a live session."""
        return await self._store.count_users()

    async def list_active_users(self) -> list[str]:
        """Return the ids of all users with a live session, each once, in no particular order."""
        return [user async for user in self.iter_active_users()]

    async def iter_active_users(self, page_size: int = 1000) -> AsyncGenerator[str]:
        """Iterate over the users with a live session; one round trip for each page of about this many users."""
        bucket = 0
        while bucket < BUCKETS:
            bucket, users = await self._store.users(bucket, page_size)
            for user in users:
                yield user

    async def events(self, after: datetime | None = None) -> AsyncGenerator[Event]:
        """Follow what happens to all sessions, from now or from a moment on. Ends only when it is closed.

        To resume, pass the `at` of the last event seen: events of the same millisecond come again.
        """
        start = after and dict.fromkeys(protocol.event_keys(), f"{int(after.timestamp() * 1000) - 1}-0")
        positions = start or await self._store.positions()
        while True:
            for entry in await self._store.events(positions, EVENT_WAIT_MS):
                positions[entry.key] = entry.position
                yield entry.event()

    async def check(self, *, seconds: float | None = None) -> None:
        """Make sure that the store is reachable and prepared, within so many seconds; a first call does it by itself.

        Raises:
            StoreNotReady: the function library is missing or old; the message says what to run.
        """
        await self._store.check(seconds=seconds)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._journal.aclose()
        await self._store.aclose()

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_exception: object) -> None:
        """Close the connections."""
        await self.aclose()

    async def _adopted(self, session_id: str) -> str:
        """Return the id in our form, if it is one of the former system's and those are accepted (one round trip)."""
        old = old_ref(session_id) if self.settings.session_old_ids else None
        if old is None:
            return session_id
        record = (await self._store.read(old)).record
        return adopted_id(session_id, record.user if record else "")  # an unknown one leads to nothing

    async def _read(self, ref: Ref, *, consistent: bool = True) -> tuple[Ref, Answer, bytes]:
        """Read a session under its current name; also return the envelope key as wrapped for the given name."""
        answer = await self._store.read(ref, consistent=consistent)
        record = answer.record
        wrap = record.wrap if record is not None else b""
        while record is not None and record.successor:
            ref = Ref(ref.bucket, record.successor)
            answer = await self._store.read(ref, consistent=consistent)
            record = answer.record
        return ref, answer, wrap

    def _due(self, record: Record, now: int) -> bool:
        """Whether the session slides now; the server decides."""
        if not self.settings.session_sliding_window:
            return False
        return record.extended(now, self.settings.session_refresh_threshold * 1000) > record.expires

    def _session(self, session_id: str, ref: Ref, record: Record, wrap: bytes, durable: bool | None = None) -> Session:  # noqa: FBT001 - private
        revocation = record.revocation()
        return Session(
            session_id=session_id,
            handle=ref.handle,
            user_id=record.user,
            created_at=moment(record.created),
            expires_at=moment(record.expires),
            last_seen_at=moment(record.seen),
            max_expires_at=moment(record.limit),
            is_active=revocation is None,
            metadata=self._contents.open(record, session_id, wrap),
            revocation=revocation,
            durable=durable,
        )

    def _count_durable(self, durable: bool) -> None:  # noqa: FBT001 - private
        self.counts.not_durable += not durable and self.settings.wait_replicas > 0


def _new_version() -> str:
    return secrets.token_urlsafe(6)
