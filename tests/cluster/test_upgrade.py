"""What the first kit for Kubernetes has deployed is brought to the present one by an apply, and loses nothing."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from session_core import library
from tests.cluster.kit import CLIENT, ROOT, Deployment, Writer

pytestmark = [pytest.mark.engine, pytest.mark.cluster, pytest.mark.long]
FORMER = "9f4bf197c95bdb9abc211a9c3cfb90866efe344c"
"""The commit that brought manifests for Kubernetes."""
UNPACK = "import sys, tarfile; tarfile.open(fileobj=sys.stdin.buffer, mode='r|').extractall('/tmp', filter='data')"
CLI = ("redis-cli", "--tls", "--cacert", "/run/kit/tls/ca.crt", "--user", "deploy", "--no-auth-warning")


@pytest.fixture(name="former", scope="module")
def _former(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a deployment is made from, as it was then."""
    checkout = tmp_path_factory.mktemp("former")
    git = ("git", "-C", str(ROOT))
    if subprocess.run((*git, "cat-file", "-e", FORMER), capture_output=True, check=False).returncode:
        subprocess.run((*git, "fetch", "--quiet", "--unshallow"), check=True)  # a clone whose history is cut short
    archive = (*git, "archive", FORMER, "infra", "session_core", "stacks")
    done = subprocess.run(archive, capture_output=True, check=True)
    subprocess.run(("tar", "-x", "-C", str(checkout)), input=done.stdout, check=True)
    return checkout


@pytest.fixture(name="deployment")
def _deployment(kubeconfig: Path, former: Path, tmp_path: Path) -> Iterator[Deployment]:
    """What the former kit makes, but for its service, whose image is that of today."""
    deployment = Deployment(kubeconfig, f"test-{secrets.token_hex(3)}", tmp_path / "out")
    deployment.render(checkout=former)
    with deployment.brought_up():
        yield deployment


def functions(deployment: Deployment, *words: str, text: str = "") -> str:
    """What the primary answers to the user `deploy`."""
    password = json.loads((deployment.out / "secrets.json").read_text())["passwords"]["deploy"]
    command = ("env", f"REDISCLI_AUTH={password}", *CLI, *words)
    return deployment.kubectl("exec", "-i", deployment.primary(), "--", *command, text=text)


def revision(deployment: Deployment) -> int:
    return int(functions(deployment, "FCALL_RO", "session_library_v1", "0"))


def test_the_present_kit_takes_over_from_the_first_one_under_load(deployment: Deployment, former: Path) -> None:
    """An application with the library of that time logs users in meanwhile: first with the functions of that time."""
    source = (sys.executable, "-c", "from session_core import library; print(library.source(), end='')")
    functions_then = subprocess.run(source, cwd=former, capture_output=True, text=True, check=True).stdout
    functions(deployment, "-x", "FUNCTION", "LOAD", "REPLACE", text=functions_then)
    assert 0 < revision(deployment) < library.REVISION
    packed = subprocess.run(("tar", "-c", "-C", str(former), "session_core"), capture_output=True, check=True).stdout
    subprocess.run(deployment.command("exec", "-i", CLIENT, "--", "python3", "-c", UNPACK), input=packed, check=True)

    with Writer(deployment, environment=["PYTHONPATH=/tmp:/srv/site"]) as writer:
        deployment.render()
        deployment.apply()
        deployment.rolled_out()
        writer.wait_for(100)
    print(f"{len(writer.succeeded)} acknowledged, longest gap {writer.longest_gap:.1f} s, failed: {writer.failures}")
    assert writer.lost() == []
    assert writer.failures == []
    assert deployment.primaries() == [deployment.primary()]
    assert revision(deployment) == library.REVISION
    assert deployment.kubectl("diff", "--server-side", *deployment.files) == ""
