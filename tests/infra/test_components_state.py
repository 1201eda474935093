"""Certificates and passwords in a real stack: made once, encrypted at rest, renewed when asked to."""

import base64
import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """\
import pulumi
from infra.components.certificates import Certificates
from infra.components.credentials import Credentials

config = pulumi.Config()
more = ["primary"] if config.get_bool("more") else []
certificates = Certificates("kit", {"redis-1": ["redis-1", *more], "gateway": ["gateway"]})
credentials = Credentials("kit", ["sessions", "admin"], generation=config.get_int("generation") or 1)
pulumi.export("ca_pem", certificates.ca_pem)
pulumi.export("key_pem", certificates.nodes["redis-1"].key_pem)
pulumi.export("password", credentials.passwords["sessions"])
"""
ENCRYPTED = "ciphertext"
KEYS_AND_PASSWORDS = 3 + 2


class Stack:
    """A stack of its own project and backend, driven by the real Pulumi."""

    def __init__(self, folder: Path, pulumi: Callable[..., subprocess.CompletedProcess[str]]) -> None:
        """Make the project of PROGRAM and its stack in `folder`."""
        self.folder, self.pulumi = folder, pulumi
        (folder / "__main__.py").write_text(PROGRAM)
        runtime = {"name": "python", "options": {"virtualenv": sys.prefix}}
        (folder / "Pulumi.yaml").write_text(json.dumps({"name": "components", "runtime": runtime}))
        self.run("stack", "init", "test")

    def run(self, *arguments: str) -> str:
        """Run Pulumi and return its output; fail the test when it fails."""
        done = self.pulumi(*arguments)
        assert done.returncode == 0, f"pulumi {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def configured(self, key: str, value: str) -> Iterator[None]:
        """Set a key of the configuration for a while."""
        self.run("config", "set", key, value)
        try:
            yield
        finally:
            self.run("config", "rm", key)

    def changes(self) -> dict[str, str]:
        """Return the operation that a preview shows for each resource that would change."""
        steps = json.loads(self.run("preview", "--json"))["steps"]
        return {step["urn"].rpartition("::")[2]: step["op"] for step in steps if step["op"] != "same"}

    def resources(self) -> list[dict[str, Any]]:
        """Return the resources in the state, as exported without secrets."""
        return list(json.loads(self.run("stack", "export"))["deployment"]["resources"])

    def dynamic_resources(self) -> list[dict[str, Any]]:
        """Return those of our own providers."""
        return [each for each in self.resources() if each["type"].startswith("pulumi-python:dynamic/")]


@pytest.fixture(name="stack", scope="module")
def _stack(
    tmp_path_factory: pytest.TempPathFactory,
    pulumi_in: Callable[[Path], Callable[..., subprocess.CompletedProcess[str]]],
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("components")
    stack = Stack(folder, pulumi_in(folder))
    stack.run("up", "--yes", "--skip-preview")
    yield stack
    stack.run("destroy", "--yes", "--skip-preview")


def texts_of_secrets(value: object) -> Iterator[str]:
    """Yield the text of every secret in an export with secrets."""
    if isinstance(value, dict):
        if "plaintext" in value:
            yield json.loads(value["plaintext"])
        for each in value.values():
            yield from texts_of_secrets(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_of_secrets(each)


def test_no_secret_is_in_clear_in_any_file_of_the_state_or_in_an_export(stack: Stack) -> None:
    known = set(texts_of_secrets(json.loads(stack.run("stack", "export", "--show-secrets"))))
    assert len(known) == KEYS_AND_PASSWORDS
    assert sum("PRIVATE KEY" in each for each in known) == 3

    files = [path for path in stack.folder.rglob("*") if path.is_file()]
    stored = [gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data for data in map(Path.read_bytes, files)]
    texts = [*(data.decode() for data in stored), stack.run("stack", "export"), stack.run("stack", "output", "--json")]

    assert sum(ENCRYPTED in text for text in texts) >= 3  # state, history and export: they were looked into
    for secret in known:
        body = secret.splitlines()[1] if "PRIVATE KEY" in secret else secret  # no line breaks, so never escaped
        assert not [text for text in texts if body in text]


def test_a_second_up_changes_nothing_and_keeps_every_certificate_and_password(stack: Stack) -> None:
    before = stack.run("stack", "output", "--json", "--show-secrets")

    stack.run("up", "--yes", "--skip-preview", "--expect-no-changes")

    assert stack.run("stack", "output", "--json", "--show-secrets") == before


def test_a_refresh_changes_nothing(stack: Stack) -> None:
    stack.run("refresh", "--yes", "--skip-preview", "--expect-no-changes")


def test_the_state_holds_the_name_of_a_provider_and_never_its_code(stack: Stack) -> None:
    providers = [each["inputs"]["__provider"] for each in stack.dynamic_resources()]

    assert len(providers) == 3 + 2
    for provider in providers:
        pickled = base64.b64decode(provider)
        assert b"infra.components." in pickled
        assert len(pickled) < 100


def test_another_name_renews_that_certificate_alone(stack: Stack) -> None:
    with stack.configured("more", "true"):
        assert stack.changes() == {"kit-redis-1": "update"}


def test_a_certificate_near_its_end_is_renewed_and_the_preview_says_so(stack: Stack) -> None:
    exported = json.loads(stack.run("stack", "export"))
    for resource in exported["deployment"]["resources"]:
        if resource["urn"].endswith("::kit-gateway"):
            resource["inputs"]["not_after"] = resource["outputs"]["not_after"] = "2020-01-01"
    file = stack.folder / "near-its-end.json"
    file.write_text(json.dumps(exported))
    stack.run("stack", "import", "--file", str(file))

    assert stack.changes() == {"kit-gateway": "update"}
    assert '~ not_after  : "2020-01-01" => "' in stack.run("up", "--yes", "--skip-preview", "--diff")
    assert stack.changes() == {}


def test_another_generation_remakes_the_passwords_alone(stack: Stack) -> None:
    before = json.loads(stack.run("stack", "output", "--json", "--show-secrets"))

    with stack.configured("generation", "2"):
        stack.run("up", "--yes", "--skip-preview")
        after = json.loads(stack.run("stack", "output", "--json", "--show-secrets"))
        values = [each["outputs"]["value"] for each in stack.dynamic_resources() if "value" in each["outputs"]]

    assert after["password"] != before["password"]
    assert (after["ca_pem"], after["key_pem"]) == (before["ca_pem"], before["key_pem"])
    assert len(values) == 2
    assert all(ENCRYPTED in value for value in values)
