"""The gate breaks for what the target does, and says so if the generator may be to blame."""

from pathlib import Path

import pytest

from loadtests.gate import Latency, Thresholds, ThresholdsError, Verdict, judge, read_thresholds
from loadtests.record import WRONG, Record

ROOT = Path(__file__).resolve().parents[2]
TIGHT = Thresholds(operations={"validate": Latency(p50_ms=5, p99_ms=50)}, longest_gap_seconds=8)


def run(latency: float = 0.002, *, lag: float = 0.000_1, cpu: float = 0.3, count: int = 1000) -> Record:
    """A run of `count` validations that took `latency` seconds each, by a generator that was late by `lag`."""
    record = Record(cpu={"generator": cpu})
    for number in range(count):
        record.started(number, number + lag, idle=True)
        record.ended("validate", number // 100, latency)
    return record


def broken(record: Record, thresholds: Thresholds = TIGHT) -> set[str]:
    return {finding.name for finding in judge(record, thresholds)[1] if not finding.holds}


def test_a_target_that_holds_everything_passes() -> None:
    verdict, findings = judge(run(), TIGHT)

    assert verdict is Verdict.PASS
    assert verdict.exit_code == 0
    assert all(finding.holds for finding in findings)


def test_a_slow_target_breaks_the_gate() -> None:
    verdict, _ = judge(run(0.02), TIGHT)

    assert verdict is Verdict.BROKEN
    assert verdict.exit_code == 1
    assert broken(run(0.02)) == {"validate p50_ms"}


def test_latency_that_the_generator_itself_may_have_made_says_nothing() -> None:
    verdict, _ = judge(run(0.02, lag=0.018), TIGHT)

    assert verdict is Verdict.INCONCLUSIVE
    assert verdict.exit_code == 2


def test_latency_far_beyond_what_the_generator_may_have_made_breaks_the_gate() -> None:
    assert judge(run(0.5, lag=0.018), TIGHT)[0] is Verdict.BROKEN


@pytest.mark.parametrize("latency", [0.002, 0.5])
def test_a_saturated_generator_says_nothing(latency: float) -> None:
    assert judge(run(latency, cpu=0.97), TIGHT)[0] is Verdict.INCONCLUSIVE


def test_a_wrong_answer_breaks_the_gate_whatever_else_is_true() -> None:
    record = run(cpu=1.0)
    record.ended("validate", 3, 0.001, WRONG)

    assert judge(record, TIGHT)[0] is Verdict.BROKEN
    assert "wrong answers" in broken(record)
    assert judge(record, Thresholds(error_ratio=1))[0] is Verdict.BROKEN


def test_errors_are_counted_by_their_ratio() -> None:
    record = run()
    record.ended("validate", 3, 0.001, "NOREPLICAS")

    assert broken(record) == {"error ratio"}
    assert judge(record, Thresholds(error_ratio=0.01))[0] is Verdict.PASS


def test_starts_that_never_began_break_the_gate() -> None:
    record = run()
    record.dropped = 200

    assert broken(record) == {"achieved ratio", "dropped"}


def test_a_gap_without_writes_is_bounded() -> None:
    record = run()
    record.longest_gap = 8.5

    assert broken(record) == {"longest gap s"}


def test_nothing_measured_is_no_pass() -> None:
    assert judge(Record(), Thresholds())[0] is not Verdict.PASS
    assert judge(Record(), TIGHT)[0] is not Verdict.PASS


def test_an_operation_with_a_bound_that_never_ended_well_breaks_it() -> None:
    assert broken(run(), Thresholds(operations={"create": Latency(p50_ms=5)})) == {"create p50_ms"}


@pytest.mark.parametrize("file", sorted((ROOT / "loadtests" / "thresholds").iterdir()), ids=lambda file: file.name)
def test_the_files_of_the_kit_can_be_read(file: Path) -> None:
    assert read_thresholds(file).operations


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("operations: {validate: {p50: 5}}", "operations.validate.p50"),
        ("error_ratio: 2", "error_ratio"),
        ("operations: {validate: {p50_ms: 0}}", "p50_ms"),
        ("- a\n- list", "dictionary"),
        ("a: [", "not YAML"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_name_and_field(text: str, named: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)

    with pytest.raises(ThresholdsError, match=r"mine\.yaml") as refused:
        read_thresholds(file)

    assert named in str(refused.value)
