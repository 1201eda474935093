"""The snippets of README and docs that need a running deployment, run as a reader would."""

from collections.abc import Iterator

import pytest

from infra.outputs_env import environment
from tests.docs.running import run_python, run_shell
from tests.docs.snippets import ROOT, Snippet, stack_snippets
from tests.stack.kit import Access

pytestmark = [pytest.mark.stack, pytest.mark.engine]


@pytest.fixture(name="healthy")
def _healthy(running: Access) -> Iterator[Access]:
    running.wait_settled()
    yield running
    (ROOT / ".state" / f"{running.stack.name}.ca.pem").unlink(missing_ok=True)


@pytest.mark.parametrize("snippet", stack_snippets(), ids=str)
def test_a_snippet_works_on_a_running_deployment(
    healthy: Access, snippet: Snippet, monkeypatch: pytest.MonkeyPatch
) -> None:
    if snippet.language == "python":
        for name, value in environment(healthy.outputs, healthy.ca_file).items():
            monkeypatch.setenv(name, value)
        run_python([snippet])
    else:
        name = healthy.stack.name
        run_shell(snippet.of(name), {**healthy.stack.environment(), "STACK": name, "PULUMI_STACK": name})
