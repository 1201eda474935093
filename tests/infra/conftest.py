"""The real Pulumi for tests, as ci/env.sh finds it."""

import os
import secrets
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Pulumi = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(name="pulumi_in", scope="session")
def _pulumi_in() -> Callable[[Path], Pulumi]:
    """Return what makes a Pulumi for a project folder, with a backend of its own in there."""

    def pulumi_in(folder: Path) -> Pulumi:
        (folder / "state").mkdir()
        environment = os.environ | {
            "PULUMI_BACKEND_URL": f"file://{folder}/state",
            "PULUMI_CONFIG_PASSPHRASE": secrets.token_hex(),
        }
        shell = ["bash", "-c", f'. "{ROOT}/ci/env.sh" && exec pulumi "$@" --non-interactive', "pulumi"]

        def pulumi(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*shell, *arguments],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )

        return pulumi

    return pulumi_in
