"""The language host, driven over gRPC as the engine does it, with an executor that tells what it was started with."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import language_pb2 as lang
from pulumi.runtime.proto.language_pb2_grpc import LanguageRuntimeStub

from tests.ci.machine import CHECKOUT

EXECUTOR = """
import json, os, sys, time
config = {name: json.loads(os.environ[name]) for name in ("PULUMI_CONFIG", "PULUMI_CONFIG_SECRET_KEYS")}
with open("told.partial", "w") as file:
    json.dump({"arguments": sys.argv[1:], "python": sys.executable, "pid": os.getpid(), **config}, file)
os.rename("told.partial", "told")
time.sleep(float(os.environ.get("EXECUTOR_SECONDS", "0")))
sys.exit(int(os.environ.get("EXECUTOR_CODE", "0")))
"""


class Host:
    """A running language host in a project directory of its own."""

    def __init__(self, project: Path, **environment: str) -> None:
        self.project = project
        host = project / "pulumi-language-python"
        shutil.copy(CHECKOUT / "ci" / host.name, host)
        (project / "pulumi-language-python-exec").write_text(EXECUTOR)
        command = [sys.executable, str(host), "127.0.0.1:4000"]
        self.process = subprocess.Popen(
            command,
            cwd=project,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout
        self.channel = grpc.insecure_channel(f"127.0.0.1:{int(self.process.stdout.readline())}")
        self.runtime = LanguageRuntimeStub(self.channel)

    def request(self) -> lang.RunRequest:
        options = Struct()
        options.update({"virtualenv": os.path.relpath(sys.prefix, self.project)})
        info = lang.ProgramInfo(
            root_directory=str(self.project), program_directory=str(self.project), entry_point=".", options=options
        )
        return lang.RunRequest(
            info=info, pwd=str(self.project), project="kit", stack="dev", monitor_address="127.0.0.1:4001", parallel=8
        )

    def told(self) -> dict[str, object]:
        """What the executor was started with, as soon as it has started."""
        end = time.monotonic() + 10
        while not (self.project / "told").exists():
            assert time.monotonic() < end, "the executor was not started"
            time.sleep(0.05)
        told: dict[str, object] = json.loads((self.project / "told").read_text())
        return told

    def stop(self) -> int:
        self.channel.close()
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=10)


@pytest.fixture(name="host")
def _host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    host.stop()


def test_the_program_runs_in_the_virtual_environment_of_the_project(host: Host) -> None:
    request = host.request()
    request.config["kit:size"] = "3"
    request.configSecretKeys.append("kit:token")
    request.dryRun = True

    answer = host.runtime.Run(request)

    told = host.told()
    assert answer == lang.RunResponse()
    assert Path(str(told["python"])).parent.parent == Path(sys.prefix)
    assert told["PULUMI_CONFIG"] == {"kit:size": "3"}
    assert told["PULUMI_CONFIG_SECRET_KEYS"] == ["kit:token"]
    arguments = told["arguments"]
    assert isinstance(arguments, list)
    assert arguments[-1] == "."
    assert dict(zip(arguments[:-1:2], arguments[1:-1:2], strict=True)) == {
        "--monitor": "127.0.0.1:4001",
        "--engine": "127.0.0.1:4000",
        "--project": "kit",
        "--root_directory": str(host.project),
        "--stack": "dev",
        "--pwd": str(host.project),
        "--dry_run": "true",
        "--parallel": "8",
    }


def test_an_update_is_not_a_dry_run(host: Host) -> None:
    host.runtime.Run(host.request())

    arguments = host.told()["arguments"]
    assert isinstance(arguments, list)
    assert "--dry_run" not in arguments


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("32", lang.RunResponse(bail=True)),  # the executor has told the user already
        ("1", lang.RunResponse(error="Program exited with non-zero exit code: 1")),
    ],
)
def test_a_program_that_fails_is_an_error(tmp_path: Path, code: str, answer: lang.RunResponse) -> None:
    host = Host(tmp_path, EXECUTOR_CODE=code)

    assert host.runtime.Run(host.request()) == answer
    host.stop()


def test_a_missing_virtual_environment_is_an_error_that_names_it(host: Host) -> None:
    request = host.request()
    request.info.options.update({"virtualenv": ".none"})

    assert str(host.project / ".none" / "bin" / "python") in host.runtime.Run(request).error


def test_a_program_whose_engine_goes_away_is_ended(tmp_path: Path) -> None:
    host = Host(tmp_path, EXECUTOR_SECONDS="60")
    running = host.runtime.Run.future(host.request())
    program = host.told()["pid"]

    running.cancel()

    end = time.monotonic() + 10
    while Path(f"/proc/{program}").exists():
        assert time.monotonic() < end, "the program goes on"
        time.sleep(0.05)
    host.stop()


def test_its_version_is_that_of_the_sdk_and_it_ends_without_a_word(host: Host) -> None:
    assert host.runtime.GetPluginInfo(Empty()).version.startswith("3.")
    assert host.runtime.GetRequiredPackages(lang.GetRequiredPackagesRequest()) == lang.GetRequiredPackagesResponse()
    assert host.stop() == -signal.SIGINT
    assert host.process.stdout
    assert host.process.stdout.read() == ""
