"""Rules for the whole suite."""

import os

import hypothesis
import pytest

hypothesis.settings.register_profile("kit", deadline=None)  # how busy the machine is, is no finding
hypothesis.settings.load_profile("kit")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run in CI in which a test was skipped: what should run there has to."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if reporter and skipped and exitstatus == pytest.ExitCode.OK and os.environ.get("CI"):
        reporter.write_line(f"{len(skipped)} tests were skipped, which CI does not allow", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
