import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.ci.machine import CHECKOUT, Machine

SERVICE = CHECKOUT / "session_core" / "service" / "requirements.lock"
LOCKS = (
    CHECKOUT / "requirements.lock",
    SERVICE,
    CHECKOUT / "ci" / "tools" / "build.lock",
    CHECKOUT / "ci" / "tools" / "uv.lock",
)


def locked(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Package → version and hashes."""
    entries = re.findall(
        r"^([\w.-]+)==([^\s;]+)[^\n]*\\\n((?:    --hash=\S+[ \\]*\n)+)", path.read_text(), re.MULTILINE
    )
    return {name: (version, frozenset(re.findall(r"--hash=(\S+)", hashes))) for name, version, hashes in entries}


def project() -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    return found


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_every_locked_package_has_hashes_and_no_address(path: Path) -> None:
    packages = re.findall(r"^[\w.-]+==", path.read_text(), re.MULTILINE)

    assert len(locked(path)) == len(packages) > 0
    assert "://" not in path.read_text()


def test_the_service_has_the_versions_that_are_tested() -> None:
    everything = locked(CHECKOUT / "requirements.lock")

    assert {name: package for name, package in locked(SERVICE).items() if everything.get(name) != package} == {}


def test_the_service_has_all_that_it_declares_and_no_tool_of_ours() -> None:
    declared = project()["project"]
    extras = declared["optional-dependencies"]
    assert isinstance(extras, dict)
    assert isinstance(declared["dependencies"], list)
    names = {Requirement(line).name for line in [*declared["dependencies"], *extras["service"]]}

    assert names <= locked(SERVICE).keys()
    assert not {"pulumi", "pytest", "ruff", "cryptography"} & (locked(SERVICE).keys() - names)


def test_the_locks_have_the_versions_that_pyproject_asks_for() -> None:
    declared = project()["project"]
    extras = declared["optional-dependencies"]
    assert isinstance(extras, dict)
    assert isinstance(declared["dependencies"], list)
    everything = locked(CHECKOUT / "requirements.lock")
    asked = [
        Requirement(line)
        for line in [*declared["dependencies"], *(line for extra in extras.values() for line in extra)]
    ]

    wrong = [
        str(each) for each in asked if each.name not in everything or everything[each.name][0] not in each.specifier
    ]
    assert wrong == []


def test_the_build_backend_is_the_locked_one() -> None:
    (backend,) = map(Requirement, project()["build-system"]["requires"])  # type: ignore[call-overload]

    assert locked(CHECKOUT / "ci" / "tools" / "build.lock")[backend.name][0] in backend.specifier


def test_uv_is_the_pinned_one(machine: Machine) -> None:
    _, pinned = machine.run("-c", "echo $UV_VERSION")

    assert locked(CHECKOUT / "ci" / "tools" / "uv.lock")["uv"][0] == pinned.strip()


def test_shellcheck_finds_nothing() -> None:
    shellcheck = shutil.which("shellcheck")
    assert shellcheck, "shellcheck is in requirements.lock: run `make up` or ci/python.sh"
    scripts = [str(path) for path in sorted((CHECKOUT / "ci").rglob("*.sh"))]

    done = subprocess.run([shellcheck, *scripts], capture_output=True, text=True, check=False)

    assert done.stdout == ""
    assert done.returncode == 0
