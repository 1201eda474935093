"""SECURITY: what strangers and the application can do with the ports of a deployment. Nothing here changes anything.

Commands are sent in a form that does no harm even where they are allowed: with an argument that is refused after the
rights were looked at.
"""

import asyncio
import ssl
import time
from collections.abc import Sequence

import hiredis

from conformance.experiments.durable import administer
from conformance.finding import Finding, violated
from conformance.history import Fields, History
from conformance.lab import Lab
from conformance.requirements import judges
from conformance.wire import Login, LoginError, WireError, converse, pairs
from session_core.address import Address

DANGEROUS: tuple[tuple[str, ...], ...] = (
    ("FLUSHALL", "nonsense"),
    ("FLUSHDB", "nonsense"),
    ("SWAPDB", "0", "nonsense"),
    ("CONFIG", "GET", "maxmemory"),
    ("CONFIG", "SET", "nonsense", "nonsense"),
    ("KEYS", "conformance-no-such-key"),
    ("SCAN", "0", "COUNT", "1"),
    ("MONITOR",),
    ("DEBUG", "HELP"),
    ("SHUTDOWN", "ABORT"),
    ("REPLICAOF", "nowhere", "nonsense"),
    ("ACL", "LIST"),
    ("ACL", "SETUSER", "default", "nonsense"),
    ("MODULE", "LIST"),
    ("FUNCTION", "LOAD", "nonsense"),
    ("FUNCTION", "DELETE", "conformance_no_such_library"),
    ("EVAL", "return 1", "0"),
    ("SCRIPT", "EXISTS", "0000"),
    ("CLIENT", "LIST"),
    ("CLIENT", "KILL", "ID", "0"),
    ("BGSAVE", "nonsense"),
    ("SUBSCRIBE", "__sentinel__:hello"),
    ("GET", "conformance-no-such-key"),
    ("MIGRATE", "nowhere", "1", "conformance-no-such-key", "0", "1"),
    ("LATENCY", "LATEST"),
    ("SLOWLOG", "GET", "1"),
)
"""Commands that the application has no need of."""
OF_SENTINEL: tuple[tuple[str, ...], ...] = (
    ("SENTINEL", "FAILOVER", "conformance-no-such-master"),
    ("SENTINEL", "RESET", "conformance-no-such-master"),
    ("SENTINEL", "REMOVE", "conformance-no-such-master"),
    ("SENTINEL", "SET", "conformance-no-such-master", "quorum", "1"),
    ("SENTINEL", "CONFIG", "GET", "resolve-hostnames"),
    ("SHUTDOWN", "ABORT"),
    ("ACL", "LIST"),
    ("CLIENT", "LIST"),
)
"""The same of a Sentinel."""
DAYS = 14
"""A certificate has to be valid for so long still."""
NOT_REACHED = "not reached: "
REFUSED = ("NOPERM", "ERR DEBUG command not allowed")
"""By the rights of the user, or for everybody by the server's own settings."""


async def strangers(lab: Lab) -> None:
    """Knock at every port that listens: without TLS, without a user, as `default`; look at the certificate."""
    await asyncio.to_thread(_knock, lab)


async def rights(lab: Lab) -> None:
    """Try every dangerous command as the application's user."""
    await asyncio.to_thread(_try, lab)


def _knock(lab: Lab) -> None:
    announced = (*lab.target.nodes, *lab.target.sentinels)
    if lab.target.admin:
        for node in lab.target.nodes:
            user = pairs(administer(lab, node, "ACL", "GETUSER", "default"))
            lab.recorder.probe("default user", address=str(node), on="off" not in user["flags"])
    for address in announced:
        lab.recorder.probe("plain", address=str(address), answer=_plain(lab, address))
        lab.recorder.probe("nobody", address=str(address), answer=_alone(lab, address, Login()))
        lab.recorder.probe("default", address=str(address), answer=_alone(lab, address, Login("default", "nonsense")))
        lab.recorder.probe("certificate", address=str(address), **_certificate(lab, address))
        for port in sorted(lab.target.faults.listening(address.host)):
            lab.recorder.probe("listens", node=address.host, port=port, announced=address.port)


def _plain(lab: Lab, address: Address) -> str:
    """What a PING without TLS gets; empty if the server does not speak so."""
    try:
        connection = lab.target.wire.connect(address, plain=True)
    except OSError as error:
        return f"{NOT_REACHED}{error}"
    try:
        with connection:
            return str(converse(connection, [("PING",)])[0])
    except (WireError, OSError, hiredis.ProtocolError):
        return ""


def _alone(lab: Lab, address: Address, login: Login) -> str:
    """What a command gets that is sent by nobody, or by this user."""
    try:
        return str(lab.target.wire.ask(address, login, ("PING",))[0])
    except LoginError as error:
        return f"refused: {error}"
    except WireError as error:
        return f"{NOT_REACHED}{error}"


def _certificate(lab: Lab, address: Address) -> dict[str, object]:
    """Whether the certificate is from the authority, for the announced name, and for how many days still."""
    try:
        with lab.target.wire.connect(address) as connection:
            if not isinstance(connection, ssl.SSLSocket):
                return {"verified": False, "problem": "no TLS", "version": "", "days": 0.0}
            shown = connection.getpeercert() or {}
            ends = ssl.cert_time_to_seconds(str(shown["notAfter"]))
            return {
                "verified": True,
                "problem": "",
                "version": connection.version(),
                "days": round((ends - time.time()) / 86400, 1),
            }
    except OSError as error:
        return {"verified": False, "problem": str(error), "version": "", "days": 0.0}


def _try(lab: Lab) -> None:
    nodes = lab.target.nodes or lab.target.settings().target.addresses
    tries = [(node, lab.target.login, words) for node in nodes for words in DANGEROUS]
    tries += [(node, lab.target.sentinel_login, words) for node in lab.target.sentinels for words in OF_SENTINEL]
    for node, login, words in tries:
        try:
            [answer] = lab.target.wire.ask(node, login, words)
        except WireError as error:
            answer = f"{NOT_REACHED}{error}"
        lab.recorder.probe("dangerous", address=str(node), command=" ".join(words[:2]), answer=str(answer))


@judges(strangers, "SEC-TLS-001")
def plain_connections_get_no_answer(histories: Sequence[History]) -> Finding:
    """A port that answers a PING without TLS leaks every password."""
    seen = [each for history in histories for each in history.seen("plain")]
    reached = _reached(seen)
    wrong = [f"{each['address']} answers without TLS: {each['answer']}" for each in reached if each["answer"]]
    finding = violated("no port answers without TLS", wrong, {"ports": len(reached)}, looked=len(reached))
    return _of_all(seen, finding)


@judges(strangers, "SEC-TLS-002")
def the_certificate_is_right(histories: Sequence[History]) -> Finding:
    """From the named authority, for the announced name, TLS 1.2 or 1.3, not about to end."""
    seen = [each for history in histories for each in history.seen("certificate")]
    wrong = [f"{each['address']}: {each['problem']}" for each in seen if not each["verified"]]
    wrong += [
        f"{each['address']}: ends in {each['days']} days" for each in seen if each["verified"] and each["days"] < DAYS
    ]
    wrong += [
        f"{each['address']}: {each['version']}"
        for each in seen
        if each["verified"] and each["version"] not in {"TLSv1.2", "TLSv1.3"}
    ]
    return violated(
        f"every certificate is verified, and valid for {DAYS} days",
        wrong,
        {"certificates": len(seen)},
        looked=len(seen),
    )


@judges(strangers, "SEC-TLS-003")
def nothing_else_listens(histories: Sequence[History]) -> Finding:
    """The only port on which a node listens is the announced one."""
    seen = [each for history in histories for each in history.seen("listens")]
    wrong = [f"{each['node']} listens on {each['port']}" for each in seen if each["port"] != each["announced"]]
    return violated("only the announced port listens", wrong, {"ports": len(seen)}, looked=len(seen))


@judges(strangers, "SEC-ACL-001")
def nobody_gets_in_without_a_user(histories: Sequence[History]) -> Finding:
    """Without a login, or as `default`, every command is refused."""
    seen = [each for history in histories for name in ("nobody", "default") for each in history.seen(name)]
    reached = _reached(seen)
    wrong = [
        f"{each['address']} answers {each['answer']}"
        for each in reached
        if not each["answer"].startswith(("NOAUTH", "refused: "))  # NOPERM: somebody is let in, and may do other things
    ]
    users = [each for history in histories for each in history.seen("default user")]
    wrong += [f"{each['address']}: the user default is on" for each in users if each["on"]]
    expected = "a connection without a user may do nothing"
    return _of_all(seen, violated(expected, wrong, {"tries": len(reached)}, looked=len(reached)))


@judges(rights, "SEC-ACL-002")
def the_application_may_do_nothing_dangerous(histories: Sequence[History]) -> Finding:
    """Every command that the library does not need is refused to its user (least privilege)."""
    seen = [each for history in histories for each in history.seen("dangerous")]
    known = [each for each in _reached(seen) if "unknown command" not in each["answer"]]
    wrong = [
        f"{each['address']} answers {each['command']}: {each['answer'][:60]}"
        for each in known
        if not each["answer"].startswith(REFUSED)
    ]
    finding = violated("every dangerous command is refused", wrong, {"commands": len(known)}, looked=len(known))
    return _of_all(seen, finding)


def _reached(seen: Sequence[Fields]) -> list[Fields]:
    return [each for each in seen if not each["answer"].startswith(NOT_REACHED)]


def _of_all(seen: Sequence[Fields], finding: Finding) -> Finding:
    """A port that cannot be reached is no port that refuses."""
    away = [each for each in seen if each["answer"].startswith(NOT_REACHED)]
    if not away or finding.status == "fail":
        return finding
    first = f"{away[0]['address']}: {away[0]['answer']}"
    return Finding("unknown", finding.expected, f"{len(away)} tries reached nobody ({first})", finding.evidence)
