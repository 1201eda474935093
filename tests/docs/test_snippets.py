"""Snippets of README and docs do what they say: run here, or checked as far as possible without a deployment."""

import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from infra.stackfile import load_spec
from session_core.ids import bucket_of
from tests.docs.running import run_python, run_shell
from tests.docs.snippets import ROOT, Snippet, documents, snippets, stack_snippets

ALL = [each for path in documents() for each in snippets(path)]
SHELL = [each for each in ALL if each.language in {"bash", "console"}]


def python_of(path: Path) -> list[Snippet]:
    return [each for each in snippets(path) if each.language == "python" and not each.needs]


PYTHON = [path for path in documents() if python_of(path)]


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: path.name)
def test_python_runs_in_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION_BACKEND", "memory")

    assert run_python(python_of(path))["session_mgr"].settings.session_backend == "memory"


@pytest.mark.engine
@pytest.mark.parametrize("path", PYTHON, ids=lambda path: path.name)
def test_python_runs_on_redis_as_the_application(path: Path, as_the_application: None) -> None:
    names = run_python(python_of(path))

    assert names["session_mgr"].settings.session_backend == "redis"
    assert names["session_mgr"].counts.created > 0


@pytest.mark.parametrize("snippet", [each for each in SHELL if not each.needs], ids=str)
def test_a_command_that_needs_no_deployment_prints_what_it_says(snippet: Snippet) -> None:
    run_shell(snippet, {})


@pytest.mark.parametrize("snippet", SHELL, ids=str)
def test_a_shell_can_read_the_commands(snippet: Snippet) -> None:
    read = subprocess.run(["bash", "-n", "-c", snippet.script], capture_output=True, text=True, check=False)

    assert read.returncode == 0, read.stderr
    assert snippet.script.strip()


def test_every_snippet_says_in_a_known_word_what_it_needs() -> None:
    assert {each.needs for each in ALL} <= {"", "stack", "cluster", "hands", "old", "keycloak"}
    fences = sum(path.read_text().count("\n```") for path in documents())
    assert fences == 2 * len(ALL)  # no fence without a language, none that is not closed
    assert stack_snippets()


@pytest.mark.parametrize("snippet", [each for each in ALL if each.language == "yaml"], ids=str)
def test_a_stack_file_can_be_used(snippet: Snippet) -> None:
    config = yaml.safe_load(snippet.text)["config"]
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["name"]

    given = {key.removeprefix(f"{project}:"): value for key, value in config.items()}
    encrypted = {key for key, value in given.items() if isinstance(value, dict) and "secure" in value}
    spec = load_spec(given | dict.fromkeys(encrypted, "decrypted"), "a document", encrypted)

    assert spec != load_spec({}, "the defaults")


def test_what_make_up_prints_is_what_readme_shows(load: Callable[[str], dict[str, object]]) -> None:
    shown = next(each.printed for each in ALL if each.script == "make up" and each.path.name == "README.md")
    template = str(load("ci/first_session.py")["SHOWN"])
    handle = shown.partition("cookie: ")[2].partition("\n")[0]
    user = shown.partition("A session of ")[2].partition(" ")[0]
    known = {"durable": "true", "stack": "dev", "url": "https://localhost:8443"}
    where = "certificate authority: pulumi stack output ca_pem"

    printed = template.format(user=user, handle=handle, where=where, **known)

    assert shown.endswith(printed)
    assert handle.startswith(f"h{bucket_of(user)}-")


def test_the_library_decision_has_a_word_on_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    wanted = [
        *project["project"]["dependencies"],
        *project["build-system"]["requires"],
        *(x for y in extras for x in y),
    ]
    record = (ROOT / "docs/decisions/0015-third-party-libraries.md").read_text()

    names = {each.partition("=")[0].partition("[")[0] for each in wanted}
    assert {name for name in names if f"`{name}`" not in record} == set()
