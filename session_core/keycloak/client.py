"""`KeycloakClient`: what an application asks of Keycloak."""

import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

import httpx

from session_core.errors import SettingsError
from session_core.keycloak import tokens
from session_core.keycloak.errors import KeycloakError, KeycloakRefused, KeycloakUnavailable
from session_core.keycloak.keys import Keys
from session_core.keycloak.settings import KeycloakSettings

Tokens: TypeAlias = dict[str, Any]
"""The token endpoint's answer: access_token, expires_in, refresh_token, id_token, … (RFC 6749 section 5.1)."""
SCOPE: Final = "openid"
_SERVER_ERROR: Final = 500
_ENDPOINTS: Final = (
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "end_session_endpoint",
    "jwks_uri",
)


class KeycloakClient:
    """One realm, as one confidential client of it. Serves one event loop; make one and keep it: it holds connections.

    Every method may raise `KeycloakUnavailable`, and `KeycloakRefused` where Keycloak says no.
    """

    def __init__(self, settings: KeycloakSettings | None = None) -> None:
        """Use these settings, or those of the environment; nothing is sent.

        Raises:
            SettingsError: incomplete.
        """
        self.settings = settings or KeycloakSettings()
        if not self.settings.keycloak_server_url:
            message = "KEYCLOAK_SERVER_URL is missing"
            raise SettingsError(message)
        self.issuer = tokens.Issuer(self.settings.issuer, self.settings.keycloak_client_id, self.settings.audience)
        ca_file = self.settings.keycloak_ca_file
        self._http = httpx.AsyncClient(
            verify=ssl.create_default_context(cafile=str(ca_file) if ca_file else None),
            timeout=self.settings.keycloak_timeout_seconds,
            trust_env=False,
        )
        self._endpoints: Mapping[str, str] = {}
        self._keys = Keys(self._fetch_keys)

    async def authenticate(self, username: str, password: str) -> Tokens:
        """Log in with a password (OAuth's password grant). Prefer the code flow: here we see the password."""
        grant = {"grant_type": "password", "username": username, "password": password, "scope": SCOPE}
        return await self._token(grant)

    async def get_user_info(self, access_token: str) -> dict[str, Any]:
        """Return what Keycloak knows of the user of this token; it also tells whether the token is still good.

        Raises:
            KeycloakRefused: ``invalid_token``: expired, or its session was ended.
        """
        url = await self._endpoint("userinfo_endpoint")
        return await self._json("GET", url, headers={"Authorization": f"Bearer {access_token}"})

    async def logout(self, refresh_token: str) -> None:
        """End the Keycloak session of this refresh token."""
        await self._send("POST", await self._endpoint("end_session_endpoint"), data={"refresh_token": refresh_token})

    async def end_session(self, id_token: str) -> None:
        """End the Keycloak session that this ID token was issued in, be it expired or not."""
        # With a hint and no cookie Keycloak asks nobody (OpenID Connect RP-Initiated Logout 1.0 section 2).
        await self._send("POST", await self._endpoint("end_session_endpoint"), data={"id_token_hint": id_token})

    async def refresh(self, refresh_token: str) -> Tokens:
        """Trade a refresh token for new tokens.

        Raises:
            KeycloakRefused: ``invalid_grant``: expired, used before, or its session was ended.
        """
        return await self._token({"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def authorization_url(self, *, redirect_uri: str, state: str, nonce: str, challenge: str, **more: str) -> str:
        """Return where the user's browser goes to log in: code flow, PKCE with S256 (RFC 7636)."""
        asked = {
            "response_type": "code",
            "client_id": self.settings.keycloak_client_id,
            "redirect_uri": redirect_uri,
            "scope": SCOPE,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{await self._endpoint('authorization_endpoint')}?{urlencode(asked | more)}"

    async def redeem(self, code: str, verifier: str, redirect_uri: str) -> Tokens:
        """Trade the code of a login for tokens.

        Raises:
            KeycloakRefused: ``invalid_grant``: expired, used before, or of another login.
        """
        grant = {
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": redirect_uri,
        }
        return await self._token(grant)

    async def end_session_url(self, id_token: str, return_to: str) -> str:
        """Return where the user's browser goes to be logged out of Keycloak too."""
        asked = {"id_token_hint": id_token, "post_logout_redirect_uri": return_to}
        return f"{await self._endpoint('end_session_endpoint')}?{urlencode(asked)}"

    async def verify_token(self, access_token: str) -> tokens.Claims:
        """Return the claims of an access token that is meant for us; only its keys are asked of Keycloak.

        Raises:
            InvalidToken: with what is wrong.
        """
        return tokens.check_access_token(access_token, await self._keys.key_of(access_token), self.issuer)

    async def read_token(self, access_token: str) -> tokens.Claims:
        """Return the claims of an access token that Keycloak has just given us, whomever it is meant for.

        Raises:
            InvalidToken: with what is wrong.
        """
        anybody = replace(self.issuer, audience="")
        return tokens.check_access_token(access_token, await self._keys.key_of(access_token), anybody)

    async def verify_id_token(self, id_token: str, nonce: str | None) -> tokens.Claims:
        """Return the claims of an ID token; `nonce` is that of the login, None if it had none.

        Raises:
            InvalidToken: with what is wrong.
        """
        return tokens.check_id_token(id_token, await self._keys.key_of(id_token), self.issuer, nonce)

    async def verify_logout_token(self, logout_token: str) -> tokens.Claims:
        """Return the claims of a logout token; whether it came before is for the caller.

        Raises:
            InvalidToken: with what is wrong.
        """
        return tokens.check_logout_token(logout_token, await self._keys.key_of(logout_token), self.issuer)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _token(self, grant: dict[str, str]) -> Tokens:
        found = await self._json("POST", await self._endpoint("token_endpoint"), data=grant)
        if not isinstance(found.get("access_token"), str):
            raise KeycloakError("the token endpoint answered without an access token")
        return found

    async def _fetch_keys(self) -> dict[str, Any]:
        return await self._json("GET", await self._endpoint("jwks_uri"))

    async def _endpoint(self, name: str) -> str:
        if not self._endpoints:
            found = await self._json("GET", f"{self.issuer.url}/.well-known/openid-configuration")
            if found.get("issuer") != self.issuer.url:
                message = f"the realm calls itself another issuer than {self.issuer.url}: see KEYCLOAK_SERVER_URL"
                raise KeycloakError(message)
            self._endpoints = {each: str(found[each]) for each in _ENDPOINTS}
        return self._endpoints[name]

    async def _json(self, method: str, url: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx's
        answer = await self._send(method, url, **request)
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise KeycloakError("Keycloak answered with something else than JSON")
        return found

    async def _send(self, method: str, url: str, **request: Any) -> httpx.Response:  # noqa: ANN401 - httpx's
        if "data" in request:
            me = (self.settings.keycloak_client_id, self.settings.keycloak_client_secret.get_secret_value())
            request["data"] = request["data"] | dict(zip(("client_id", "client_secret"), me, strict=True))
        try:
            answer = await self._http.request(method, url, **request)
        except httpx.HTTPError as error:
            raise KeycloakUnavailable(f"Keycloak does not answer: {type(error).__name__}") from error
        if answer.status_code >= _SERVER_ERROR:
            raise KeycloakUnavailable(f"Keycloak is in trouble: status {answer.status_code}")
        if answer.is_error:
            raise _refusal(answer)
        return answer


def _refusal(answer: httpx.Response) -> KeycloakRefused:
    try:
        said = answer.json()
        return KeycloakRefused(str(said["error"]), str(said.get("error_description", "")))
    except (ValueError, KeyError, TypeError, AttributeError):
        code = "invalid_token" if answer.status_code == httpx.codes.UNAUTHORIZED else "refused"
        return KeycloakRefused(code, f"status {answer.status_code}")
