"""What the documents name exists: files, links, commands, settings, users, calls, tests, log lines."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import yaml
from fastapi.routing import APIRoute

from infra.render.entrypoints import script
from infra.render.users_acl import REDIS_RULES, SENTINEL_RULES
from infra.stackfile import load_spec, settings
from session_core.cli import _parser
from session_core.service import operations
from session_core.service.app import make_app
from session_core.service.settings import ServiceSettings
from tests.docs.snippets import ROOT, documents

FOLDERS = (
    *("infra", "session_core", "conformance", "ci", r"\.ci", "tests", "docs", "stacks", "benchmarks", "monitoring"),
    *("examples", "loadtests"),
)
PATH = re.compile(rf"(?<![\w/.~])(?:{'|'.join(FOLDERS)})/[\w./-]*\w")
PUBLISHED = re.compile(
    r"https?://(?!localhost|exporter|session-1|session-2|semver\.org|collector|\w+\.example\.org)[\w.-]+"
)
every_document = pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))


def code(path: Path) -> str:
    """What stands in code spans and fences, stack files aside (test_snippets reads them)."""
    text = path.read_text()
    fences = re.findall(r"^```(?!yaml)\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    return "\n".join([*fences, *spans])


def anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@every_document
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), target
        assert there.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors(there), target


@every_document
def test_every_file_and_test_that_is_named_exists(path: Path) -> None:
    text = code(path)
    for found in PATH.findall(text):
        assert (ROOT / found).exists() or list(ROOT.glob(f"{found}*")), found
    for file, name in re.findall(r"(tests/[\w/]+\.py)::(\w+)", text):
        assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE), f"{file}::{name}"


@every_document
def test_every_command_that_is_named_exists(path: Path) -> None:
    text = code(path)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|[\s$(`|])make ([a-z][a-z-]*)", text)) <= targets
    parser = _parser()
    for words in re.findall(r"session-core ([a-z][^`\n;|#]*)", text):
        parser.parse_args(shlex.split(words.replace("...", "x").rstrip(") ")) + (["x"] if words == "get" else []))
    for module in re.findall(r"python -m ([\w.]+)", text):
        assert importlib.util.find_spec(module), module


@every_document
def test_every_setting_that_is_named_exists_and_takes_the_value(path: Path) -> None:
    text = code(path)
    known = {*settings("compose"), *settings("kubernetes")}
    known |= {key.partition(".")[2] for key in known if "." in key}
    named = re.findall(
        r"(?<![\w./{-])(?:redis|sentinel|session|service|keycloak|jwt|telemetry|gateway|exporter)[A-Z]\w+|(?:compose|kubernetes)\.[a-z]+[A-Z]\w+",
        text,
    )
    assert set(named) <= known
    given: dict[str, object] = {}
    for key, value in re.findall(r"pulumi config set (?:--path )?(\w[\w.]*) ([\w.:/-]+)", text):
        section, _, field = key.partition(".")
        given[section] = {field: yaml.safe_load(value)} if field else value
    secrets = re.findall(r"pulumi config set --secret (\w+)", text)
    load_spec(given | dict.fromkeys(secrets, "typed"), "a document", secrets)


@every_document
def test_every_variable_that_is_named_is_a_setting(path: Path) -> None:
    named = set(re.findall(r"\b(?:REDIS|SESSION|AUTH|KEYCLOAK|JWT)_[A-Z_]+[A-Z]\b", code(path)))

    assert {name for name in named if name.lower() not in ServiceSettings.model_fields} == set()


@every_document
def test_the_documents_name_no_machine_of_ours_and_no_registry(path: Path) -> None:
    text = path.read_text()

    assert not re.search(r"/work/|/tmp/|/root/|/home/\w|registry|\bpypi\b|ghcr|quay\.io", code(path), re.IGNORECASE)
    assert PUBLISHED.findall(text) == []


def test_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 120


def table(path: str, title: str) -> list[list[str]]:
    """Rows of the first table below a title, as cells."""
    below = (ROOT / path).read_text().partition(f"{title}\n")[2]
    lines = re.search(r"^\|.*?(?=\n\n)", below, re.MULTILINE | re.DOTALL)
    assert lines, title
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[0].splitlines()[2:]]


def test_the_table_of_users_is_that_of_the_rules() -> None:
    rows = {row[0].strip("`"): row for row in table("docs/security.md", "## ACL users")}

    assert set(rows) - {"local"} == {*REDIS_RULES, *SENTINEL_RULES}
    assert {user for user, row in rows.items() if row[2] != "-"} == set(SENTINEL_RULES)
    assert "user local on" in script("redis")


def test_the_table_of_calls_is_that_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION_BACKEND", "memory")
    app = make_app(ServiceSettings(_env_file=None, session_admin_token="x" * 32))
    offered = {f"{method.upper()} {path}" for path, methods in app.openapi()["paths"].items() for method in methods}
    offered |= {f"GET {route.path}" for route in operations.router.routes if isinstance(route, APIRoute)}

    named = re.findall(
        r"`([A-Z]+ /[^`]*)`", "".join(row[0] for row in table("docs/architecture.md", "### The session service"))
    )
    assert set(named) == offered


@pytest.mark.parametrize(
    "row", table("docs/operations.md", "## When nodes wait"), ids=lambda row: row[0].strip("`")[:40]
)
def test_every_log_line_that_is_explained_is_one_that_is_written(row: list[str]) -> None:
    pattern = r"[^\n]*".join(re.escape(part) for part in row[0].strip("`").split("…"))

    assert re.search(pattern, script("redis") + script("sentinel")), row[0]


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/decisions/0*.md")), ids=lambda path: path.name[:4])
def test_a_decision_is_a_short_record_that_the_index_lists(path: Path) -> None:
    text = path.read_text()
    title = text.splitlines()[0].removeprefix("# ")

    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequence"]
    assert 10 <= len(text.splitlines()) <= 25
    assert title.startswith(f"{int(path.name[:4])}. ")
    assert f"- [{title}]({path.name})" in (path.parent / "README.md").read_text()
