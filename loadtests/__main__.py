"""Runs the load test without its web page, with a time limit, once or several times: `python -m loadtests --help`."""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from loadtests import bounded
from loadtests.baseline import BaselineError, compare
from loadtests.gate import Verdict
from loadtests.options import options_help

LOCUSTFILE: Final = Path(__file__).with_name("locustfile.py")
OVERHEAD_SECONDS: Final = 120
"""What a run may take beyond its time: start, logins before, cleaning up."""
UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600}
WORST_FIRST: Final = (3, Verdict.BROKEN.exit_code, Verdict.INCONCLUSIVE.exit_code, Verdict.PASS.exit_code)
OTHERS: Final = (
    "All other options are Locust's, and those of loadtests/locustfile.py (--workload, --stack, --level ...)."
)
EXAMPLES: Final = """

examples:
  python -m loadtests --stack dev --report out --users 50 --thresholds loadtests/thresholds/steady.yaml
  python -m loadtests --stack dev --report out --workload failover_under_load --users 50
  python -m loadtests --stack dev --report out --level http --repeat 3 --baseline before/report.json --users 50
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the worst exit code of all runs, or 1 if they are slower than the baseline."""
    asked, others = _parser().parse_known_args(arguments)
    codes = list(_runs(asked, others))
    if asked.baseline and set(codes) <= {Verdict.PASS.exit_code}:
        codes.append(_compared(asked))
    known = [code if code in WORST_FIRST else Verdict.BROKEN.exit_code for code in codes]  # a crash has its own
    return min(known, key=WORST_FIRST.index)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests",
        description=__doc__,
        epilog=options_help() + EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run-time", type=_seconds, default=60, metavar="60s", help="60s, 5m, 2h")
    parser.add_argument("--repeat", type=int, default=1, help="runs, one after the other")
    parser.add_argument("--report", type=Path, required=True, help="directory; each of several has one in it")
    parser.add_argument("--baseline", type=Path, help="report.json of a run that they must not be slower than")
    parser.add_argument("--tolerance", type=float, default=0.25, help="how far the median of the ratios may be above 1")
    return parser


def _seconds(text: str) -> int:
    found = re.fullmatch(r"(\d+)([smh]?)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text}: not of the form 60s, 5m or 2h")
    return int(found[1]) * UNITS[found[2]]


def _runs(asked: argparse.Namespace, others: Sequence[str]) -> Iterator[int]:
    for report in _directories(asked):
        command = [
            *(sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"),
            *("--run-time", f"{asked.run_time}s", "--report", str(report), *others),
        ]
        try:
            yield bounded.run(command, asked.run_time + OVERHEAD_SECONDS, shown=True).code
        except bounded.NotEndedError as error:
            sys.stderr.write(f"{error}\n")
            yield Verdict.BROKEN.exit_code


def _directories(asked: argparse.Namespace) -> list[Path]:
    report: Path = asked.report
    return [report / f"run-{number + 1}" for number in range(asked.repeat)] if asked.repeat > 1 else [report]


def _compared(asked: argparse.Namespace) -> int:
    def read(file: Path) -> dict[str, Any]:
        return json.loads(file.read_text("utf-8"))  # type: ignore[no-any-return]

    try:
        runs = [read(each / "report.json") for each in _directories(asked)]
        found = compare(read(asked.baseline), runs, asked.tolerance)
    except (BaselineError, OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"{asked.baseline}: {error}\n")
        return Verdict.INCONCLUSIVE.exit_code
    sys.stdout.write("\n".join([f"against {asked.baseline}:", *map(str, found), ""]))
    return int(not all(each.holds for each in found))


if __name__ == "__main__":
    sys.exit(main())
