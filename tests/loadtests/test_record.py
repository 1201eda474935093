"""What several generators have measured adds up, and survives the way between processes."""

import json

import pytest

from loadtests.record import Fault, Gap, Record, Sample


def measured(latencies: list[float], *, error: str = "") -> Record:
    record = Record(cpu={f"process {len(latencies)}": 0.5})
    for number, latency in enumerate(latencies):
        record.started(number, number + 0.002, idle=True)
        record.ended("validate", number, latency, error)
    return record


def test_the_sum_of_two_records_is_the_record_of_both() -> None:
    one, other = measured([0.001, 0.002]), measured([0.1, 0.2, 0.3], error="READONLY")
    other.dropped, other.lost, other.target = 4, 2, 7.0
    one.gaps, other.gaps = [Gap(10.0, 16.0), Gap(20.0, 21.0)], [Gap(9.0, 12.5), Gap(15.0, 20.5)]
    one.samples, other.faults = {3: Sample(1000, 2)}, [Fault(4.0, "kill", "redis-1")]

    total = Record()
    for each in (one, other):
        total.add(Record.unpacked(json.loads(json.dumps(each.packed()))))

    assert total.operations["validate"].answered == 2
    assert total.operations["validate"].errors == {"READONLY": 3}
    assert total.intended == 2 + 3 + 4
    assert total.gaps == [Gap(10.0, 12.5), Gap(15.0, 16.0), Gap(20.0, 20.5)], "nobody wrote"
    assert total.longest_gap == 2.5
    assert (total.lost, total.target) == (2, 7.0)
    assert total.samples == {3: Sample(1000, 2)}
    assert total.faults == [Fault(4.0, "kill", "redis-1")]
    assert total.seconds[1].mean_ms == pytest.approx((2 + 200) / 2, rel=0.01)
    assert {number: (each.answered, each.failed) for number, each in total.seconds.items()} == {
        0: (1, 1),
        1: (1, 1),
        2: (0, 1),
    }
    assert total.cpu == {"process 2": 0.5, "process 3": 0.5}
    assert total.lag.whole.total_count == 5


def test_latency_below_a_millisecond_is_told_apart() -> None:
    record = measured([0.000_150] * 99 + [0.000_900])

    latency = record.operations["validate"].latency.whole

    assert 149 <= latency.get_value_at_percentile(50) <= 151
    assert 899 <= latency.get_max_value() <= 901


def test_an_idle_user_that_wakes_late_is_no_late_start() -> None:
    record = Record()

    record.started(10.0, 10.5, idle=True)
    assert (record.late, record.lag.whole.total_count) == (0, 1)

    record.started(10.0, 10.5, idle=False)
    assert (record.late, record.lag.whole.total_count) == (1, 1)


def test_the_share_of_the_store_is_that_while_we_measured() -> None:
    record = measured([0.001] * 5)
    record.samples = {second: Sample(0, 0, abs(second) * 0.25) for second in range(-5, 20)}
    assert record.store_cpu == pytest.approx(0.25)
    assert Record().store_cpu is None


def test_a_long_latency_keeps_three_figures_and_has_an_end() -> None:
    record = measured([12.345678] * 3 + [10_000.0])

    latency = record.operations["validate"].latency.whole

    assert latency.get_value_at_percentile(50) == pytest.approx(12_345_678, rel=0.001)
    assert latency.get_max_value() == pytest.approx(600_000_000, rel=0.001)
