"""What makes a token valid: signature by a key of the right kind, issuer, audience, times, type. No I/O.

The caller names the kind that it expects and each kind has its own algorithms and keys, so that no token passes for
another one (RFC 8725, ASVS 9.1 and 9.2).
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey

from session_core.keycloak.errors import InvalidToken

ASYMMETRIC: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Algorithms of signatures that only the issuer can make."""
LEEWAY_SECONDS: Final = 30
"""By how much clocks may differ."""
LOGOUT_AGE_SECONDS: Final = 300
"""A logout token that was issued longer ago is refused."""
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
LONGEST: Final = 16_384
"""Characters of a token; longer ones are not looked at."""
Claims: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whose tokens are accepted, and for whom they must be."""

    url: str
    client_id: str
    audience: str


def check_id_token(token: str, keys: KeySet, issuer: Issuer, nonce: str | None) -> Claims:
    """Return the claims of an ID token for this client (OpenID Connect Core 3.1.3.7); `nonce` None: none was sent.

    Raises:
        InvalidToken: with what is wrong.
    """
    _, claims = _decode(token, keys, ASYMMETRIC)
    _check(claims, issuer.url, issuer.client_id, ("iss", "aud", "sub", "exp", "iat"))
    if claims.get("typ", "ID") != "ID":
        raise InvalidToken("not an ID token")
    if isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and claims.get("azp") != issuer.client_id:
        raise InvalidToken("the ID token is for several clients and was not issued to this one")
    if nonce is not None and not hmac.compare_digest(str(claims.get("nonce")).encode(), nonce.encode()):
        raise InvalidToken("the nonce is not the one of this login")
    return claims


def check_access_token(token: str, keys: KeySet, issuer: Issuer) -> Claims:
    """Return the claims of an access token; without an audience to check it may be meant for anybody.

    Raises:
        InvalidToken: with what is wrong.
    """
    header, claims = _decode(token, keys, ASYMMETRIC)
    _check(claims, issuer.url, issuer.audience, ("iss", "sub", "exp", *(("aud",) if issuer.audience else ())))
    # RFC 9068 says it in the header; Keycloak says it in the claims unless it is told otherwise.
    if str(header.get("typ", "")).lower() != "at+jwt" and claims.get("typ") != "Bearer":
        raise InvalidToken("not an access token")
    return claims


def check_logout_token(token: str, keys: KeySet, issuer: Issuer) -> Claims:
    """Return the claims of a logout token (OpenID Connect Back-Channel Logout 1.0 section 2.6, ASVS 10.5.5).

    That its `jti` was not seen before is for the caller.

    Raises:
        InvalidToken: with what is wrong.
    """
    header, claims = _decode(token, keys, ASYMMETRIC)
    if str(header.get("typ", "")).lower() not in {"logout+jwt", "application/logout+jwt"}:
        raise InvalidToken("not a logout token: typ")
    _check(claims, issuer.url, issuer.client_id, ("iss", "aud", "iat", "exp", "jti", "events"))
    if claims["iat"] < _now() - LOGOUT_AGE_SECONDS:
        raise InvalidToken("the logout token was issued too long ago")
    if not isinstance(claims["events"], dict) or not isinstance(claims["events"].get(LOGOUT_EVENT), dict):
        raise InvalidToken("not a logout token: events")
    if "nonce" in claims:
        raise InvalidToken("a logout token must have no nonce")
    if not any(isinstance(claims.get(name), str) and claims[name] for name in ("sub", "sid")):
        raise InvalidToken("neither sub nor sid")
    return claims


def check_legacy_token(token: str, secret: bytes, issuer: str, audience: str) -> Claims:
    """Return the claims of a token that the former system signed with a shared secret (HS256).

    Args:
        token: the JWT.
        secret: of at least 32 bytes (RFC 7518 section 3.2).
        issuer: what `iss` must be; empty: such tokens have none, and one is refused.
        audience: the same of `aud`.

    Raises:
        InvalidToken: with what is wrong.
    """
    _, claims = _decode(token, OctKey.import_key(secret), ("HS256",))
    _check(claims, issuer, audience, ("sub", "exp", *(("iss",) if issuer else ()), *(("aud",) if audience else ())))
    if claims.get("typ") in {"ID", "Refresh", "Logout"}:
        raise InvalidToken("not an access token")
    return claims


def algorithm_of(token: str) -> str:
    """Return what a token says of its signature: it chooses among the checks above, each of which has its own keys."""
    from joserfc.jws import extract_compact

    try:
        return str(extract_compact(token.encode()).headers().get("alg", ""))
    except (JoseError, ValueError, TypeError) as error:
        raise InvalidToken("not a JWT") from error


def _decode(token: str, keys: KeySet | OctKey, algorithms: Sequence[str]) -> tuple[Mapping[str, Any], Claims]:
    if len(token) > LONGEST:
        raise InvalidToken("too long for a token")
    try:
        decoded = jwt.decode(token, keys, algorithms=list(algorithms))
    except (JoseError, ValueError, TypeError) as error:
        raise InvalidToken(f"the signature does not hold: {type(error).__name__}") from error
    return decoded.header, decoded.claims


def _check(claims: Claims, issuer: str, audience: str, needed: Sequence[str]) -> None:
    options: dict[str, Any] = {name: {"essential": True} for name in needed}
    options["iss"] = {"essential": "iss" in needed, "value": issuer} if issuer else {}
    options["aud"] = {"essential": "aud" in needed, "value": audience} if audience else {}
    try:
        jwt.JWTClaimsRegistry(leeway=LEEWAY_SECONDS, **options).validate(claims)
    except (JoseError, ValueError, TypeError) as error:
        raise InvalidToken(f"a claim is wrong: {error}") from error
    if not isinstance(claims.get("sub", ""), str):
        raise InvalidToken("a claim is wrong: sub")


def _now() -> float:
    import time

    return time.time()
