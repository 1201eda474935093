"""What is asked for: the configuration file and the command line; what cannot be done is refused before anything is."""

import asyncio
import json
from pathlib import Path

import pytest

from conformance.cli import main
from conformance.config import Config, ConfigError, Hook, read
from conformance.run import Result
from conformance.targets import Target


def test_a_configuration_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "settings: {REDIS_URL: 'redis://here'}\nfaults: {failover: {inject: 'true'}}\nprofiles: [SECURITY]\n"
    )

    assert read(path) == Config(
        settings={"REDIS_URL": "redis://here"}, faults={"failover": Hook(inject="true")}, profiles=("SECURITY",)
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("setings: {}", "setings: Extra inputs are not permitted"),
        ("recovery_seconds: 0", "recovery_seconds: Input should be greater than 0"),
        ("profiles: [NONSENSE]", "profiles: NONSENSE: no such profile"),
        ("faults: {kill: {heal: x}}", "faults.kill.inject: Field required"),
        ("a: b: c", "not YAML"),
        ("x: 2026-13-45", "not YAML: month must be in 1..12"),
        ("faults: {kil: {inject: x}}", r"faults\.kil.*: Input should be 'kill', 'pause', "),
        ("features: [nonsense]", "features: nonsense: no requirement needs it; those that are known: admin_config, "),
        ("settings: {REDIS_PASWORD: x}", "settings: REDIS_PASWORD: no variable of the session library"),
    ],
)
def test_a_wrong_configuration_file_is_told_by_its_field(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=problem):
        read(path)


def test_a_file_of_bytes_is_no_configuration(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigError, match=r"c\.yaml: not YAML: 'utf-8' codec can't decode"):
        read(path)


def test_outputs_of_bytes_are_no_outputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "o.json").write_bytes(b"\xff\xfe\x00")

    assert main(["run", "--outputs", str(tmp_path / "o.json"), "--out", str(tmp_path / "out")]) == 3
    assert "o.json: not JSON: 'utf-8' codec can't decode" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "text", "problem"),
    [
        (
            [],
            "settings: {REDIS_URL: 'redis://here'}\nprofiles: [MANAGED]",
            "settings: of an endpoint alone; add --endpoint or take it out",
        ),
        (["--stack", "dev"], "features: [wait]", "features: of an endpoint alone; add --endpoint or take it out"),
        (["--outputs", "o"], "faults: {kill: {inject: x}}", "faults: of an endpoint alone; add --endpoint or take it"),
        (
            ["--endpoint"],
            "settings: {SESSION_TTL_SECONDS: '7'}",
            "settings: SESSION_TTL_SECONDS: set by each experiment",
        ),
        (["--endpoint", "--set", "a=b"], "", "--set: of the suite's own containers alone; leave it out"),
        (["--stack", "dev", "--set", "a=b"], "", "--set: of the suite's own containers alone; leave it out"),
        (["--set", "redisImage"], "", "--set redisImage: must be KEY=VALUE"),
    ],
)
def test_what_would_have_no_effect_is_refused(
    tmp_path: Path, options: list[str], text: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text(text)

    assert main(["run", *options, "--config", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "out")]) == 3
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ([], ["MONITORING", ""]),
        (["--id", "SES-TTL-002"], ["", "SES-TTL-002"]),
        (["--profile", "MANAGED"], ["MANAGED", ""]),
    ],
)
def test_the_command_line_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], asked: list[str]
) -> None:
    in_memory(monkeypatch)
    (tmp_path / "c.yaml").write_text("profiles: [MONITORING]")

    main(["run", "--endpoint", *options, "--config", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "out")])

    config = json.loads((tmp_path / "out" / "report.json").read_text())["config"]
    assert [config["profiles"], config["ids"]] == asked


def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint is this process, which cannot be examined by more than one client."""

    async def found(_config: Config) -> Target:
        return Target("endpoint", "x", {"session_backend": "memory"}, frozenset())

    monkeypatch.setattr("conformance.cli.endpoint", found)


def test_a_run_that_breaks_off_leaves_no_report_of_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def interrupted(_run: object) -> None:
        raise KeyboardInterrupt

    in_memory(monkeypatch)
    command = ["run", "--endpoint", "--profile", "MONITORING", "--out", str(tmp_path)]
    main(command)
    (tmp_path / "histories" / "old-01.jsonl").touch()
    (tmp_path / "notes.txt").touch()
    monkeypatch.setattr("conformance.cli.Run.results", interrupted)

    assert main(command) == 3
    assert "interrupted" in capsys.readouterr().err
    assert {path.name for path in tmp_path.rglob("*")} == {"histories", "notes.txt"}


def test_a_target_that_does_not_answer_leaves_the_earlier_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    (tmp_path / "report.json").touch()

    assert main(["run", "--endpoint", "--out", str(tmp_path)]) == 3
    assert (tmp_path / "report.json").exists()


def test_two_runs_do_not_write_into_one_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", "--endpoint", "--profile", "MONITORING", "--out", str(tmp_path)]
    codes = []

    async def another_run(_run: object) -> list[Result]:
        codes.append(await asyncio.to_thread(main, command))
        return []

    in_memory(monkeypatch)
    monkeypatch.setattr("conformance.cli.Run.results", another_run)

    assert main(command) == 2
    assert codes == [3]
    assert f"--out {tmp_path}: another run writes there" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["run", "--profile", "NONSENSE"], ["run", "--repeat", "x"], ["list", "--what"], []])
def test_wrong_usage_is_no_verdict(wrong: list[str]) -> None:
    assert main(wrong) == 3


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--help"]) == 0
    assert "exit codes: 0 conformant" in capsys.readouterr().out


def test_a_fault_of_the_suite_is_no_violation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr("conformance.cli.verify", broken)

    assert main(["verify-report", str(tmp_path)]) == 3
    said = capsys.readouterr().err
    assert said.splitlines()[0] == "conformance: a fault of this suite, which says nothing about the target:"
    assert "ZeroDivisionError: of ours" in said


def test_an_endpoint_that_nobody_named_is_told_where_to_name_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--endpoint", "--out", str(tmp_path)]) == 3
    assert (
        "REDIS_URL is missing: set it in the environment, or under settings in the file of --config"
        in capsys.readouterr().err
    )


def test_an_unknown_requirement_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--id", "SES-NONE-001", "--out", str(tmp_path)]) == 3
    assert "--id SES-NONE-001: no such requirement; see: conformance list" in capsys.readouterr().err


def test_the_list_is_for_people_and_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--profile", "HA-PARTITION"]) == 0
    assert "HA-CUT-001     MUST   HA-PARTITION" in capsys.readouterr().out
    assert main(["list", "--json"]) == 0
    assert {each["level"] for each in json.loads(capsys.readouterr().out)} == {"MUST", "SHOULD"}
