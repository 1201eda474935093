"""A cluster for all tests of this folder, gone afterwards if it was started for them, and a deployment on it."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.kit import MACHINE, ROOT, Deployment


@pytest.fixture(name="kubeconfig", scope="session")
def _kubeconfig() -> Iterator[Path]:
    was_there = not subprocess.run(["docker", "exec", MACHINE, "true"], capture_output=True, check=False).returncode
    given = "KUBECONFIG" in os.environ
    script = ["bash", str(ROOT / "ci" / "cluster.sh")]
    try:
        done = subprocess.run(script, stdout=subprocess.PIPE, text=True, check=True, timeout=890)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KUBECONFIG", done.stdout.strip())
            yield Path(done.stdout.strip())
    finally:
        if not was_there and not given:
            subprocess.run([*script, "down"], check=True)


@pytest.fixture(name="deployment", scope="module")
def _deployment(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """For the tests of one file: two cores have room for one deployment at a time."""
    name = f"test-{secrets.token_hex(3)}"
    deployment = Deployment(kubeconfig, name, tmp_path_factory.mktemp("kubernetes") / "out")
    deployment.render()
    try:
        deployment.apply()
        deployment.rolled_out()
        deployment.start_client()
        yield deployment
    finally:
        deployment.kubectl("delete", "namespace", deployment.namespace, "--ignore-not-found", timeout=180)
