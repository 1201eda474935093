"""The report of a run, and that its verdict can be computed again from the histories."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from conformance.cli import main
from conformance.history import History, Recorder
from conformance.report import HISTORIES, write
from conformance.report.compare import compare, page
from conformance.report.model import Span, report
from conformance.report.verify import ReportError, read, verify
from conformance.requirements import register
from conformance.run import Choice, Result, judge
from conformance.targets import Target
from tests.conformance.made import Story

SECRET = "the-password-of-the-application"
TARGET = Target(
    "endpoint",
    "<redis-1>",
    {"redis_url": f"redis://user:{SECRET}@here:6379/0", "redis_password": SECRET, "redis_username": "sessions"},
    frozenset({"tls"}),
)


def record(directory: Path, *answers: str) -> None:
    """A history of the experiment `strangers`: what ports say to a PING without TLS."""
    directory.mkdir(exist_ok=True)
    recorder = Recorder(directory / "strangers-01.jsonl")
    recorder.fault("begin")
    number = recorder.invoke("a", "create", user="u")
    recorder.complete(number, "ok", session="s", durable=True, created=1, expires=2, evicted=[], alive=True)
    for answer in answers:
        recorder.probe("plain", address="redis-1:6379", answer=answer)
    recorder.save()


@pytest.fixture(name="out")
def _out(tmp_path: Path) -> Path:
    record(tmp_path / HISTORIES, "", "PONG")
    wanted = [each for each in register().requirements if each.id in {"SEC-TLS-001", "SEC-TLS-003"}]
    histories = {"strangers-01.jsonl": History.read(tmp_path / HISTORIES / "strangers-01.jsonl")}
    results = [judge(wanted[0], histories), Result(wanted[1], "not_supported", actual="not claimed: listening")]
    choice = Choice(ids=frozenset(each.id for each in wanted))
    write(report(TARGET, {"redis-1:6379": "redis 8.0.2"}, choice, results, Span(datetime.now(UTC), 1.5)), tmp_path)
    return tmp_path


def test_a_failed_requirement_has_what_was_expected_and_what_was_seen_in_every_form(out: Path) -> None:
    seen = "redis-1:6379 answers without TLS: PONG"
    [failed] = [
        each for each in json.loads((out / "report.json").read_text())["requirements"] if each["status"] == "fail"
    ]
    assert (failed["expected"], failed["actual"]) == ("no port answers without TLS", seen)
    failure = ET.parse(out / "junit.xml").find(".//failure")
    assert failure is not None
    assert failure.get("message") == seen
    page = (out / "report.html").read_text()
    assert seen in page
    assert "no port answers without TLS" in page
    assert "&lt;redis-1&gt;" in page


def test_a_requirement_that_was_not_examined_stays_in_the_count(out: Path) -> None:
    suite = ET.parse(out / "junit.xml").find("testsuite")

    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "skipped", "errors")} == {
        "tests": "2", "failures": "1", "skipped": "1", "errors": "0",
    }  # fmt: skip


def test_the_page_draws_when_the_fault_was_and_needs_no_other_file(out: Path) -> None:
    page = (out / "report.html").read_text()

    assert "<svg" in page
    assert ">begin</text>" in page
    assert "src=" not in page
    assert "href=" not in page


def test_no_form_of_a_report_holds_a_secret(out: Path) -> None:
    for path in out.rglob("*.*"):
        assert SECRET not in path.read_text(), path


def test_the_verdict_is_computed_again_from_the_histories(out: Path) -> None:
    found = verify(out)

    assert (found.exit_code, found.differences) == (1, ())


def edit(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the report, and leave its histories as they are."""
    path = directory / "report.json"
    report = json.loads(path.read_text())
    change(report)
    path.write_text(json.dumps(report))


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"status": "pass"}, "SEC-TLS-001: the report says pass, the histories say fail"),
        ({"status": "not_supported"}, "SEC-TLS-001: the report says not_supported, the histories say fail"),
        ({"status": "skipped"}, "SEC-TLS-001: the report says skipped, the histories say fail"),
        ({"evidence": {"ports": 7}}, "SEC-TLS-001: the report says ports 7, the histories say 2"),
        ({"histories": []}, "SEC-TLS-001: the report says judged by nothing, the histories say strangers-01.jsonl"),
    ],
    ids=["pass", "not supported", "skipped", "other figures", "other histories"],
)
def test_a_report_that_says_otherwise_than_its_histories_is_found_out(
    out: Path, change: dict[str, Any], difference: str
) -> None:
    edit(out, lambda report: report["requirements"][0].update(change))

    assert main(["verify-report", str(out)]) == 3
    assert verify(out).differences[0].startswith(difference)


def test_the_register_says_what_a_must_is_and_not_the_report(out: Path) -> None:
    def weaken(report: dict[str, Any]) -> None:
        report["requirements"][0]["requirement"]["level"] = "SHOULD"
        report.update(verdict="inconclusive", exit_code=2)

    edit(out, weaken)

    assert verify(out).exit_code == 1
    assert verify(out).differences[0] == "SEC-TLS-001: the report says level SHOULD, the register says MUST"


def test_a_requirement_that_was_taken_out_of_a_report_is_found_out(out: Path) -> None:
    edit(out, lambda report: report["requirements"].pop(0))

    assert verify(out).differences == ("SEC-TLS-001: asked for, and not in the report",)


def test_a_requirement_that_was_put_into_a_report_is_found_out(out: Path) -> None:
    edit(out, lambda report: report["requirements"].append(report["requirements"][1]))

    assert verify(out).differences == ("SEC-TLS-003: in the report, and not asked for",)


def test_a_history_that_is_not_the_one_of_the_run_is_found_out(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = out / HISTORIES / "strangers-01.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))

    assert main(["verify-report", str(out)]) == 3
    assert "strangers-01.jsonl: not the history that the report was made from" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["3", "[]", "null", "{}", "x", '{"kind": "ok"}'])
def test_a_history_that_is_none_is_an_error_of_the_report(
    out: Path, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(out, as_of_version_1)
    (out / HISTORIES / "strangers-01.jsonl").write_text(line)

    assert main(["verify-report", str(out)]) == 3
    assert "SEC-TLS-001: its histories cannot be judged" in capsys.readouterr().err


def as_of_version_1(report: dict[str, Any]) -> None:
    """Version 1 did not say how its histories were."""
    report["schema_version"] = 1
    del report["histories"]


def test_a_report_of_the_first_version_can_be_read_and_checked(out: Path) -> None:
    edit(out, as_of_version_1)

    assert verify(out).differences == ()


def test_a_report_is_written_anew_as_its_histories_are_judged_now(out: Path) -> None:
    edit(out, as_of_version_1)
    edit(out, lambda report: report["requirements"][0].update(status="pass"))

    assert main(["verify-report", str(out), "--write"]) == 1
    found = json.loads((out / "report.json").read_text())
    assert [each["status"] for each in found["requirements"]] == ["fail", "not_supported"]
    assert found["histories"].keys() == {"strangers-01.jsonl"}
    assert verify(out).differences == ()


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"exit_code": 0}, "the report says exit code 0, its results say 1"),
        ({"verdict": "conformant"}, "the report says verdict conformant, its results say violation"),
        ({"profiles": []}, "the report says profiles , its results say SECURITY: fail, 1 fail, 1 not_supported"),
    ],
    ids=["exit code", "verdict", "profiles"],
)
def test_a_verdict_that_does_not_follow_from_the_results_is_found_out(
    out: Path, change: dict[str, Any], difference: str
) -> None:
    edit(out, lambda report: report.update(change))

    assert verify(out).differences == (difference,)


def test_a_directory_without_a_report_cannot_be_checked(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="not a report that can be checked"):
        verify(tmp_path)


def test_a_report_that_was_kept_without_its_histories_says_so(out: Path) -> None:
    (out / HISTORIES / "strangers-01.jsonl").unlink()

    with pytest.raises(ReportError, match=r"strangers-01\.jsonl: missing; a report that was kept without"):
        verify(out)


def killed(directory: Path, kills: int, *, loses: int = 0) -> Path:
    """The report of a run with so many kills, of which that one loses the second of two confirmed logins."""
    (directory / HISTORIES).mkdir(parents=True)
    histories = {}
    for number in range(1, kills + 1):
        story = Story().fault(0, "begin", bound=8, node="redis-1").create("s1", 0, 1).fault(2, "bit", what="")
        story.create("s2", 4, 5).create("s3", 5, 6, durable=False).audit("s1", 9, 10, alive=True)
        story.audit("s2", 9, 10, alive=number != loses).audit("s3", 9, 10, alive=False)
        name = f"kill_primary-{number:02}.jsonl"
        story.save(directory / HISTORIES / name)
        histories[name] = History.read(directory / HISTORIES / name)
    choice = Choice(ids=frozenset({"HA-KILL-001", "HA-KILL-002"}))
    results = [judge(each, histories) for each in register().requirements if choice.has(each)]
    write(report(TARGET, {"redis-1": "redis 8.0.2"}, choice, results, Span(datetime.now(UTC), 30)), directory)
    return directory


def test_runs_that_agree_are_counted_together(tmp_path: Path) -> None:
    found = compare([killed(tmp_path / "one", 2), killed(tmp_path / "two", 1)])
    text = page(found)

    assert (found.agree, found.exit_code) == (True, 0)
    assert "Every run has the same verdict, and the same word on each MUST that all could examine." in text
    assert "| kill_primary | 3 | 4 / 4 / 4 | 0 of 6 | 3 of 3 | 0 of 0 |" in text


def test_runs_that_disagree_are_inconclusive_and_say_where(tmp_path: Path) -> None:
    found = compare([killed(tmp_path / "one", 1), killed(tmp_path / "two", 2, loses=2)])

    assert (found.agree, found.exit_code) == (False, 2)
    [difference] = found.differences
    assert "HA-KILL-002: pass in " in difference
    assert "| kill_primary | 3 | 4 / 4 / 4 | 1 of 6 |" in page(found)


def test_only_reports_that_their_histories_bear_out_are_compared(tmp_path: Path) -> None:
    forged = killed(tmp_path / "one", 2, loses=2)
    edit(forged, lambda report: report["requirements"][1].update(status="pass"))

    with pytest.raises(ReportError, match="one: HA-KILL-002: the report says pass, the histories say fail"):
        compare([forged])


def test_a_report_that_was_kept_without_its_histories_is_compared_and_not_counted(tmp_path: Path) -> None:
    kept, whole = killed(tmp_path / "kept", 4), killed(tmp_path / "whole", 1)
    shutil.rmtree(kept / HISTORIES)
    text = page(compare([kept, whole]))

    assert f"Kept without histories, and therefore taken as they are: {kept}." in text
    assert "| kill_primary | 1 | 4 / 4 / 4 | 0 of 2 |" in text
    assert "kill_primary" not in page(compare([kept]))


def test_the_page_counts_what_was_lost_and_how_long_nothing_was_accepted(tmp_path: Path) -> None:
    text = (killed(tmp_path / "one", 2) / "report.html").read_text()

    assert "<td>kill_primary</td><td>2</td><td>4 / 4 / 4</td><td>0 of 4</td><td>2 of 2</td>" in text
    assert text.count("<svg") == 1, "the turn with the longest gap"


@pytest.mark.parametrize(
    ("figure", "shown"), [("gap_max_s", "never / never / never"), ("settled_max_s", "never / never")]
)
def test_what_never_came_is_told_as_that_and_can_be_read_again(tmp_path: Path, figure: str, shown: str) -> None:
    (tmp_path / HISTORIES).mkdir()
    story = Story().fault(1.5, "begin", node="redis-1", bound=8).fault(5, "bit")
    if figure == "settled_max_s":
        story.create("s1", 0, 1).create("s2", 1, 3).fault(6, "healed").fault(99, "unsettled", problem="x")
    name = "kill_primary-01.jsonl"
    story.save(tmp_path / HISTORIES / name)
    choice = Choice(ids=frozenset({"HA-KILL-001", "HA-KILL-005"}))
    histories = {name: History.read(tmp_path / HISTORIES / name)}
    results = [judge(each, histories) for each in register().requirements if choice.has(each)]
    write(report(TARGET, {"redis-1": "redis 8.0.2"}, choice, results, Span(datetime.now(UTC), 30)), tmp_path)

    assert verify(tmp_path).differences == ()
    assert "never" in {each.evidence.get(figure) for each in read(tmp_path).requirements}
    assert shown in (tmp_path / "report.html").read_text()
    assert shown in page(compare([tmp_path]))


def test_a_file_that_is_no_report_is_told_by_its_field(out: Path) -> None:
    edit(out, lambda report: report.update(verdict="splendid"))

    with pytest.raises(ReportError) as raised:
        read(out)
    assert f"{out / 'report.json'}: not a report that can be checked\n  verdict: " in str(raised.value)
    assert "http" not in str(raised.value)


def test_what_a_program_said_in_colour_leaves_the_report_readable(out: Path) -> None:
    requirement = next(each for each in register().requirements if each.id == "SEC-TLS-003")
    result = Result(requirement, "error", actual="exit 1: \x1b[31mAccess\x00Denied\x1b[0m", expected="a\ud800b")
    write(report(TARGET, {}, Choice(ids=frozenset({"SEC-TLS-003"})), [result], Span(datetime.now(UTC), 1)), out)

    error = ET.parse(out / "junit.xml").find(".//error")
    assert error is not None
    assert error.get("message") == "error: exit 1: AccessDenied"
    assert read(out).requirements[0].expected == "ab"


def test_an_answer_that_never_came_may_take_effect_at_any_time(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "h.jsonl")
    recorder.invoke("a", "create", user="u")
    recorder.save()

    [op] = History.read(tmp_path / "h.jsonl").ops
    assert (op.outcome, op.end) == ("info", float("inf"))


def test_the_configuration_is_told_without_its_secrets(out: Path) -> None:
    config = json.loads((out / "report.json").read_text())["config"]

    assert config["REDIS_PASSWORD"] == config["REDIS_URL"] == "[redacted]"
    assert config["REDIS_USERNAME"] == "sessions"


def test_the_configuration_tells_what_was_allowed_and_what_was_set() -> None:
    choice = Choice(allow_disruptive=True, changes=("redisImage=valkey/valkey:8", "admin.password=s3cret"))
    made = report(TARGET, {}, choice, [], Span(datetime.now(UTC), 1))

    assert made.config["allow_disruptive"] == "yes"
    assert made.config["set"] == "redisImage=valkey/valkey:8 admin.password=[redacted]"


def test_what_was_allowed_and_was_skipped_all_the_same_is_found_out(tmp_path: Path) -> None:
    directory = killed(tmp_path / "one", 1)
    edit(directory, lambda report: report["config"].update(allow_disruptive="yes"))
    edit(directory, lambda report: report["requirements"][0].update(status="skipped"))

    assert verify(directory).differences[0].startswith("HA-KILL-001: the report says skipped, the histories say pass")
