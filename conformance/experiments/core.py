"""SESSION-CORE: expiry, sliding, revocation, counts, rotation. Hurts nobody."""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta

import time_machine

from conformance.checkers.register import Seen, not_linearizable, sessions
from conformance.checkers.sets import returns
from conformance.finding import Finding, violated
from conformance.history import History, Op
from conformance.lab import Lab
from conformance.requirements import judges, judges_in_peace
from conformance.waiting import gather_limited
from session_core.errors import SessionError

TTL = 2
LIFETIME = 5
SLACK = 0.002
"""Seconds by which times of the server may differ from whole ones: it has milliseconds."""


async def expiry(lab: Lab) -> None:
    """Sessions of 2 s that do not slide, read by another client and refreshed until they are gone."""
    fixed = {"session_ttl_seconds": TTL, "session_sliding_window": False}
    async with lab.client("writer", **fixed) as writer, lab.client("reader", **fixed) as reader:

        async def follow(number: int) -> None:
            made = await writer.create(lab.user(f"expiry-{number}"))
            deadline = time.monotonic() + TTL + 1
            while made and time.monotonic() < deadline:
                await reader.get(made)
                await asyncio.sleep(0.1)
                await writer.refresh(made)

        await asyncio.gather(*(follow(number) for number in range(10)))


async def sliding(lab: Lab) -> None:
    """Sessions of 2 s, at most 5 s: half of them are read all the time, the others are left alone."""
    slides = {"session_ttl_seconds": TTL, "session_refresh_threshold": TTL, "session_max_lifetime_seconds": LIFETIME}
    async with lab.client("writer", **slides) as writer, lab.client("reader", **slides) as reader:

        async def read(number: int) -> None:
            made = await writer.create(lab.user(f"read-{number}"))
            deadline = time.monotonic() + LIFETIME + 1
            while made and time.monotonic() < deadline:
                await reader.get(made)
                await asyncio.sleep(0.2)

        async def leave(number: int) -> None:
            made = await writer.create(lab.user(f"left-{number}"))
            await asyncio.sleep(TTL + 0.5)
            if made:
                await reader.get(made)

        await asyncio.gather(*(read(number) for number in range(5)), *(leave(number) for number in range(5)))


async def wrong_clock(lab: Lab) -> None:
    """Sessions of 2 s, made and read by a client whose clock is an hour off, and by one whose clock is right."""
    fixed = {"session_ttl_seconds": TTL, "session_sliding_window": False}
    async with lab.client("wrong", **fixed) as wrong, lab.client("right", **fixed) as right:
        for hours in (1, -1):
            clock = time_machine.travel(datetime.now(UTC) + timedelta(hours=hours), tick=True)
            ours = [await right.create(lab.user(f"right-{number}")) for number in range(5)]
            with clock:
                theirs = [await wrong.create(lab.user(f"wrong-{number}")) for number in range(5)]
            made = [each for each in (*ours, *theirs) if each]
            for rest in (0, TTL + 0.5):
                await asyncio.sleep(rest)
                with clock:
                    await gather_limited(wrong.get(each) for each in made)
                await gather_limited(right.get(each) for each in made)


async def revocation(lab: Lab) -> None:
    """Sessions that one client ends while others read and refresh them."""
    async with lab.clients(4) as (writer, ender, reader, other):

        async def one(number: int) -> None:
            user = lab.user(f"revoked-{number}")
            made = [each for each in [await writer.create(user) for _ in range(3)] if each]

            async def disturb() -> None:
                for _ in range(6):
                    await asyncio.gather(*(reader.get(each) for each in made), *(other.refresh(each) for each in made))

            disturbing = asyncio.create_task(disturb())
            await ender.revoke(made[0], "stolen")
            await reader.get(made[0])
            await ender.revoke_all(user, "password changed")
            await disturbing
            await asyncio.gather(*(reader.get(each) for each in made), reader.list(user))

        await asyncio.gather(*(one(number) for number in range(10)))


async def counts(lab: Lab) -> None:
    """Sessions come and go, and are counted and listed in between."""
    async with lab.client("writer") as writer, lab.client("reader") as reader:
        await reader.count()
        for number in range(5):
            user = lab.user(f"counted-{number}")
            made = [await writer.create(user) for _ in range(4)]
            await reader.count(user)
            await reader.list(user)
            for each in filter(None, made[:2]):
                await writer.revoke(each)
            await reader.count(user)
            await reader.list(user)
        await reader.count()


async def rotation(lab: Lab) -> None:
    """Sessions get a new id, with and without a grace; both ids are read. A handle is tried as an id."""
    async with lab.client("writer") as writer, lab.client("reader") as reader:
        for number, grace in enumerate([0, 0, 0, 30, 30, 30]):
            made = await writer.create(lab.user(f"rotated-{number}"), metadata={"device": "laptop"})
            if not made:
                continue
            new = await writer.rotate(made, grace)
            old_answer = await reader.get(made)
            new_answer = await reader.get(new) if new else None
            if lab.recorder.unanswered():  # no answer is not the answer that it opens nothing
                return
            lab.recorder.probe(
                "rotation",
                grace=grace,
                renamed=new is not None and new.session_id != made.session_id,
                old_opens=bool(old_answer and old_answer.is_active),
                new_opens=bool(new_answer and new_answer.is_active),
                kept=bool(new_answer and new_answer.metadata == {"device": "laptop"}),
            )
            try:
                opened = await reader.sessions.get_session(made.handle)
            except SessionError as error:
                lab.recorder.probe("handle as id", opens=False, error=type(error).__name__)
            else:
                lab.recorder.probe("handle as id", opens=opened is not None, error="")


@judges_in_peace(expiry, "SES-TTL-001")
def ends_at_its_expiry(histories: Sequence[History]) -> Finding:
    """Search an order that explains every answer, for each session as a register with an expiry."""
    expected = "each session is alive until its expiry and gone after it, for every client"
    return _register(histories, expected, lambda seen: {"alive", "gone"} <= {each.what for each in seen})


@judges(expiry, "SES-TTL-002")
def lives_as_long_as_it_was_asked_to(histories: Sequence[History]) -> Finding:
    """Compare what the server calls created and expiry."""
    made = [op for history in histories for op in history.calls("create")]
    wrong = [f"{op.told['expires'] - op.told['created']:.3f} s" for op in made if abs(_life(op) - TTL) > SLACK]
    return violated(f"expires_at - created_at is {TTL} s", wrong, {"sessions": len(made)}, looked=len(made))


@judges_in_peace(expiry, "SES-TTL-003")
def nothing_extends_what_does_not_slide(histories: Sequence[History]) -> Finding:
    """Compare the expiry in every answer with that of the create."""
    looked, wrong = 0, []
    for history in histories:
        first = {op.told["session"]: op.told["expires"] for op in history.calls("create")}
        for op in (*history.calls("get"), *history.calls("refresh")):
            if op.told["alive"]:
                looked += 1
                if abs(op.told["expires"] - first[op.asked["session"]]) > SLACK:
                    wrong.append(
                        f"{op.call} moved the expiry by {op.told['expires'] - first[op.asked['session']]:.3f} s"
                    )
    return violated("the expiry stays what it was", wrong, {"answers": looked}, looked=looked)


@judges_in_peace(wrong_clock, "SES-CLOCK-001")
def the_clock_of_the_server_counts(histories: Sequence[History]) -> Finding:
    """Whoever made a session: it is given its TTL, and alive for everybody until its expiry."""
    given = lives_as_long_as_it_was_asked_to(histories)
    return given if given.status != "pass" else ends_at_its_expiry(histories)


@judges_in_peace(sliding, "SES-SLIDE-001")
def slides_while_it_is_used(histories: Sequence[History]) -> Finding:
    """A session that is read outlives its TTL, and one that is not does not."""
    kinds, wrong = {True: 0, False: 0}, []
    for history in histories:
        for op in history.calls("create"):
            reads = [read for read in history.calls("get") if read.asked["session"] == op.told["session"]]
            alive = max((read.start for read in reads if read.told["alive"]), default=0) - op.end
            used = len(reads) > 1
            kinds[used] += bool(reads)
            if used and alive < TTL + 0.5:
                wrong.append(f"a session in use was gone after {alive:.1f} s")
            if not used and alive > TTL:
                wrong.append(f"a session that nobody used was alive after {alive:.1f} s")
    looked = sum(kinds.values()) if all(kinds.values()) else 0
    return violated(f"alive beyond {TTL} s if and only if it is read", wrong, {"sessions": looked}, looked=looked)


@judges_in_peace(sliding, "SES-SLIDE-002")
def ends_at_its_absolute_lifetime(histories: Sequence[History]) -> Finding:
    """No answer shows a session alive, or promises it, beyond its absolute lifetime."""
    looked, wrong = 0, []
    for history in histories:
        made = {op.told["session"]: op for op in history.calls("create")}
        for read in history.calls("get"):
            create = made[read.asked["session"]]
            looked += 1
            if read.told["alive"] and read.start > create.end + LIFETIME:
                wrong.append(f"alive {read.start - create.end:.2f} s after its create was answered")
            if read.told["alive"] and read.told["expires"] > create.told["created"] + LIFETIME + SLACK:
                wrong.append(f"was promised {read.told['expires'] - create.told['created']:.2f} s")
    return violated(f"nothing lives longer than {LIFETIME} s", wrong, {"reads": looked}, looked=looked)


@judges_in_peace(revocation, "SES-REV-001")
def revoked_at_once_and_for_good(histories: Sequence[History]) -> Finding:
    """No read that begins after a revocation was answered shows the session alive, whatever others do meanwhile."""
    found = [returns(history, faults=False) for history in histories]
    back = [f"{handle} was alive after its revocation" for each in found for handle in each.back]
    judged = sum(each.judged for each in found)
    return violated("no revoked session is seen alive", back, {"revoked": judged, "back": len(back)}, looked=judged)


@judges_in_peace(revocation, "SES-REV-002")
def the_reason_is_told(histories: Sequence[History]) -> Finding:
    """A read of a revoked session answers with the reason that came first."""
    looked, wrong = 0, []
    for history in histories:
        reasons = {op.asked["session"]: op.asked["reason"] for op in history.calls("revoke")}
        ended = {handle: op.asked["reason"] for op in history.calls("revoke_all") for handle in op.told["sessions"]}
        last = max((op.end for op in (*history.calls("revoke"), *history.calls("revoke_all"))), default=0)
        for read in history.calls("get"):
            if read.start > last or not read.told["alive"]:
                looked += 1
                wanted = reasons.get(read.asked["session"], ended.get(read.asked["session"]))
                if read.told.get("reason") != wanted:
                    wrong.append(f"said {read.told.get('reason')!r} for {wanted!r}")
    return violated("the first reason is in the answer", wrong, {"reads": looked}, looked=looked)


@judges_in_peace(revocation, "SES-REV-003")
def all_sessions_of_a_user_end(histories: Sequence[History]) -> Finding:
    """After everything of a user was revoked, nothing is listed."""
    listed = [op for history in histories for op in history.calls("list")]
    wrong = [f"{len(op.told['sessions'])} sessions are listed" for op in listed if op.told["sessions"]]
    return violated("nothing is listed afterwards", wrong, {"users": len(listed)}, looked=len(listed))


@judges_in_peace(revocation, "SES-REV-004")
def answers_have_one_order(histories: Sequence[History]) -> Finding:
    """Search an order that explains every answer, for each session."""
    expected = "one order of all calls on a session explains every answer"
    return _register(histories, expected, lambda seen: {"alive", "gone"} & {each.what for each in seen})


@judges_in_peace(counts, "SES-COUNT-001")
def counts_of_a_user_are_exact(histories: Sequence[History]) -> Finding:
    """Compare counts and lists with what was created and revoked before."""
    looked, wrong = 0, []
    for history in histories:
        unsure = _unsure(history)
        for op in (*history.calls("count"), *history.calls("list")):
            user = op.asked.get("user")
            if not user or user in unsure:
                continue
            made = [each for each in history.calls("create") if each.asked["user"] == user and each.end < op.start]
            gone = [each for each in history.calls("revoke") if each.asked["user"] == user and each.end < op.start]
            told = op.told["count"] if op.call == "count" else len(op.told["sessions"])
            looked += 1
            if told != len(made) - len(gone):
                wrong.append(f"{op.call} says {told}, and {len(made) - len(gone)} were alive")
    return violated("counts and lists say how many are alive", wrong, {"answers": looked}, looked=looked)


@judges_in_peace(counts, "SES-COUNT-002")
def the_count_of_everything_is_exact(histories: Sequence[History]) -> Finding:
    """Between two counts of all sessions is what was created and not revoked, where nobody else uses the target."""
    looked, wrong = 0, []
    for history in (each for each in histories if not _unsure(each)):
        more = len(history.calls("create")) - len(history.calls("revoke"))
        told = [op.told["count"] for op in history.calls("count") if not op.asked.get("user")]
        looked += len(told) // 2
        if told and told[-1] - told[0] != more:
            wrong.append(f"the count grew by {told[-1] - told[0]}, the sessions by {more}")
    return violated("the count of all sessions is exact", wrong, {"counts": looked}, looked=looked)


@judges_in_peace(rotation, "SES-ROT-001")
def the_old_id_opens_nothing(histories: Sequence[History]) -> Finding:
    """Without a grace the old id ends with the rotation; with one it still opens the session."""
    seen = [each for history in histories for each in history.seen("rotation")]
    wrong = [
        f"grace {each['grace']} s: the old id opens: {each['old_opens']}"
        for each in seen
        if each["old_opens"] != (each["grace"] > 0)
    ]
    return violated("the old id works in its grace only", wrong, {"rotations": len(seen)}, looked=len(seen))


@judges_in_peace(rotation, "SES-ROT-002")
def the_session_goes_on_under_the_new_id(histories: Sequence[History]) -> Finding:
    """The new id is another one, opens the session, and its metadata is there."""
    seen = [each for history in histories for each in history.seen("rotation")]
    wrong = [str(each) for each in seen if not (each["renamed"] and each["new_opens"] and each["kept"])]
    return violated("the new id opens the same session", wrong, {"rotations": len(seen)}, looked=len(seen))


@judges_in_peace(rotation, "SES-ID-001")
def a_handle_opens_nothing(histories: Sequence[History]) -> Finding:
    """The public name of a session is refused in place of its id."""
    seen = [each for history in histories for each in history.seen("handle as id")]
    wrong = ["a handle opened its session" for each in seen if each["opens"]]
    return violated("a handle is refused as an id", wrong, {"tries": len(seen)}, looked=len(seen))


def _unsure(history: History) -> set[str]:
    """Users of whom nobody knows how many sessions they have: a login or logout was not answered."""
    return {op.asked["user"] for call in ("create", "revoke") for op in history.calls(call, "info")}


def _life(create: Op) -> float:
    return float(create.told["expires"]) - float(create.told["created"])


def _register(histories: Sequence[History], expected: str, shows: Callable[[Collection[Seen]], object]) -> Finding:
    """`shows`: whether what was seen of a session could have shown a violation."""
    wrong, unknown, looked = [], [], 0
    for history in histories:
        bad, unclear = not_linearizable(history)
        looked += sum(bool(shows([each.what for each in actions])) for _, actions in sessions(history).values())
        wrong += [f"no order explains the answers about {handle}" for handle in bad]
        unknown += unclear
    evidence = {"sessions": looked, "undecided": len(unknown)}
    if unknown and not wrong:
        return Finding("unknown", expected, f"the search gave up on {len(unknown)} sessions", evidence)
    return violated(expected, wrong, evidence, looked=looked)
