"""A fault is undone whatever happens to the experiment; what was recorded of a client is what it did."""

import asyncio
import socket
import time

import pytest

from conformance.client import Client
from conformance.experiments.load import dropped
from conformance.faults import FaultError, Heal, NoFaults
from conformance.history import Recorder
from conformance.lab import Lab
from conformance.targets import Target
from session_core import SessionManager, Settings
from session_core.address import Address
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
