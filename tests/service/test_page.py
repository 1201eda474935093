"""The source page's snippets that need a Keycloak, as docs/source-page.md has them."""

import asyncio
from typing import Any

import pytest

from session_core.keycloak import KeycloakRefused
from tests.docs.snippets import ROOT, snippets
from tests.service.keycloak_server import ALICE, KeycloakServer

pytestmark = pytest.mark.engine


async def test_the_pages_flows_run_with_a_real_keycloak(
    keycloak: KeycloakServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in keycloak.settings.items():
        monkeypatch.setenv(name.upper(), str(value))
    monkeypatch.setenv("SESSION_BACKEND", "memory")
    [snippet] = [each for each in snippets(ROOT / "docs/source-page.md") if each.needs == "keycloak"]

    class Unauthorized(Exception):  # noqa: N818 - the page's name
        pass

    names: dict[str, Any] = {"Unauthorized": Unauthorized}
    exec(compile(snippet.text, str(snippet), "exec"), names)  # noqa: S102 - our own document
    before = await asyncio.to_thread(keycloak.sids, ALICE)
    session_id = await names["login"]("alice", "alice-password")
    [sid] = await asyncio.to_thread(keycloak.sids, ALICE) - before
    assert (await names["authenticate_request"](session_id))["preferred_username"] == "alice"
    await names["logout"](session_id)
    assert sid not in await asyncio.to_thread(keycloak.sids, ALICE)
    with pytest.raises(Unauthorized):
        await names["authenticate_request"](session_id)
    with pytest.raises(KeycloakRefused, match="invalid_grant"):
        await names["login"]("alice", "wrong")
    await names["keycloak"].aclose()
