"""The commands behind `make status`, `make redis-cli` and `make logs`, on a running deployment."""

import subprocess

import pytest

from tests.stack.kit import ROOT, Access

pytestmark = [pytest.mark.stack, pytest.mark.engine]


def run(running: Access, *words: str) -> str:
    done = subprocess.run(
        ["bash", *words], cwd=ROOT, env=running.stack.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_status_shows_the_containers_and_whom_each_sentinel_names(running: Access) -> None:
    primary = running.wait_settled()

    shown = run(running, "ci/status.sh", running.stack.name)

    assert shown.count(f"names {running.address(primary)} as primary; OK 3 usable Sentinels") == 3
    assert running.stack.container("gateway") in shown


def test_redis_cli_runs_a_command_on_the_primary_as_admin(running: Access) -> None:
    assert run(running, "ci/redis-cli.sh", running.stack.name, "ACL", "WHOAMI").strip() == "admin"
    assert run(running, "ci/redis-cli.sh", running.stack.name, "ROLE").split()[0] == "master"


def test_logs_shows_how_a_node_found_its_role(running: Access) -> None:
    assert "starts as" in run(running, "-c", f"make logs STACK={running.stack.name} CMD=redis-1")
