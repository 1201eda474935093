"""The commands of docs/migration.md, on a database of the former system."""

import pytest
import redis as redis_py

from tests.docs.running import run_shell
from tests.docs.snippets import ROOT, snippets
from tests.session_core.former import Former
from tests.session_core.servers import Server

STEPS = [each for each in snippets(ROOT / "docs/migration.md") if each.needs == "old"]
pytestmark = pytest.mark.engine


def test_the_steps_bring_sessions_over(redis: Server, as_the_application: None) -> None:
    with redis_py.Redis(host="127.0.0.1", port=redis.port, db=1) as client:
        former = Former(client, f"redis://127.0.0.1:{redis.port}/1")
        former.log_in("user:alice")
        for step in STEPS:
            run_shell(step, {"OLD_REDIS_URL": former.url})
    with redis.admin() as admin:
        assert len(admin.keys("session:{*}:old:*")) == 1
    assert len(STEPS) == 2
