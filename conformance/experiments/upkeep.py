"""OPERATIONS: what happens one day: a disk is full, certificates are renewed, a password is replaced."""

import asyncio
import secrets
import time
from collections.abc import Sequence

from conformance.checkers.gaps import gap_figures, longest_gap, quantile
from conformance.experiments.durable import administer_all
from conformance.experiments.load import (
    AFTER,
    BITE_SECONDS,
    FULL,
    Load,
    bites,
    bitten,
    nothing_confirmed_is_lost,
    outage,
    recovery_bound,
    settle,
)
from conformance.finding import Finding, violated
from conformance.history import History
from conformance.lab import Lab
from conformance.requirements import judges
from conformance.waiting import finished, gather_limited
from conformance.wire import WireError
from session_core.address import Address

DENIED = "StoreDenied"
KEPT = 20
READER, PROBER = "reader", "prober"
RENEWED, WITHDRAWN = "renewed", "withdrawn"
PASSWORD_BYTES = 32


async def full_disk(lab: Lab) -> None:
    """The primary's disk is full until a login was refused and sessions were read; with room again it is restarted."""

    async def strike(primary: Address, load: Load) -> None:
        async with lab.client(READER) as reader, lab.client(PROBER) as prober:
            kept = [each for each in [await reader.create(lab.user(f"kept-{n}")) for n in range(KEPT)] if each]
            load.made += kept
            async with lab.fault("fill_disk", primary):
                deadline = time.monotonic() + BITE_SECONDS
                while (made := await prober.create(lab.user("prober"))) and time.monotonic() < deadline:
                    load.made.append(made)
                if not made:
                    lab.recorder.fault("bit", what="a login was refused")
                await gather_limited(reader.inspect(each) for each in kept)
                await asyncio.sleep(AFTER)
        lab.recorder.fault("room")
        async with lab.fault("handover", primary):
            await asyncio.sleep(AFTER)
        async with lab.fault("restart", primary):
            lab.recorder.fault("restarted")

    await outage(lab, strike)


async def new_certificates(lab: Lab) -> None:
    """Every node gets a new certificate of the same authority, one by one, the primary last and after a handover."""

    async def strike(primary: Address, _load: Load) -> None:
        nodes = (*lab.target.sentinels, *lab.target.nodes)
        before = await asyncio.to_thread(_certificates, lab, nodes)
        async with lab.fault("renew_certificates", primary):
            for node in (each for each in nodes if each != primary):
                async with lab.fault("replace", node):
                    await settle(lab)
            async with lab.fault("handover", primary):
                await bites(lab, primary)
            async with lab.fault("replace", primary):
                await settle(lab)
        after = await asyncio.to_thread(_certificates, lab, nodes)
        renewed = sum(old != new for old, new in zip(before, after, strict=True))
        lab.recorder.probe("certificates", renewed=renewed, nodes=len(nodes))

    await outage(lab, strike)


def _certificates(lab: Lab, nodes: Sequence[Address]) -> list[bytes]:
    """What each node shows; empty where it does not answer."""
    return [_certificate(lab, node) for node in nodes]


def _certificate(lab: Lab, node: Address) -> bytes:
    try:
        with lab.target.wire.connect(node) as connection:
            return connection.getpeercert(binary_form=True) or b""  # type: ignore[attr-defined]
    except (OSError, WireError):
        return b""


async def new_password(lab: Lab) -> None:
    """The application's user gets a second password; applications change over to it; the first one is withdrawn."""
    user, old = lab.target.login.username, lab.target.login.password
    new = secrets.token_urlsafe(PASSWORD_BYTES)

    async def strike(_primary: Address, load: Load) -> None:
        try:
            await _change_user(lab, user, f">{new}")
            async with lab.client(RENEWED, redis_password=new) as renewed:
                load.made += [
                    each for each in [await renewed.create(lab.user(f"new-{n}")) for n in range(KEPT)] if each
                ]
                try:
                    await _change_user(lab, user, f"<{old}")
                    lab.recorder.fault("bit", what="the first password is withdrawn")
                    load.made += [each for each in [await renewed.create(lab.user("new"))] if each]
                    async with lab.client(WITHDRAWN, session_deadline_seconds=2) as withdrawn:
                        await withdrawn.create(lab.user("old"))
                finally:
                    await _change_user(lab, user, f">{old}")
        finally:
            await _change_user(lab, user, f"<{new}")

    await outage(lab, strike)


async def _change_user(lab: Lab, user: str, rule: str) -> None:
    await finished(administer_all, lab, "ACL", "SETUSER", user, rule)


@judges(full_disk, "OPS-DISK-001")
def a_full_disk_takes_nobody_out(histories: Sequence[History]) -> Finding:
    """Every session that was there before is read and alive."""
    ops = [op for history in histories for op in history.calls("inspect", None) if op.client == READER]
    wrong = [f"{op.asked['session']}: {op.told.get('message', 'not found')}" for op in ops if not op.told.get("alive")]
    return bitten(histories, violated("every session is read", wrong, {"reads": len(ops)}, looked=len(ops)))


@judges(full_disk, "OPS-DISK-002")
def a_full_disk_refuses_logins_visibly(histories: Sequence[History]) -> Finding:
    """The login that cannot be written fails with an error that says so."""
    refused = [op for history in histories for op in history.calls("create", None) if op.outcome != "ok"]
    wrong = [
        f"{op.outcome} {op.told.get('error')}: {op.told.get('message')}"
        for op in refused
        if op.told.get("error") != FULL
    ]
    wrong += [] if refused else [f"logins were taken for {BITE_SECONDS} s"]
    return violated("a login is refused as full", wrong, {"refused": len(refused)}, looked=len(histories))


@judges(full_disk, "OPS-DISK-003")
def logins_are_taken_when_there_is_room(histories: Sequence[History]) -> Finding:
    """The time from the end of the fault to the next login that is taken."""
    took, bounds = [], []
    for history in histories:
        room, begin = history.fault("room"), history.fault("begin")
        if room and begin:
            bounds.append(float(begin.fields["bound"]))
            took.append(min((op.end - room.at for op in history.calls("create") if op.end > room.at), default=1e9))
    bound = min(bounds, default=0.0)
    wrong = [f"nothing was taken for {each:.1f} s" for each in took if each > bound]
    figures = {"took_max_s": round(quantile(took, 1), 2)}
    return bitten(histories, violated(f"a login is taken within {bound:g} s", wrong, figures, looked=len(took)))


@judges(full_disk, "OPS-DISK-005")
def a_node_that_was_full_comes_back(histories: Sequence[History]) -> Finding:
    """After a restart it is in step again: its files can be read, or it does without them."""
    wrong = [str(never.fields["problem"]) for history in histories if (never := history.fault("unsettled"))]
    looked = sum(history.fault("restarted") is not None for history in histories)
    return bitten(histories, violated("every node is in step", wrong, {"restarts": looked}, looked=looked))


@judges(full_disk, "OPS-DISK-004")
@judges(new_certificates, "OPS-CERT-001")
@judges(new_password, "OPS-PASS-001")
def no_confirmed_login_is_lost(histories: Sequence[History]) -> Finding:
    """Every login that was confirmed as durable is there afterwards."""
    return nothing_confirmed_is_lost(histories)


@judges(new_certificates, "OPS-CERT-002")
def logins_go_on_while_certificates_are_renewed(histories: Sequence[History]) -> Finding:
    """Every node shows a new certificate, and the longest time without an accepted login is within the bound."""
    bound = recovery_bound(histories)
    gaps = [longest_gap(history) for history in histories]
    wrong = [f"nothing was accepted for {gap:.1f} s" for gap in gaps if gap > bound]
    seen = [each for history in histories for each in history.seen("certificates")]
    wrong += [
        f"{each['renewed']} of {each['nodes']} nodes show a new certificate"
        for each in seen
        if each["renewed"] < each["nodes"]
    ]
    finding = violated(f"logins go on within {bound:g} s", wrong, gap_figures(gaps), looked=len(seen))
    return bitten(histories, finding)


@judges(new_password, "OPS-PASS-002")
def the_new_password_lets_in(histories: Sequence[History]) -> Finding:
    """Whoever has the new password logs in, while the first one is valid and afterwards."""
    ops = [op for history in histories for op in history.calls("create", None) if op.client == RENEWED]
    wrong = [f"{op.outcome}: {op.told.get('message')}" for op in ops if op.outcome != "ok"]
    return bitten(histories, violated("the new password lets in", wrong, {"logins": len(ops)}, looked=len(ops)))


@judges(new_password, "OPS-PASS-003")
def a_withdrawn_password_lets_nobody_in(histories: Sequence[History]) -> Finding:
    """An application that starts with it is refused."""
    ops = [op for history in histories for op in history.calls("create", None) if op.client == WITHDRAWN]
    wrong = ["a login was taken" for op in ops if op.outcome == "ok"]
    refused = sum(op.told.get("error") == DENIED for op in ops)
    return bitten(histories, violated("the first password is refused", wrong, {"refused": refused}, looked=refused))
