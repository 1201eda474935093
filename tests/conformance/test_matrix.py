"""The suite can fail: each broken library or deployment fails the requirements meant for it, and no other."""

import fcntl
import json
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from conformance import lab
from conformance.config import Hook
from conformance.experiments import load
from conformance.faults import Heal
from conformance.faults.docker import DockerFaults
from conformance.faults.hooks import HookFaults
from conformance.requirements import TESTS, register
from conformance.run import Choice, Run
from conformance.targets import Target
from conformance.targets.containers import containers
from session_core import Settings
from session_core.address import Address
from session_core.deploy import load_functions
from tests.conformance import mutants
from tests.conformance.conftest import ROOT
from tests.conformance.made import entries
from tests.session_core import servers

WANTED = os.environ.get("KIT_TEST_MATRIX")
"""Entries of a name like this, each recorded; `make prove` asks for all. Without it, what `make test` can afford."""
RECORD = ROOT / "docs/reports/conformance/matrix.json"
"""What each entry failed when it was last run, and how long that took (s)."""


@dataclass(frozen=True)
class Broken:
    """One entry of the matrix. `runs` names profiles, experiments or requirements."""

    name: str
    runs: list[str]
    fails: list[str]
    library: str = ""
    set: Mapping[str, str] = field(default_factory=dict)
    replace: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    containers: bool = False
    sentinels: int = 3
    unhealed: bool = False
    unsettled: bool = False
    failover: str = ""
    prometheus: str = ""
    more: bool = False
    ci: bool = False

    @property
    def choice(self) -> Choice:
        """What is run of it."""
        ids = {each for each, test in TESTS.items() if test.name in self.runs or each in self.runs}
        profiles = frozenset(self.runs) & register().profiles.keys()
        assert ids or profiles, self.runs
        return Choice(profiles=profiles, ids=frozenset(ids), allow_disruptive=True)

    def edit(self, directory: Path) -> None:
        """Break the rendered files."""
        for number in range(self.sentinels + 1, 4):
            take_away(directory, f"sentinel-{number}")
        for pattern, changes in self.replace.items():
            paths = sorted(directory.glob(pattern))
            assert paths, pattern
            for path in paths:
                text = path.read_text()
                for old, new in changes.items():
                    assert old in text, f"{path}: {old}"
                    text = text.replace(old, new)
                path.chmod(0o644)
                path.write_text(text)


def take_away(directory: Path, name: str) -> None:
    """Render a deployment without this Sentinel: nobody starts it or is told of it."""
    address = rf"[ ,]{name}:\d+"
    project = directory / "compose.yaml"
    rendered = yaml.safe_load(re.sub(address, "", project.read_text()))
    del rendered["services"][name]
    for service in rendered["services"].values():
        service.get("depends_on", {}).pop(name, None)
    project.chmod(0o600)
    project.write_text(yaml.safe_dump(rendered, sort_keys=False))
    outputs = directory / "outputs.json"
    told = json.loads(outputs.read_text())
    told["sentinels"] = [each for each in told["sentinels"] if not each.startswith(f"{name}:")]
    outputs.write_text(json.dumps(told))


MATRIX = [Broken(**entry) for entry in entries()]


@pytest.fixture(scope="module")
def plain() -> Iterator[servers.Server]:
    servers.sweep()
    with servers.network() as bridge, servers.redis_server(bridge, "--appendonly", "yes") as server:
        yield server
    servers.sweep()


inject = DockerFaults.inject


def inject_for_good(faults: DockerFaults, fault: str, node: str) -> Heal:
    """Do it, and never undo it. After a handover the former primary is killed."""
    inject(faults, fault, node)
    if fault == "handover":
        inject(faults, "kill", node)
    return lambda: None


@asynccontextmanager
async def target_of(broken: Broken, directory: Path, server: servers.Server) -> AsyncIterator[Target]:
    """Containers of the kit where the deployment is what is broken or struck, else one server."""
    if broken.containers or broken.set or broken.replace or broken.sentinels < 3:
        async with containers(directory, broken.set, broken.edit) as target:
            yield target
        return
    connect = {"redis_url": server.url, "redis_password": "", "redis_username": ""}
    server.admin().flushall()
    await load_functions(Settings(_env_file=None, **connect))
    address = Address("127.0.0.1", server.port)
    command = broken.failover.replace("CONTAINER", server.container.get_wrapped_container().id)
    faults = HookFaults({"failover": Hook(inject=command)} if command else {})
    features = frozenset({"exclusive", "wait"}) | faults.abilities
    yield Target("endpoint", "one server", connect, features, nodes=(address,), faults=faults)


@contextmanager
def prometheus(directory: Path) -> Iterator[str]:
    """A Prometheus that watches nothing and has no rules; its address."""
    (directory / "prometheus.yaml").write_text("{}")
    address = f"127.0.0.1:{servers.free_port()}"
    files = (f"--config.file={directory}/prometheus.yaml", f"--storage.tsdb.path={directory}/data")
    with subprocess.Popen(
        ["prometheus", *files, f"--web.listen-address={address}"], stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_until_ready(f"http://{address}/-/ready")
            yield f"http://{address}"
        finally:
            process.terminate()


def wait_until_ready(url: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()  # noqa: S310 - of our own process
        except OSError:
            assert time.monotonic() < deadline, url
            time.sleep(0.1)
        else:
            return


@pytest.mark.engine
@pytest.mark.parametrize(
    "broken",
    [each for each in MATRIX if (re.search(WANTED, each.name) if WANTED else each.ci)],
    ids=lambda each: each.name,
)
async def test_what_is_broken_is_found_and_nothing_else(
    broken: Broken, plain: servers.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broken.unhealed:
        monkeypatch.setattr(DockerFaults, "inject", inject_for_good)
    if broken.unhealed or broken.unsettled:
        monkeypatch.setattr(load, "SETTLE_SECONDS", 25)
    if broken.library:
        monkeypatch.setattr(lab, "SessionManager", getattr(mutants, broken.library))
    said: list[str] = []
    began = time.monotonic()
    async with target_of(broken, tmp_path, plain) as target:
        with prometheus(tmp_path) if broken.prometheus else nullcontext("") as address:
            seen = target.watched_by(address)
            results = await Run(register(), seen, broken.choice, tmp_path, said.append).results()

    failed = {each.requirement.id: each.actual for each in results if each.status == "fail"}
    assert failed.keys() >= set(broken.fails), (failed, said)
    assert broken.more or failed.keys() == set(broken.fails), failed
    assert [each for each in results if each.status == "error"] == []
    if WANTED:
        record(broken, sorted(failed), time.monotonic() - began)


def record(broken: Broken, failed: list[str], seconds: float) -> None:
    """Keep it, in the order of the matrix; several pieces of it may run at once."""
    with RECORD.open("r+" if RECORD.exists() else "w+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        known = {each["name"]: each for each in json.loads(file.read() or "[]")}
        known[broken.name] = {"name": broken.name, "runs": broken.runs, "failed": failed, "seconds": round(seconds)}
        file.seek(0)
        file.truncate()
        json.dump([known[each.name] for each in MATRIX if each.name in known], file, indent=1)
        file.write("\n")


def test_what_is_kept_of_each_entry_is_what_it_is_meant_to_fail() -> None:
    """After a change of an entry, run it: KIT_TEST_MATRIX=NAME pytest tests/conformance/test_matrix.py."""
    matrix = {each.name: each for each in MATRIX}
    for kept in json.loads(RECORD.read_text()):
        broken = matrix[kept["name"]]
        assert kept["runs"] == broken.runs
        assert set(kept["failed"]) >= set(broken.fails), broken.name
        assert broken.more or set(kept["failed"]) == set(broken.fails), broken.name
