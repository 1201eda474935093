"""A cluster for all tests of this folder, gone afterwards if it was started for them, and a deployment on it."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.kit import Deployment, cluster


@pytest.fixture(name="kubeconfig", scope="session")
def _kubeconfig() -> Iterator[Path]:
    with cluster() as kubeconfig:
        yield kubeconfig


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
