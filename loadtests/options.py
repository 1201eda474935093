"""The options of the load test beside those of Locust."""

from argparse import SUPPRESS, ArgumentParser, RawDescriptionHelpFormatter
from typing import Final

from loadtests.target import LEVELS
from loadtests.workloads import WORKLOADS

LOCUSTS: Final = (
    "All other options are Locust's (`locust --help`): --users, --spawn-rate, --stop-timeout, --processes ..."
)


def add_options(parser: ArgumentParser) -> None:
    """Add them to Locust's parser, and so to its web page."""
    names = ", ".join(f"{name} ({each.about})" for name, each in WORKLOADS.items())
    parser.add_argument("--workload", choices=sorted(WORKLOADS), default="steady", help=names)  # on the web page, too
    parser.add_argument(
        "--rate", type=float, default=0.0, help="operations started a second, all users together; 0: the workload's own"
    )
    group = parser.add_argument_group("sessions", "on what, and what has to hold")
    group.add_argument("--level", choices=LEVELS, default="redis", help="Redis itself, or the session service")
    group.add_argument("--stack", default="", help="the target by its outputs, as Pulumi tells them")
    group.add_argument("--outputs", default="", help="the target by a file of the form of a stack's outputs")
    group.add_argument(
        "--conformance", default="", help="file of the conformance suite: settings, and commands that inject faults"
    )
    group.add_argument("--warm-up", type=float, default=3.0, help="seconds at the beginning that are not measured")
    group.add_argument(
        "--thresholds", default="", help="file of thresholds; the exit code is then 0 pass, 1 broken, 2 inconclusive"
    )
    group.add_argument("--report", default="", help="directory for report.json, report.html, junit.xml")
    # Among how many users the rate is shared: a master tells its workers, which know only their own options.
    group.add_argument("--all-users", type=int, default=0, help=SUPPRESS)


def options_help() -> str:
    """What `--help` says of them: Locust's does not, since it has not read our file by then."""
    parser = ArgumentParser(usage=SUPPRESS, add_help=False, formatter_class=RawDescriptionHelpFormatter)
    add_options(parser)
    return parser.format_help() + "\n" + LOCUSTS + "\n"
