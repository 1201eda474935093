"""Starts have times that are known beforehand, whatever the answers take."""

from itertools import pairwise

import pytest

from loadtests.pace import pace_of


def test_all_users_together_start_at_the_rate() -> None:
    users = 8
    paces = [pace_of(100, users, position / users, 50.0) for position in range(users)]

    starts = sorted(pace.take() for pace in paces for _ in range(25))

    assert starts[0] == 50.0
    assert starts[-1] - starts[0] == pytest.approx(199 / 100)
    assert {round(later - earlier, 9) for earlier, later in pairwise(starts)} == {0.01}


def test_a_user_that_was_busy_finds_the_starts_that_it_has_missed() -> None:
    pace = pace_of(10, 1, 0, 0.0)
    assert [pace.take() for _ in range(3)] == [0.0, 0.1, 0.2]

    assert pace.overdue(5.05) == 51 - 3
    assert pace.take() == pytest.approx(0.3), "late, and counted from when it was meant to start"
    assert pace.overdue(0.15) == 0


@pytest.mark.parametrize(("rate", "users"), [(0, 1), (-1, 1), (10, 0)])
def test_a_rate_that_cannot_be_kept_is_refused(rate: float, users: int) -> None:
    with pytest.raises(ValueError, match="a rate above 0"):
        pace_of(rate, users, 0, 0)
