"""A cluster for all tests of this folder, gone afterwards if it was started for them, and a deployment on it.

They come last, and what they need is built beside the other tests, with what those leave of the processor: Kubernetes
and Pulumi's plugin take minutes where they are in no cache.
"""

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.kit import BUILD, Deployment, cluster

BUILDING = pytest.StashKey[subprocess.Popen[bytes]]()
BESIDE = "echo 19 2>/dev/null >/proc/self/autogroup; exec nice -n 19"
"""Of little weight in its session, and its session of little weight beside others and the engine's containers."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests on a cluster last; what they have to wait for first does not count as their time."""
    items.sort(key=on_cluster)
    for item in filter(on_cluster, items):
        item.add_marker(pytest.mark.timeout(func_only=True))


def on_cluster(item: pytest.Item) -> bool:
    return item.get_closest_marker("cluster") is not None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin to build, if a test on a cluster is going to run."""
    config = session.config
    if config.option.collectonly or not any(map(on_cluster, session.items)):
        return
    command = ["bash", "-c", f'{BESIDE} "$@"', "bash", *BUILD]
    config.stash[BUILDING] = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what is still being built: who ends the tests wants nothing to go on."""
    building = config.stash.get(BUILDING, None)
    if building and building.poll() is None:
        os.killpg(building.pid, signal.SIGTERM)
        building.wait(30)


@pytest.fixture(name="kubeconfig", scope="session")
def _kubeconfig(pytestconfig: pytest.Config) -> Iterator[Path]:
    pytestconfig.stash[BUILDING].wait(2400)
    subprocess.run(BUILD, check=True, timeout=2400)  # says why, where it failed beside the others
    with cluster() as kubeconfig:
        yield kubeconfig


@pytest.fixture(name="deployment", scope="module")
def _deployment(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """For the tests of one file: two cores have room for one deployment at a time."""
    name = f"test-{secrets.token_hex(3)}"
    deployment = Deployment(kubeconfig, name, tmp_path_factory.mktemp("kubernetes") / "out")
    deployment.render()
    with deployment.brought_up():
        yield deployment
