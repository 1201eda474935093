"""Runs the contract's tests against each mutant of the Lua: a test finds it, or it is explained in `survivors`.

Examples:
  python -m tests.mutation                   # all files, about half an hour
  python -m tests.mutation change revoke     # these; the others keep their results in the report
  python -m tests.mutation --resume          # those whose Lua is not that of the report
  python -m tests.mutation --survivors       # once more what survived unexplained, with new tests
"""

import argparse
import platform
import time
from collections.abc import Iterator

from session_core import library
from tests.mutation.judge import Judge
from tests.mutation.mutants import Mutant, mutants
from tests.mutation.report import Report, Result
from tests.session_core import servers


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "files", nargs="*", metavar="file", help=f"of session_core/functions: {', '.join(library.FILES)}"
    )
    parser.add_argument("--resume", action="store_true", help="leave out files whose results are there")
    parser.add_argument(
        "--survivors", action="store_true", help="only what survived unexplained; the rest stays as it is"
    )
    options = parser.parse_args()
    if unknown := set(options.files) - set(library.FILES):
        parser.error(f"no file of session_core/functions: {', '.join(sorted(unknown))}")
    report = Report.read()
    files = [file for file in options.files or library.FILES if not (options.resume and report.is_current(file))]

    def work(judge: Judge) -> None:
        for file in files:
            kept = report.settled(file) if options.survivors else []
            known = {(one["line"], one["after"]) for one in kept}
            tried = [one for one in mutants(file) if (one.line, one.after.strip()) not in known]
            results = sorted([*kept, *_try(judge, tried)], key=lambda one: int(one["line"]))
            report.replace(file, results, {"image": servers.IMAGE, "python": platform.python_version()})

    if files:
        Judge(work).collect()
    print(report.summary())
    raise SystemExit(report.problems() or None)


def _try(judge: Judge, tried: list[Mutant]) -> Iterator[Result]:
    for mutant in tried:
        start = time.monotonic()
        found = judge.killer_of(mutant.source())
        print(f"{time.monotonic() - start:6.1f} s  {mutant.name}  {found or 'SURVIVES'}", flush=True)
        yield {
            "line": mutant.line, "before": mutant.before.strip(), "after": mutant.after.strip(), "killed_by": found,
        }  # fmt: skip


if __name__ == "__main__":
    main()
