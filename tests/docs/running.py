"""Runs the snippets of a document."""

import ast
import asyncio
import doctest
import inspect
import os
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any

from tests.docs.snippets import ROOT, Snippet

TIMEOUT = 300  # s


def run_shell(snippet: Snippet, environment: Mapping[str, str]) -> None:
    """Run a `bash` or `console` snippet in the root of the project, as a user would who has done `eval "$(make env)"`.

    AssertionError if it fails, or prints something else than it says.
    """
    script = f'eval "$(make env)"\n{snippet.script}'
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, f"{snippet}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    agree = not snippet.printed or doctest.OutputChecker().check_output(snippet.printed, done.stdout, flags)
    assert agree, f"{snippet}: says\n{snippet.printed}\nprints\n{done.stdout}"


def run_python(several: Iterable[Snippet]) -> dict[str, Any]:
    """Run `python` snippets in one event loop, `await` at the top level as in `python -m asyncio`; their names."""
    names: dict[str, Any] = {}
    with asyncio.Runner() as runner:
        try:
            for snippet in several:
                code = compile(snippet.text, str(snippet), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                outcome = eval(code, names)  # noqa: S307 - our own documents
                if inspect.iscoroutine(outcome):
                    runner.run(outcome)
        finally:
            if "session_mgr" in names:
                runner.run(names["session_mgr"].aclose())
    return names
