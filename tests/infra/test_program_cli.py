"""What a user sees of wrong settings: the real `pulumi preview` on the project as it is committed."""

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Pulumi = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(name="pulumi")
def _pulumi(tmp_path: Path, pulumi_in: Callable[[Path], Pulumi]) -> Pulumi:
    (tmp_path / "infra").symlink_to(ROOT / "infra")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "Pulumi.yaml").write_bytes((ROOT / "Pulumi.yaml").read_bytes())
    (tmp_path / "stacks").mkdir()
    pulumi = pulumi_in(tmp_path)
    assert pulumi("stack", "init", "trial").returncode == 0
    return pulumi


def set_wrong(pulumi: Pulumi) -> None:
    """Set four settings that cannot be, one of them as a secret."""
    for key, value in [("redisMaxmemory", "2gbb"), ("redisMaxmemry", "1gb"), ("sentinelQuorum", "4")]:
        assert pulumi("config", "set", key, value).returncode == 0
    assert pulumi("config", "set", "redisSave", "hunter2", "--secret").returncode == 0


def test_wrong_settings_end_a_preview_with_one_message_and_no_traceback(pulumi: Pulumi) -> None:
    set_wrong(pulumi)

    preview = pulumi("preview")

    assert preview.returncode != 0
    shown = preview.stdout + preview.stderr
    assert "stacks/Pulumi.trial.yaml: 4 settings cannot be used; nothing has been changed" in shown
    assert "redisMaxmemory: 2gbb" in shown
    assert "did you mean redisMaxmemory?" in shown
    assert "sentinelQuorum: 4" in shown
    assert "redisSave: [secret]" in shown
    assert "hunter2" not in shown
    assert "Traceback" not in shown
    assert ".py" not in shown


def test_each_remedy_of_the_message_works_as_it_is_written(pulumi: Pulumi) -> None:
    set_wrong(pulumi)
    shown = pulumi("preview").stdout
    remedies = [line.partition("pulumi ")[2] for line in shown.splitlines() if ": pulumi config " in line]
    assert len(remedies) == 4

    for remedy in remedies:
        assert pulumi(*shlex.split(remedy)).returncode == 0

    assert "cannot be used" not in pulumi("preview").stdout


def test_a_value_of_the_wrong_type_is_refused_by_the_engine_itself(pulumi: Pulumi) -> None:
    assert pulumi("config", "set", "redisNodes", "many").returncode == 0

    preview = pulumi("preview")

    assert preview.returncode != 0
    assert "'redisNodes' must be of type 'integer'" in preview.stdout + preview.stderr
    assert "'trial'" in preview.stdout + preview.stderr
