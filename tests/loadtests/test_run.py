"""Locust against a real server and a real service: the gate passes good ones, and breaks for slow and wrong ones."""

import time

import pytest
import redis

from loadtests import bounded
from tests.loadtests.running import LOCUST, Load, bare_environment

pytestmark = pytest.mark.engine


def lose(admin: redis.Redis) -> None:
    admin.delete(*admin.keys("session:*"))


def test_a_good_service_passes(http_load: Load) -> None:
    assert http_load.run() == 0, http_load.output

    operations = http_load.found["operations"]
    assert {"validate", "touch", "create"} <= set(
        operations
    )  # of 300 starts none may be a logout, which is one in a hundred
    assert sum(each["answered"] for each in operations.values()) >= 100
    assert http_load.server.admin().zcard("session_index:{0}") == 0


def test_a_target_that_stops_for_a_while_breaks_the_gate(load: Load) -> None:
    def pause(admin: redis.Redis) -> None:
        admin.client_pause(1500)

    load.during = pause

    assert load.run("operations: {validate: {p95_ms: 300}}\nachieved_ratio: 0.5\ndropped: 100") == 1, load.output

    # A closed model would have sent nothing meanwhile, and shown one slow answer for each user.
    assert "validate p95_ms" in load.broken(), "the starts of a second and a half waited, of the three that count"


def test_a_service_that_loses_sessions_breaks_the_gate(http_load: Load) -> None:
    http_load.during = lose

    assert http_load.run() == 1, http_load.output

    assert "a session that lives is not there" in http_load.output
    assert "wrong answers" in http_load.broken()


def test_a_target_that_brings_sessions_back_breaks_the_gate(load: Load) -> None:
    def restore(admin: redis.Redis) -> None:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            for key in admin.keys("session:*"):
                admin.hdel(key, "revoked")

    load.during = restore
    load.options = ["--workload", "steady", "--rate", "400"]

    assert load.run() == 1, load.output

    assert "a session that was ended answers as one that lives" in load.output


def test_without_a_target_it_says_which_variable_is_missing() -> None:
    done = bounded.run([*LOCUST, "--headless", "-u", "1", "-t", "2s"], 30, bare_environment())

    assert done.code == 3
    assert "REDIS_URL is missing" in done.output
