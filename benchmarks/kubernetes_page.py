"""Writes docs/reports/kubernetes.json, and docs/reports/kubernetes.md from it."""

import json
from pathlib import Path
from typing import Any, Final

from conformance.checkers.gaps import quantile

JSON: Final = Path(__file__).parents[1] / "docs" / "reports" / "kubernetes.json"
UNKNOWN: Final = "not measured"
HEAD: Final = (
    "what happens",
    "made",
    "times",
    "longest time without an accepted login: median, p95, longest",
    "aim",
    "logins failed",
    "lost of acknowledged",
    "requests failed",
)


def write(report: dict[str, Any]) -> None:
    """Write both."""
    JSON.write_text(json.dumps(report, indent=2) + "\n")
    JSON.with_suffix(".md").write_text(page(report))


def page(report: dict[str, Any]) -> str:
    """Return the report for a reader."""
    known = ", ".join(f"{name} {value}" for name, value in report["environment"].items())
    rows = "\n".join(_row(each) for each in report["faults"].values())
    return f"""# A deployment on Kubernetes

Made by `python -m benchmarks.kubernetes`: {known}.

| what | figure | aim |
|---|---|---|
| start of the cluster, programs and images there | {_seconds(report, "cluster")} | 60 s |
| `pulumi up` of a new stack on it | {_seconds(report, "up")} | 120 s |

## Faults under load

TLS and ACL users throughout. Logins begin at a fixed rate, whatever the answers take; one without an answer for 10 s
fails. Acknowledged are those that a replica confirmed; lost, those of them that are gone when all has settled, with
one primary (else there is no figure). Requests ask the session service who is signed in, on a new connection each. The
cluster's machines, the deployment and the writer share the cores of one machine.

| {" | ".join(HEAD)} |
|{"---|" * len(HEAD)}
{rows}
"""


def _seconds(report: dict[str, Any], what: str) -> str:
    return f"{report[what]['seconds']} s" if what in report else UNKNOWN


def _row(fault: dict[str, Any]) -> str:
    runs, made = fault["runs"], fault["made"][:16]
    if "missing" in fault:
        return f"| {fault['what']} | {made} | {len(runs)} | {fault['missing']} | {fault['aim']} | | | |"

    def total(name: str) -> int:
        return sum(run.get(name, 0) for run in runs)

    gaps = [run["gap_s"] for run in runs]
    times = ", ".join(f"{quantile(gaps, share):.2f}" for share in (0.5, 0.95, 1)) if len(gaps) > 1 else f"{gaps[0]:.2f}"
    cells = (
        fault["what"],
        made,
        str(len(runs)),
        f"{times} s",
        fault["aim"],
        f"{total('failed')} of {total('tried')}",
        f"{total('lost')} of {total('acknowledged')}",
        f"{total('requests_failed')} of {total('requests')}" if total("requests") else "",
    )
    return f"| {' | '.join(cells)} |"
