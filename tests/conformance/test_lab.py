"""A fault is undone whatever happens to the experiment; what was recorded of a client is what it did."""

import asyncio
import socket
import time
from collections.abc import Sequence
from itertools import count

import hiredis
import pytest

from conformance.client import Client
from conformance.experiments.load import dropped
from conformance.experiments.operations import full_memory
from conformance.faults import FaultError, Heal, NoFaults, docker
from conformance.history import Recorder
from conformance.lab import EngineError, Lab
from conformance.targets import Target
from conformance.wire import Login, Reply, Wire
from session_core import SessionManager, Settings
from session_core.address import Address, AddressMap
from session_core.errors import StoreFull, StoreUnavailable

NODE = Address("redis-1", 6379)


class SlowFaults(NoFaults):
    """Takes 0.3 s for a fault, and tells what happened."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def inject(self, fault: str, node: str) -> Heal:
        time.sleep(0.3)
        self.told.append(f"{fault} {node}")
        return lambda: self.told.append("healed")


@pytest.fixture(name="faults")
def _faults() -> SlowFaults:
    return SlowFaults()


@pytest.fixture(name="lab")
def _lab(faults: SlowFaults) -> Lab:
    return Lab(Target("endpoint", "x", {"session_backend": "memory"}, frozenset(), faults=faults), "run", Recorder())


@pytest.mark.parametrize("after", [0.1, 0.5], ids=["while it is injected", "once it has been injected"])
async def test_a_fault_is_undone_if_the_run_is_interrupted(lab: Lab, faults: SlowFaults, after: float) -> None:
    async def experiment() -> None:
        async with lab.fault("kill", NODE):
            await asyncio.sleep(60)

    running = asyncio.create_task(experiment())
    await asyncio.sleep(after)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert faults.told == ["kill redis-1", "healed"]


async def test_a_fault_is_undone_if_the_experiment_fails(lab: Lab, faults: SlowFaults) -> None:
    async def experiment() -> None:
        async with lab.fault("kill", NODE):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await experiment()

    assert faults.told == ["kill redis-1", "healed"]


class Admin(Wire):
    """Nodes of which the first refuses to be changed, and the value that each of the others was given last."""

    def __init__(self) -> None:
        super().__init__(AddressMap(), None)
        self.given: dict[str, str] = {}

    def ask(self, address: Address, _login: Login, *commands: Sequence[str]) -> list[Reply]:
        [words] = commands
        if words[0] == "INFO":
            return ["used_memory:1000"]
        if words[1] == "GET":
            return [["maxmemory", "7"]]
        if address == NODE:
            return [hiredis.ReplyError("NOPERM")]
        self.given[address.host] = words[-1]
        return ["OK"]


async def test_what_was_set_is_set_back_on_every_node_that_can_be_reached() -> None:
    nodes = (NODE, Address("redis-2", 6379), Address("redis-3", 6379))
    connect = {"session_backend": "memory", "redis_username": "sessions", "redis_password": "old"}
    target = Target("endpoint", "x", connect, frozenset(), nodes=nodes, admin=Login("admin", "secret"))
    vars(target)["wire"] = admin = Admin()
    lab = Lab(target, "run", Recorder())

    with pytest.raises(EngineError, match=r"^redis-1:6379: CONFIG SET: NOPERM$"):
        await full_memory(lab)
    assert admin.given == {"redis-2": "7", "redis-3": "7"}


def filter_that_fails(monkeypatch: pytest.MonkeyPatch, *failing: int) -> list[tuple[str, ...]]:
    """The rules of a packet filter, of which these changes fail, counted from 1."""
    rules: list[tuple[str, ...]] = []
    changes = count(1)

    def run(command: Sequence[str]) -> str:
        if next(changes) in failing:
            raise FaultError("Resource temporarily unavailable")
        _, _, action, *rule = command
        (rules.append if action == "--append" else rules.remove)(tuple(rule))
        return ""

    monkeypatch.setattr(docker, "run", run)
    return rules


def test_a_node_that_was_cut_off_in_part_is_cut_off_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = filter_that_fails(monkeypatch, 4)

    with pytest.raises(FaultError, match="unavailable"):
        docker.drop(["iptables"], ["10.0.0.2", "10.0.0.3", "10.0.0.4"])
    assert rules == []


def test_what_could_not_be_undone_is_tried_again_and_the_rest_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = filter_that_fails(monkeypatch, 5)
    heal = docker.drop(["iptables"], ["10.0.0.2", "10.0.0.3"])

    with pytest.raises(FaultError, match="unavailable"):
        heal()
    assert len(rules) == 1
    heal()
    assert rules == []


async def test_a_fault_that_cannot_be_injected_is_an_error() -> None:
    lab = Lab(Target("endpoint", "x", {}, frozenset()), "run", Recorder())

    with pytest.raises(FaultError, match="kill of redis-1: this target has no way to do it"):
        async with lab.fault("kill", NODE):
            pass


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (StoreUnavailable("x", outcome_unknown=True), "info"),
        (StoreUnavailable("x"), "fail"),
        (StoreFull("x"), "fail"),
    ],
    ids=["nobody knows", "not sent", "refused"],
)
async def test_a_call_that_fails_is_recorded_as_what_is_known_of_it(error: Exception, outcome: str) -> None:
    class Failing(SessionManager):
        async def create_session(self, *_arguments: object, **_named: object) -> None:  # type: ignore[override]
            raise error

    recorder = Recorder()
    client = Client("a", Failing(Settings(session_backend="memory")), recorder)

    assert await client.create("u") is None
    assert recorder.history().ops[0].outcome == outcome


async def test_a_history_holds_no_session_id(lab: Lab) -> None:
    async with lab.client("a") as client:
        made = await client.create(lab.user("u"))
        assert made
        await client.get(made)
        await client.rotate(made, 0)
        await client.list(lab.user("u"))
        await client.revoke(made)

    events = str(lab.recorder.events)
    assert made.session_id not in events
    assert made.handle in events
    assert "conformance-run-u" in events


def test_the_environment_has_no_say_in_how_a_target_is_examined(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION_LIMIT_POLICY", "reject")
    monkeypatch.setenv("SESSION_TTL_SECONDS", "7")

    settings = lab.target.settings()
    assert (settings.session_limit_policy, settings.session_ttl_seconds) == ("oldest", 86_400)


def test_a_server_that_leaves_an_open_connection_is_noticed() -> None:
    here, there = socket.socketpair()
    with here, there:
        there.sendall(b"-NOAUTH Authentication required.\r\n")
        assert not dropped(here)
        there.shutdown(socket.SHUT_RDWR)
        assert dropped(here)
