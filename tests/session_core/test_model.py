"""Random histories on Redis and on the model: `session_core.memory`, which is small enough to be read."""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from session_core import Settings, library
from session_core.ids import BUCKETS
from tests.session_core.conftest import redis_settings
from tests.session_core.model import Sessions
from tests.session_core.servers import Server

pytestmark = pytest.mark.engine
EXAMPLES = int(os.environ.get("KIT_TEST_MODEL_EXAMPLES", "45"))
"""Each has at most 50 steps. More than the default are drawn anew in each run."""


def _run(server: Server, examples: int, phases: tuple[Phase, ...], steps: int = 50) -> None:
    with server.admin() as admin:

        def empty() -> None:
            admin.flushdb()
            admin.hset("session_meta", mapping={"buckets": BUCKETS, "schema": library.SCHEMA})

        def make(**chosen: object) -> Settings:
            return redis_settings(server, **chosen)

        run_state_machine_as_test(
            lambda: Sessions(make, empty),  # type: ignore[arg-type]  # whatever makes a machine
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                derandomize=examples <= 45,
                database=None,
                deadline=None,
                phases=phases,
                print_blob=True,
                suppress_health_check=list(HealthCheck),
            ),
        )


PLANTED = {
    "a limit that is one too high": ("- limit + 1", "- limit"),
    "a change that overwrites another": ("record[AT.version] ~= version and", "false and"),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_the_comparison_finds_what_is_planted(redis: Server, bug: str) -> None:
    before, after = PLANTED[bug]
    source = library.source()
    assert before in source
    with redis.admin() as admin:
        admin.function_load(source.replace(before, after), replace=True)
    with pytest.raises((AssertionError, Flaky)):
        _run(redis, 45, (Phase.generate,))


def test_redis_and_the_model_agree_over_thousands_of_random_steps(redis: Server) -> None:
    Sessions.steps = 0
    _run(redis, EXAMPLES, (Phase.generate,))
    print(f"{Sessions.steps} steps")
    assert Sessions.steps >= (2000 if EXAMPLES >= 45 else 40 * EXAMPLES)
