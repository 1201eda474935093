"""The function library: its revision, its loading, and that it agrees with the protocol."""

import re
from hashlib import sha256

import pytest

from session_core import library, protocol
from session_core.deploy import load_functions
from session_core.errors import StoreDenied
from tests.mutation.report import Report
from tests.session_core.conftest import APP_PASSWORD, redis_settings
from tests.session_core.servers import Server

FINGERPRINT = "792f97bcb5e16edb"
"""Of the library at its present revision: whoever changes a Lua file raises library.REVISION and renews this."""


def test_a_changed_library_has_a_new_revision() -> None:
    found = sha256(library.source().encode()).hexdigest()[:16]
    assert (library.REVISION, found) == (6, FINGERPRINT), "raise REVISION in library.py, then renew both values here"


def test_the_fields_of_a_record_are_the_same_on_both_sides() -> None:
    block = re.search(r"local FIELDS = \{(.*?)\n\}", library.source(), re.DOTALL)
    assert block is not None
    assert tuple(re.findall(r"'(\w+)'", re.sub(r"--.*", "", block[1]))) == protocol.FIELDS


def test_every_function_carries_the_schema_version() -> None:
    names = re.findall(r"(?:function_name = |register_function\()'(\w+)'", library.source())
    assert len(names) == 12
    assert all(name.startswith("session_") and name.endswith(f"_v{library.SCHEMA}") for name in names)


@pytest.mark.engine
async def test_loading_is_idempotent_and_never_steps_back(redis: Server) -> None:
    settings = redis_settings(redis)
    assert "already" in await load_functions(settings)
    with redis.admin() as admin:
        admin.execute_command("FUNCTION", "FLUSH")
        assert "loaded" in await load_functions(settings)
        newer = library.source().replace(f"REVISION = {library.REVISION}", f"REVISION = {library.REVISION + 1}")
        admin.execute_command("FUNCTION", "LOAD", "REPLACE", newer)
        assert "newer" in await load_functions(settings)
        edited = library.source() + "\n-- edited\n"
        admin.execute_command("FUNCTION", "LOAD", "REPLACE", edited)
    assert "loaded redis_session_kit" in await load_functions(settings)
    assert "already" in await load_functions(settings)


@pytest.mark.engine
async def test_the_application_cannot_load_it(redis: Server) -> None:
    as_application = redis_settings(redis, redis_deploy_username="sessions", redis_deploy_password=APP_PASSWORD)
    with pytest.raises(StoreDenied):
        await load_functions(as_application)


def test_the_report_of_the_mutants_is_of_this_lua_and_explains_every_survivor() -> None:
    assert Report.read().problems() == ""
