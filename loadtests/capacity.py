"""Finds the highest rate that a deployment holds: `python -m loadtests.capacity --help`."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from loadtests import bounded
from loadtests.__main__ import LOCUSTFILE, OVERHEAD_SECONDS
from loadtests.gate import Verdict
from loadtests.options import options_help
from loadtests.search import Step, highest, limit, search

NOTHING_HELD: Final = 1
EXAMPLES: Final = """

examples (the file of thresholds says what has to hold):
  python -m loadtests.capacity --stack dev --thresholds loadtests/thresholds/steady.yaml --report out --users 50
  python -m loadtests.capacity --stack dev --thresholds mine.yaml --report out --users 50 --level http --start 100
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Search, print, write capacity.json; 1 if no rate held."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.capacity",
        description=__doc__,
        epilog=options_help() + EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--start", type=float, default=200, help="first rate, operations a second")
    parser.add_argument("--seconds", type=int, default=15, help="of each step")
    parser.add_argument("--steps", type=int, default=10, help="at the most")
    parser.add_argument("--level", default="redis", help="redis or http")
    parser.add_argument("--thresholds", type=Path, required=True, help="what has to hold")
    parser.add_argument("--report", type=Path, required=True, help="directory; each step has one in it")
    asked, others = parser.parse_known_args(arguments)
    options = [*others, "--level", asked.level, "--thresholds", str(asked.thresholds)]
    steps = search(asked.start, asked.steps, lambda rate: run_step(rate, asked.seconds, asked.report, options))
    best = highest(steps)
    found = {"level": asked.level, "limit": limit(steps, asked.level), "steps": [asdict(step) for step in steps]}
    (asked.report / "capacity.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    sys.stdout.write(f"highest rate that holds: {best.rate if best else 0:g} a second\nlimit: {found['limit']}\n")
    return 0 if best else NOTHING_HELD


def run_step(
    rate: float, seconds: int, directory: Path, options: Sequence[str], environment: Mapping[str, str] | None = None
) -> Step:
    """Run Locust at one rate and say how it went.

    Raises:
        NotEndedError: it did not end.
        OSError: it wrote no report.
    """
    report = directory / f"rate-{rate:g}"
    command = [
        *(sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"),
        *("--rate", f"{rate}", "--run-time", f"{seconds}s", "--report", str(report), *options),
    ]
    done = bounded.run(command, seconds + OVERHEAD_SECONDS, environment)
    try:
        step = read_step(json.loads((report / "report.json").read_text("utf-8")))
    except FileNotFoundError:
        raise OSError(f"no report of {rate:g} a second:\n{done.output}") from None
    sys.stdout.write(f"{rate:>8g} a second: {step.verdict}" + "".join(f"; {each}" for each in step.broken) + "\n")
    sys.stdout.flush()
    return step


def read_step(report: Mapping[str, Any]) -> Step:
    """What a report says about its rate."""
    ended = sum(each["answered"] + sum(each["errors"].values()) for each in report["operations"].values())
    each_us = 1e6 * report["seconds"] / max(1, ended)
    generators, store = report["generator_cpu"].values(), report["store_cpu"]
    return Step(
        rate=report["rate"],
        verdict=Verdict(report["verdict"]),
        generator_cpu=max(generators, default=0.0),
        store_cpu=store,
        generator_us=sum(generators) * each_us,
        store_us=None if store is None else store * each_us,
        broken=tuple(f"{each['name']} {each['found']}" for each in report["findings"] if not each["holds"]),
    )


if __name__ == "__main__":
    sys.exit(main())
