"""What makes a token valid, one defect at a time; keys and tokens of our own."""

import asyncio
import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from session_core.keycloak import InvalidToken, KeycloakUnavailable
from session_core.keycloak import keys as keys_module
from session_core.keycloak.keys import Keys
from session_core.keycloak.tokens import (
    LOGOUT_EVENT,
    Issuer,
    algorithm_of,
    check_access_token,
    check_id_token,
    check_legacy_token,
    check_logout_token,
)

KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
OTHER = RSAKey.generate_key(2048, {"kid": "two", "use": "sig", "alg": "RS256"})
KEYS = KeySet([KEY])
ISSUER = Issuer("https://kc.test/realms/r", "client", "api")
SECRET = b"a-secret-of-the-former-system-32-bytes"
GONE: Any = object()


def sign(claims: dict[str, Any], key: Any = KEY, alg: str = "RS256", **header: str) -> str:
    kept = {name: value for name, value in claims.items() if value is not GONE}
    return jwt.encode({"alg": alg, "kid": "one", **header}, kept, key, algorithms=[alg])


def now(seconds: int = 0) -> int:
    return int(time.time()) + seconds


def common(**changes: Any) -> dict[str, Any]:
    return {"iss": ISSUER.url, "aud": "client", "sub": "alice", "iat": now(), "exp": now(60)} | changes


def identity(**changes: Any) -> dict[str, Any]:
    return common(typ="ID", nonce="n") | changes


def access(**changes: Any) -> dict[str, Any]:
    return common(typ="Bearer", aud=["account", "api"]) | changes


def logout(**changes: Any) -> dict[str, Any]:
    return common(typ="Logout", jti="1", sid="s", events={LOGOUT_EVENT: {}}) | changes


WRONG_EVERYWHERE = [
    {"iss": "https://kc.test/realms/other"},
    {"iss": GONE},
    {"aud": "another"},
    {"aud": ["another"]},
    {"aud": GONE},
    {"exp": now(-60)},
    {"exp": GONE},
    {"exp": "soon"},
    {"sub": 7},
    {"nbf": now(3600)},
]


def test_good_tokens_pass() -> None:
    assert check_id_token(sign(identity()), KEYS, ISSUER, "n")["sub"] == "alice"
    assert check_id_token(sign(identity(nonce=GONE)), KEYS, ISSUER, None)["sub"] == "alice"
    assert check_access_token(sign(access()), KEYS, ISSUER)["sub"] == "alice"
    assert check_access_token(sign(access(typ=GONE), typ="at+jwt"), KEYS, ISSUER)["sub"] == "alice"
    assert check_logout_token(sign(logout(), typ="logout+jwt"), KEYS, ISSUER)["sid"] == "s"
    assert check_legacy_token(sign(common(), OctKey.import_key(SECRET), "HS256"), SECRET, "", "")["sub"] == "alice"


@pytest.mark.parametrize(
    "change", [*WRONG_EVERYWHERE, {"nonce": "m"}, {"nonce": GONE}, {"typ": "Bearer"}, {"typ": "Logout"}, {"sub": GONE}]
)
def test_an_id_token_with_a_defect_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        check_id_token(sign(identity(**change)), KEYS, ISSUER, "n")


def test_an_id_token_for_several_must_have_been_issued_to_us() -> None:
    several = ["client", "another"]
    assert check_id_token(sign(identity(aud=several, azp="client")), KEYS, ISSUER, "n")
    for azp in (GONE, "another"):
        with pytest.raises(InvalidToken):
            check_id_token(sign(identity(aud=several, azp=azp)), KEYS, ISSUER, "n")


@pytest.mark.parametrize(
    "change", [*WRONG_EVERYWHERE, {"typ": "ID"}, {"typ": "Refresh"}, {"typ": "Logout"}, {"typ": GONE}, {"sub": GONE}]
)
def test_an_access_token_with_a_defect_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        check_access_token(sign(access(**change)), KEYS, ISSUER)


@pytest.mark.parametrize(
    "change",
    [
        *WRONG_EVERYWHERE,
        {"nonce": "n"},
        {"nonce": None},
        {"iat": GONE},
        {"iat": now(-400), "exp": now(3600)},
        {"jti": GONE},
        {"jti": ""},
        {"events": GONE},
        {"events": {}},
        {"events": {"http://schemas.openid.net/event/other": {}}},
        {"events": [LOGOUT_EVENT]},
        {"events": {LOGOUT_EVENT: True}},
        {"sub": GONE, "sid": GONE},
        {"sub": "", "sid": ""},
    ],
)
def test_a_logout_token_with_a_defect_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        check_logout_token(sign(logout(**change), typ="logout+jwt"), KEYS, ISSUER)


@pytest.mark.parametrize("typ", ["JWT", "at+jwt", "secevent+jwt"])
def test_a_logout_token_says_in_its_header_that_it_is_one(typ: str) -> None:
    with pytest.raises(InvalidToken):
        check_logout_token(sign(logout(), typ=typ), KEYS, ISSUER)


def test_a_logout_token_may_name_a_user_a_session_or_both() -> None:
    for change in ({"sid": GONE}, {"sub": GONE}, {}):
        assert check_logout_token(sign(logout(**change), typ="logout+jwt"), KEYS, ISSUER)


@pytest.mark.parametrize(
    "change", [{"exp": now(-60)}, {"exp": GONE}, {"sub": GONE}, {"typ": "Refresh"}, {"nbf": now(3600)}]
)
def test_a_legacy_token_with_a_defect_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        check_legacy_token(sign(common(**change), OctKey.import_key(SECRET), "HS256"), SECRET, "", "")


@pytest.mark.parametrize(("issuer", "audience"), [("https://old.test", ""), ("", "old-api")])
def test_issuer_and_audience_of_legacy_tokens_are_checked_where_they_are_known(issuer: str, audience: str) -> None:
    key = OctKey.import_key(SECRET)
    good = common(iss=issuer or "x", aud=audience or "x")
    assert check_legacy_token(sign(good, key, "HS256"), SECRET, issuer, audience)
    for change in ({"iss": GONE, "aud": GONE}, {"iss": "https://evil.test", "aud": "evil"}):
        with pytest.raises(InvalidToken):
            check_legacy_token(sign(good | change, key, "HS256"), SECRET, issuer, audience)


def test_no_algorithm_passes_for_another() -> None:
    # The public key as the secret of an HMAC: made by hand, since joserfc refuses to.
    symmetric = urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').rstrip(b"=")
    body = symmetric + b"." + sign(access()).split(".")[1].encode()
    confused = [
        f"{body.decode()}.{urlsafe_b64encode(hmac.digest(public, body, 'sha256')).rstrip(b'=').decode()}"
        for public in (KEY.as_pem(private=False), KEY.as_der(private=False))
    ]
    header, payload, _ = sign(access()).split(".")
    none = urlsafe_b64encode(b'{"alg":"none","kid":"one"}').rstrip(b"=").decode()
    elliptic = ECKey.generate_key("P-256", {"kid": "one"})
    for token in (
        *confused,
        f"{none}.{payload}.",
        f"{header}.{payload}.",
        f"{header}.{payload}.AAAA",
        sign(access(), OTHER),
        sign(access(), elliptic, "ES256"),
        sign(access(), OctKey.import_key(SECRET), "HS256"),
    ):
        with pytest.raises(InvalidToken):
            check_access_token(token, KEYS, ISSUER)
    with pytest.raises(InvalidToken):
        check_legacy_token(sign(common()), SECRET, "", "")
    with pytest.raises(InvalidToken):
        check_legacy_token(sign(common(), OctKey.import_key(SECRET), "HS512"), SECRET, "", "")


@pytest.mark.parametrize("token", ["", "x", "a.b", "a.b.c", "...", "é.é.é", "a.b.c.d.e", "x" * 20_000, "W10.W10.W10"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidToken):
        check_access_token(token, KEYS, ISSUER)
    with pytest.raises(InvalidToken):
        check_legacy_token(token, SECRET, "", "")
    if token != "W10.W10.W10":
        with pytest.raises(InvalidToken):
            algorithm_of(token[:10_000])


def test_a_changed_claim_breaks_the_signature() -> None:
    header, payload, signature = sign(access()).split(".")
    claims = urlsafe_b64decode(payload + "==").replace(b"alice", b"admin")
    forged = urlsafe_b64encode(claims).rstrip(b"=").decode()
    with pytest.raises(InvalidToken):
        check_access_token(f"{header}.{forged}.{signature}", KEYS, ISSUER)


class Jwks:
    """An issuer's key set, and how often it was asked for."""

    def __init__(self, *keys: RSAKey) -> None:
        self.keys, self.asked, self.away = list(keys), 0, False

    async def fetch(self) -> dict[str, Any]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise KeycloakUnavailable("away")
        return {"keys": [key.as_dict(private=False) for key in self.keys]}


async def test_keys_are_asked_for_once_and_again_when_a_new_one_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    jwks = Jwks(KEY)
    keys = Keys(jwks.fetch)
    first, second = sign(access()), sign(access(), OTHER, kid="two")
    await asyncio.gather(*(keys.key_of(first) for _ in range(20)))
    assert jwks.asked == 1
    jwks.keys.append(OTHER)
    for _ in range(3):  # anybody can send unknown keys: not asked again so soon
        with pytest.raises(InvalidToken, match="no such key"):
            await keys.key_of(second)
    assert jwks.asked == 1
    monkeypatch.setattr(keys_module, "AGAIN_SECONDS", 0)
    assert check_access_token(second, await keys.key_of(second), ISSUER)
    assert jwks.asked == 2


async def test_a_withdrawn_key_is_forgotten_and_keys_outlive_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    jwks = Jwks(KEY)
    keys = Keys(jwks.fetch)
    token = sign(access())
    await keys.key_of(token)
    monkeypatch.setattr(keys_module, "FRESH_SECONDS", 0)
    monkeypatch.setattr(keys_module, "AGAIN_SECONDS", 0)
    jwks.away = True
    assert await keys.key_of(token)
    jwks.away, jwks.keys = False, [OTHER]
    with pytest.raises(InvalidToken):
        await keys.key_of(token)


async def test_keys_for_encryption_sign_nothing_and_an_issuer_that_never_answered_is_away() -> None:
    jwks = Jwks(RSAKey.generate_key(2048, {"kid": "one", "use": "enc"}))
    with pytest.raises(InvalidToken):
        await Keys(jwks.fetch).key_of(sign(access()))
    jwks.away = True
    with pytest.raises(KeycloakUnavailable):
        await Keys(jwks.fetch).key_of(sign(access()))
    numbered = urlsafe_b64encode(b'{"alg":"RS256","kid":7}').rstrip(b"=").decode()
    for token in ("x", f"{numbered}.e30.AAAA"):
        with pytest.raises(InvalidToken):
            await Keys(jwks.fetch).key_of(token)
