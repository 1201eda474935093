"""Session libraries that break one promise each; the matrix says which. The suite has to find them out."""

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

from pydantic import SecretStr
from redis.asyncio import Redis

from session_core import Revoked, RevokedAll, Session, SessionManager, Settings
from session_core.errors import StoreFull
from session_core.ids import is_handle
from tests.session_core.naive import NaiveStore


def _with(settings: Settings | None, **changes: Any) -> Settings:
    assert settings is not None
    return settings.model_copy(update=changes)


class Immortal(SessionManager):
    """Goes on showing a session for a while that has expired, out of a cache."""

    _shown: dict[str, tuple[float, Session]] = {}

    async def get_session(self, session_id: str, *, consistent: bool = False) -> Session | None:
        found = await super().get_session(session_id, consistent=consistent)
        if found:
            self._shown[session_id] = (time.monotonic() + 3, found)
        until, cached = self._shown.get(session_id, (0.0, None))
        return found or (cached if time.monotonic() < until else None)


class Generous(SessionManager):
    """Gives a second more than was asked for."""

    def __init__(self, settings: Settings | None = None) -> None:
        assert settings
        super().__init__(_with(settings, session_ttl_seconds=settings.session_ttl_seconds + 1))


class OwnClock(SessionManager):
    """Believes the clock of its own process."""

    async def get_session(self, session_id: str, *, consistent: bool = False) -> Session | None:
        found = await super().get_session(session_id, consistent=consistent)
        return found if found and found.expires_at.timestamp() > time.time() else None


class AlwaysSlides(SessionManager):
    """Slides whatever the settings say."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(_with(settings, session_sliding_window=True))


class NeverSlides(SessionManager):
    """Does not slide whatever the settings say."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(_with(settings, session_sliding_window=False))


class NoLifetime(SessionManager):
    """Forgets the absolute lifetime."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(_with(settings, session_max_lifetime_seconds=86_400))


class Deaf(SessionManager):
    """Says that a session was revoked, and does nothing."""

    async def revoke_session(self, session_id: str, reason: str | None = None, *, actor: str | None = None) -> Revoked:
        found = await self.inspect_session(session_id)
        revocation = (found.revocation or _some_revocation(found)) if found else None
        return Revoked(found.handle if found else "", revocation, durable=True)


class Silent(SessionManager):
    """Forgets why."""

    async def revoke_session(self, session_id: str, reason: str | None = None, *, actor: str | None = None) -> Revoked:
        return await super().revoke_session(session_id, None, actor=actor)


class Sparing(SessionManager):
    """Revokes all sessions of a user but the newest."""

    async def revoke_user_sessions(
        self, user_id: str, reason: str | None = None, except_session_id: str | None = None, *, actor: str | None = None
    ) -> RevokedAll:
        newest = (await self.get_user_sessions(user_id))[-1:]
        spared = newest[0].handle if newest else None
        return await super().revoke_user_sessions(user_id, reason, spared, actor=actor)


class Flickering(SessionManager):
    """Misses a session that is there, every third time."""

    _asked = 0

    async def get_session(self, session_id: str, *, consistent: bool = False) -> Session | None:
        self._asked += 1
        found = await super().get_session(session_id, consistent=consistent)
        return None if self._asked % 3 == 0 and found and found.is_active else found


class NoLimit(SessionManager):
    """Forgets the limit."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(_with(settings, session_max_concurrent=0))


class Secretive(SessionManager):
    """Does not tell whom a login evicted."""

    async def create_session(self, *arguments: Any, **named: Any) -> Session:
        return replace(await super().create_session(*arguments, **named), evicted=())


class Miscounting(SessionManager):
    """Counts one session of a user too many."""

    async def count_user_sessions(self, user_id: str) -> int:
        return await super().count_user_sessions(user_id) + 1


class MiscountingAll(SessionManager):
    """Counts every session of all twice."""

    async def count_active_sessions(self) -> int:
        return 2 * await super().count_active_sessions()


class LongGrace(SessionManager):
    """Keeps the old id after a rotation."""

    async def rotate_session(self, session_id: str, *, grace_seconds: int | None = None) -> Session | None:
        return await super().rotate_session(session_id, grace_seconds=30)


class Forgetful(SessionManager):
    """Loses the metadata."""

    async def get_session(self, session_id: str, *, consistent: bool = False) -> Session | None:
        found = await super().get_session(session_id, consistent=consistent)
        return replace(found, metadata={}) if found else None


class OpenedByHandle(SessionManager):
    """Takes the public name for the secret."""

    async def get_session(self, session_id: str, *, consistent: bool = False) -> Session | None:
        if is_handle(session_id):
            return await self.inspect_session(session_id)
        return await super().get_session(session_id, consistent=consistent)


class Naive(SessionManager):
    """One command after the other, an index in a list: no atomicity."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        client: Redis = Redis.from_url(self.settings.redis_url.get_secret_value())
        self._store = NaiveStore(self.settings, client)
        self._journal._store = self._store


class Phantom(SessionManager):
    """Says of every twentieth login that it was confirmed, and has not sent it."""

    _made = 0

    async def create_session(self, *arguments: Any, **named: Any) -> Session:
        made = await super().create_session(*arguments, **named)
        self._made += 1
        if self._made % 20 == 0:
            other = await SessionManager(Settings(session_backend="memory")).create_session(*arguments, **named)
            return replace(other, durable=True, expires_at=other.created_at + timedelta(hours=1))
        return made


class Unheard(SessionManager):
    """Says of every logout that it was confirmed; every third was never sent."""

    _asked = 0

    async def revoke_session(self, session_id: str, reason: str | None = None, *, actor: str | None = None) -> Revoked:
        self._asked += 1
        return await (Deaf.revoke_session(self, session_id, reason) if self._asked % 3 == 0  # type: ignore[arg-type]
                      else super().revoke_session(session_id, reason, actor=actor))  # fmt: skip


class Lying(SessionManager):
    """Says of every login that it was confirmed, without asking a replica."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(_with(settings, session_wait_replicas=0))

    async def create_session(self, *arguments: Any, **named: Any) -> Session:
        return replace(await super().create_session(*arguments, **named), durable=True)


class NoWait(SessionManager):
    """Asks no replica."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(_with(settings, session_wait_replicas=0))


class Clumsy(SessionManager):
    """Writes a session before it ends another one."""

    async def revoke_session(self, session_id: str, reason: str | None = None, *, actor: str | None = None) -> Revoked:
        await self.create_session("clumsy", {"ballast": "x" * 8000})
        return await super().revoke_session(session_id, reason, actor=actor)


class Optimistic(SessionManager):
    """Takes every login, also those that the store refuses."""

    async def create_session(self, *arguments: Any, **named: Any) -> Session:
        try:
            return await super().create_session(*arguments, **named)
        except StoreFull:
            return await SessionManager(Settings(session_backend="memory")).create_session(*arguments, **named)


class Sulking(SessionManager):
    """Takes no login for half a minute after one was refused."""

    _until = 0.0

    async def create_session(self, *arguments: Any, **named: Any) -> Session:
        if time.monotonic() < self._until:
            raise StoreFull("not yet")
        try:
            return await super().create_session(*arguments, **named)
        except StoreFull:
            self._until = time.monotonic() + 30
            raise


class OldPassword(SessionManager):
    """Signs in anew for every login, with the first password that it was ever given."""

    _first: list[SecretStr] = []

    async def create_session(self, *arguments: Any, **named: Any) -> Session:
        self._first.append(self.settings.redis_password)
        async with SessionManager(_with(self.settings, redis_password=self._first[0])) as once:
            return await once.create_session(*arguments, **named)


class OneForAll(SessionManager):
    """Logs everybody in over the connections of the first application, whatever the others sign in with."""

    _first: list[SessionManager] = []

    async def create_session(self, *arguments: Any, **named: Any) -> Session:
        self._first.append(self)
        return await SessionManager.create_session(self._first[0], *arguments, **named)


class Wary(SessionManager):
    """Writes before it reads."""

    async def inspect_session(self, session_id_or_handle: str) -> Session | None:
        await self.create_session("wary")
        return await super().inspect_session(session_id_or_handle)


class OneSentinel(SessionManager):
    """Asks the first Sentinel alone, and for every login anew."""

    async def create_session(self, *arguments: Any, **named: Any) -> Session:
        scheme, _, rest = self.settings.redis_url.get_secret_value().partition("://")
        first = f"{scheme}://{rest.partition(',')[0]}/{self.settings.target.master}/0"
        settings = Settings(_env_file=None, **{**self.settings.model_dump(), "redis_url": SecretStr(first)})
        async with SessionManager(settings) as once:
            return await once.create_session(*arguments, **named)


def _some_revocation(found: Session) -> Any:
    from session_core import Revocation

    return Revocation("logout", found.created_at, None)
