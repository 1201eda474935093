"""The gate breaks for what the target does, and says so if the generator may be to blame."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from loadtests.bounds import Latency, Thresholds, ThresholdsError, read_thresholds
from loadtests.gate import Verdict, judge
from loadtests.record import WRONG, Fault, Gap, Record, Sample
from loadtests.workloads import WORKLOADS

ROOT = Path(__file__).resolve().parents[2]
TIGHT = Thresholds(operations={"validate": Latency(p50_ms=5, p99_ms=50)}, longest_gap_seconds=8)


def run(latency: float = 0.002, *, lag: float = 0.000_1, cpu: float = 0.3, count: int = 1000) -> Record:
    """A run of `count` validations that took `latency` seconds each, by a generator that was late by `lag`."""
    record = Record(cpu={"generator": cpu}, target=count)
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
    record.ended("validate", 3, 0.001, "unavailable")

    assert broken(record) == {"error ratio"}
    assert judge(record, Thresholds(error_ratio=0.01))[0] is Verdict.PASS


def test_starts_that_never_began_break_the_gate() -> None:
    record = run()
    record.dropped, record.target = 200, 1200

    assert broken(record) == {"achieved ratio", "dropped"}


def test_starts_that_were_late_are_bounded() -> None:
    record = run()
    record.late = 60

    assert broken(record, Thresholds(late_ratio=0.05)) == {"late ratio"}
    assert not broken(record, Thresholds(late_ratio=0.07))


def test_a_rate_that_was_not_reached_breaks_the_gate() -> None:
    record = run()
    record.target = 1100

    assert broken(record) == {"achieved ratio"}


@pytest.mark.parametrize("field", ["p50_ms", "p95_ms", "p99_ms", "p99_9_ms"])
def test_every_percentile_is_looked_at(field: str) -> None:
    assert broken(run(0.02), Thresholds(operations={"validate": Latency(**{field: 19})})) == {f"validate {field}"}
    assert not broken(run(0.02), Thresholds(operations={"validate": Latency(**{field: 21})}))


def test_an_error_is_counted_in_its_class() -> None:
    record = run()
    for _ in range(20):
        record.ended("create", 3, 0.001, "full")
    record.target += 20
    allowed = Thresholds(errors={"full": 0.5}, reaches=("full",))

    assert broken(record, allowed) == set()
    assert broken(record, Thresholds(errors={"full": 0.01})) == {"errors full"}
    assert broken(record, Thresholds()) == {"error ratio"}
    record.ended("validate", 3, 0.001, "unavailable")
    assert broken(record, allowed) == {"error ratio"}


def test_a_workload_that_did_not_get_where_it_wanted_says_nothing() -> None:
    assert judge(run(), Thresholds(errors={"full": 1}, reaches=("full",)))[0] is Verdict.INCONCLUSIVE


def test_a_fault_that_was_not_injected_says_nothing() -> None:
    record = run()
    assert judge(record, Thresholds(faults=1))[0] is Verdict.INCONCLUSIVE

    record.faults = [Fault(3.0, "kill", "redis-1")]
    assert judge(record, Thresholds(faults=1))[0] is Verdict.PASS


def test_a_lost_session_breaks_the_gate_whatever_else_is_true() -> None:
    record = run(cpu=1.0)
    record.lost = 1

    assert judge(record, TIGHT)[0] is Verdict.BROKEN
    assert "lost sessions" in broken(record)


def stored(*samples: tuple[int, int]) -> Record:
    record = run()
    record.samples = {number: Sample(*each) for number, each in enumerate(samples)}
    return record


def test_memory_for_each_session_is_bounded() -> None:
    record = stored((1_000_000, 10), (1_000_500, 11), (1_200_000, 110))

    assert record.bytes_per_session == 2000
    assert broken(record, Thresholds(bytes_per_session=1900)) == {"bytes per session"}
    assert not broken(record, Thresholds(bytes_per_session=2100))


@pytest.mark.parametrize("bound", ["bytes_per_session", "memory_drift", "latency_drift"])
def test_what_could_not_be_measured_says_nothing(bound: str) -> None:
    record = stored((1_000_000, 10), (1_000_500, 11))
    record.seconds = {}

    assert judge(record, Thresholds(**{bound: 1}))[0] is Verdict.INCONCLUSIVE


def test_memory_that_grows_while_sessions_do_not_breaks_the_gate() -> None:
    record = stored((0, 0), *((100_000 * (1 + each), 100) for each in range(12)))

    assert broken(record, Thresholds(memory_drift=1.5)) == {"memory drift"}
    steady = stored((0, 0), *((100_000 + each, 100) for each in range(12)))
    assert not broken(steady, Thresholds(memory_drift=1.5))


def test_latency_that_grows_breaks_the_gate() -> None:
    record = Record(cpu={"generator": 0.3}, target=12)
    for second in range(12):
        record.ended("validate", second, 0.001 * (1 + second))

    assert broken(record, Thresholds(latency_drift=1.5)) == {"latency drift"}
    assert not broken(record, Thresholds(latency_drift=10))


def test_a_gap_without_writes_is_bounded() -> None:
    record = run()
    record.gaps = [Gap(100.0, 108.5)]

    assert broken(record) == {"longest gap s"}


def test_nothing_measured_is_no_pass() -> None:
    assert judge(Record(), Thresholds())[0] is not Verdict.PASS
    assert judge(Record(), TIGHT)[0] is not Verdict.PASS


def test_an_operation_with_a_bound_that_never_ended_well_breaks_it() -> None:
    bounds = Thresholds(operations={"create": Latency(p50_ms=5)}, error_ratio=1)
    record = run()
    assert judge(record, bounds)[0] is Verdict.INCONCLUSIVE, "it was never tried"

    record.ended("create", 3, 0.001, "unavailable")
    assert broken(record, bounds) == {"create p50_ms"}
    assert judge(record, bounds)[0] is Verdict.BROKEN


@pytest.mark.parametrize("file", sorted((ROOT / "loadtests" / "thresholds").iterdir()), ids=lambda file: file.name)
def test_the_files_of_the_kit_can_be_read(file: Path) -> None:
    assert read_thresholds(file).operations
    assert file.stem.removesuffix("-http") in WORKLOADS


def test_every_workload_has_a_file() -> None:
    assert {file.stem for file in (ROOT / "loadtests" / "thresholds").iterdir()} >= set(WORKLOADS)


@pytest.mark.parametrize(
    ("level", "workload", "file"),
    [("redis", "steady", "steady"), ("http", "steady", "steady-http"), ("http", "login_storm", "login_storm")],
)
def test_make_takes_the_file_of_the_level_if_there_is_one(level: str, workload: str, file: str) -> None:
    command = ["make", "--dry-run", "load", "capacity", f"LEVEL={level}", f"WORKLOAD={workload}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    shown = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout

    assert re.findall(r"--thresholds (\S+)", shown) == 2 * [f"loadtests/thresholds/{file}.yaml"]


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
