"""`python -m infra.targets.compose`: a compose project without Pulumi."""

import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from infra.components.kept_secrets import KeptSecrets, Pair, completed
from infra.components.pki import issue_authority, issue_node
from infra.outputs import read as read_outputs
from infra.render.passwords import ADMIN_TOKEN, USERS
from infra.render.topology import topology
from infra.spec import DeploymentSpec
from infra.targets.command import SECRETS_FILE
from infra.targets.compose.__main__ import main

ROOT = Path(__file__).parents[2]
NAME = f"test-rt-{os.getpid()}"
PORTS = {"redisPort": 27379, "sentinelPort": 47379, "httpsPort": 29443}
PARTS = topology(DeploymentSpec())
StackFile = Callable[[str], None]


@pytest.fixture(name="stack_file")
def _stack_file() -> Iterator[StackFile]:
    """Writes the file of a stack of our own, with the given lines among its settings."""
    path = ROOT / "stacks" / f"Pulumi.{NAME}.yaml"
    compose = "".join(f"    {key}: {port}\n" for key, port in PORTS.items())

    def write(more: str = "") -> None:
        path.write_text(f"config:\n  redis-session-kit:compose:\n{compose}{more}")

    write()
    try:
        yield write
    finally:
        path.unlink()


def run(out: Path, *words: str) -> int:
    return main(["--stack", NAME, "--out", str(out), *words])


def text(out: Path) -> dict[str, str]:
    """Everything in a directory, by path."""
    return {str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()}


def test_the_directory_has_the_whole_project_and_is_for_its_owner_alone(tmp_path: Path, stack_file: StackFile) -> None:
    out = tmp_path / "out"
    assert run(out) == 0
    assert out.stat().st_mode & 0o777 == 0o700
    assert (out / SECRETS_FILE).stat().st_mode & 0o777 == 0o600
    written = text(out)
    assert f"name: redis-session-kit-{NAME}\n" in written["compose.yaml"]
    assert "tls-port 27379" in written["redis-1/redis.conf"]
    kept = json.loads(written[SECRETS_FILE])
    assert kept["passwords"].keys() == {*USERS, ADMIN_TOKEN}
    assert len(set(kept["passwords"].values())) == len(kept["passwords"])
    assert written["redis-1/node.password"] == kept["passwords"]["node"]
    assert kept["certificates"].keys() == PARTS.certified.keys()


def test_nothing_changes_when_it_is_run_again(tmp_path: Path, stack_file: StackFile) -> None:
    out = tmp_path / "out"
    run(out)
    before, times = text(out), {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert run(out) == 0
    assert text(out) == before
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == {
        path: time for path, time in times.items() if path.is_file()
    }


def test_a_changed_setting_changes_its_files_and_no_secret(tmp_path: Path, stack_file: StackFile) -> None:
    out = tmp_path / "out"
    run(out)
    before = text(out)
    stack_file("  redis-session-kit:redisMaxmemory: 512mb\n")
    assert run(out) == 0
    after = text(out)
    changed = {path for path in after if before[path] != after[path]}
    assert changed == {"compose.yaml", ".env", *(f"{node.name}/redis.conf" for node in PARTS.redis)}


def test_a_run_that_was_cut_short_can_be_repeated(tmp_path: Path, stack_file: StackFile) -> None:
    out = tmp_path / "out"
    run(out)
    kept = (out / SECRETS_FILE).read_text()
    for path in out.rglob("*"):
        if path.is_file() and path.name != SECRETS_FILE:
            path.unlink()
    assert run(out) == 0
    assert (out / SECRETS_FILE).read_text() == kept
    assert (out / "compose.yaml").exists()


def test_secrets_can_be_taken_from_elsewhere(tmp_path: Path, stack_file: StackFile) -> None:
    run(tmp_path / "one")
    assert run(tmp_path / "two", "--secrets", str(tmp_path / "one" / SECRETS_FILE)) == 0
    assert text(tmp_path / "two") == text(tmp_path / "one")


def test_another_name_makes_another_deployment(tmp_path: Path, stack_file: StackFile) -> None:
    assert run(tmp_path / "out", "--name", "other") == 0
    assert "name: redis-session-kit-other\n" in (tmp_path / "out/compose.yaml").read_text()


@pytest.mark.parametrize("present", ["notes.txt", "compose.yaml"])
def test_a_directory_with_other_files_is_refused_and_left_alone(
    tmp_path: Path, stack_file: StackFile, capsys: pytest.CaptureFixture[str], present: str
) -> None:
    (tmp_path / present).write_text("mine")
    assert run(tmp_path) == 1
    assert "not of this command's making" in capsys.readouterr().err
    assert text(tmp_path) == {present: "mine"}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "Invalid JSON"),
        ('{"password": "hunter2"}', "password: Extra inputs"),
        ('["hunter2"]', "file: Input should"),
    ],
)
def test_a_file_of_secrets_in_another_form_is_refused_without_repeating_it(
    tmp_path: Path, stack_file: StackFile, capsys: pytest.CaptureFixture[str], content: str, complaint: str
) -> None:
    file = tmp_path / "mine.json"
    file.write_text(content)
    assert run(tmp_path / "out", "--secrets", str(file)) == 1
    message = capsys.readouterr().err
    assert complaint in message
    assert str(file) in message
    assert "hunter2" not in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("  redis-session-kit:redisMaxmemory: 2gbb\n", "redisMaxmemory: 2gbb"),
        ("  redis-session-kit:redisMaxmemry: 2gb\n", "did you mean redisMaxmemory?"),
        (
            "  redis-session-kit:redisImage:\n    secure: v1:abc\n",
            "only Pulumi can read a setting that it has encrypted; give it with --secret redisImage=FILE",
        ),
        ("  redis-session-kit:redisImage: [\n", "while parsing"),
    ],
)
def test_a_stack_file_that_cannot_be_used_is_refused_before_anything_is_written(
    tmp_path: Path, stack_file: StackFile, capsys: pytest.CaptureFixture[str], line: str, complaint: str
) -> None:
    stack_file(line)
    assert run(tmp_path / "out") == 1
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_stack_that_does_not_exist_is_refused_with_those_that_do(
    tmp_path: Path, stack_file: StackFile, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--stack", "nope", "--out", str(tmp_path / "out")]) == 1
    message = capsys.readouterr().err
    assert "stacks/Pulumi.nope.yaml does not exist" in message
    assert NAME in message


def test_what_takes_something_away_from_the_sessions_is_said(
    tmp_path: Path, stack_file: StackFile, capsys: pytest.CaptureFixture[str]
) -> None:
    stack_file("  redis-session-kit:redisMaxmemoryPolicy: allkeys-lru\n")
    assert run(tmp_path / "out") == 0
    assert "warning: redisMaxmemoryPolicy allkeys-lru" in capsys.readouterr().err


def test_help_has_an_example() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "infra.targets.compose", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "python -m infra.targets.compose --stack dev --out" in shown


def test_certificates_that_end_soon_are_renewed_and_the_authority_keeps_its_key() -> None:
    soon = (datetime.now(UTC) + timedelta(days=29)).date().isoformat()
    authority = issue_authority("old", soon)
    ending = issue_node(authority, "redis-1", ["redis-1"], soon)
    fresh = completed(KeptSecrets(), "x", PARTS.certified)
    kept = KeptSecrets(
        passwords=fresh.passwords,
        authority=Pair(cert_pem=authority.cert_pem, key_pem=authority.key_pem),
        certificates={"redis-1": Pair(cert_pem=ending.cert_pem, key_pem=ending.key_pem)},
    )
    renewed = completed(kept, "x", PARTS.certified)
    assert renewed.passwords == fresh.passwords
    assert renewed.authority
    assert renewed.authority.key_pem == authority.key_pem
    assert renewed.authority.cert_pem != authority.cert_pem
    issuer = x509.load_pem_x509_certificate(renewed.authority.cert_pem.encode())
    assert renewed.certificates["redis-1"] != kept.certificates["redis-1"]
    for part in PARTS.certified:
        x509.load_pem_x509_certificate(renewed.certificates[part].cert_pem.encode()).verify_directly_issued_by(issuer)


@pytest.mark.engine
def test_the_directory_works_with_plain_compose_and_its_primary_may_be_killed_at_once(
    tmp_path: Path, stack_file: StackFile
) -> None:
    """At once: before the Sentinels could have learned of the replicas from the primary."""
    out = tmp_path / "out"
    assert run(out) == 0
    compose = ["docker", "compose", "--project-directory", str(out)]
    try:
        subprocess.run([*compose, "up", "--detach", "--wait"], check=True, capture_output=True, timeout=120)
        primary = f"redis-session-kit-{NAME}-redis-1-1"
        token = json.loads((out / SECRETS_FILE).read_text())["passwords"][ADMIN_TOKEN]
        admin = {"Authorization": f"Bearer {token}"}
        trusted = ssl.create_default_context(cafile=out / "session-1/tls/ca.crt")
        with httpx.Client(base_url=f"https://localhost:{PORTS['httpsPort']}", verify=trusted, timeout=20) as client:
            first = client.post("/v1/sessions", json={"user_id": "alice"}, headers=admin).raise_for_status()
            assert first.json()["durable"] is True
            for step in ("kill", "start"):
                subprocess.run(["docker", step, primary], check=True, capture_output=True, timeout=30)
            assert eventually(lambda: client.post("/v1/sessions", json={"user_id": "bob"}, headers=admin).is_success)
            client.cookies = first.cookies
            assert client.get("/v1/verify").raise_for_status().headers["X-Session-User"] == "alice"
    finally:
        subprocess.run([*compose, "down", "--volumes", "--timeout", "2"], check=True, capture_output=True, timeout=120)


def eventually(look: Callable[[], bool], timeout: float = 60) -> bool:
    """Whether `look` becomes true in `timeout` s."""
    deadline = time.monotonic() + timeout
    while not (seen := look()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return seen


def test_settings_on_the_command_line_win_over_the_stack_file(tmp_path: Path, stack_file: StackFile) -> None:
    out = tmp_path / "out"

    assert run(out, "--set", "redisMaxmemory=64mb", "--set", "compose.redisPort=28379") == 0
    conf = (out / "redis-1" / "redis.conf").read_text()
    assert f"maxmemory {64 * 1024 * 1024}\n" in conf
    assert "tls-port 28379\n" in conf


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("redisMaxmemory", "--set redisMaxmemory: must be KEY=VALUE"),
        ("redisMaxmemry=1mb", "redisMaxmemry"),
        ("compose.redisPort=70000", "compose.redisPort"),
    ],
)
def test_a_wrong_setting_on_the_command_line_is_named(
    tmp_path: Path, stack_file: StackFile, capsys: pytest.CaptureFixture[str], change: str, problem: str
) -> None:
    assert run(tmp_path / "out", "--set", change) == 1
    assert problem in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_outputs_are_those_of_a_stack_and_for_their_owner_alone(tmp_path: Path, stack_file: StackFile) -> None:
    out = tmp_path / "out"
    run(out)

    found = read_outputs(out / "outputs.json")
    kept = json.loads((out / SECRETS_FILE).read_text())
    assert (out / "outputs.json").stat().st_mode & 0o777 == 0o600
    assert found.location["compose_project"] == f"redis-session-kit-{NAME}"
    assert found.redis_nodes[0] == f"redis-1:{PORTS['redisPort']}"
    assert found.sessions_password.get_secret_value() == kept["passwords"]["sessions"]
    assert found.ca_pem == kept["authority"]["cert_pem"]


LOGIN = """\
  redis-session-kit:servicePublicUrl: https://sessions.test
  redis-session-kit:keycloakServerUrl: https://login.test
  redis-session-kit:keycloakRealm: r
  redis-session-kit:keycloakClientId: c
"""


def test_a_secret_comes_from_a_file_also_where_pulumi_has_encrypted_it(tmp_path: Path, stack_file: StackFile) -> None:
    file, out = tmp_path / "client-secret", tmp_path / "out"
    file.write_text("hunter2\n")
    for sealed in ("", "  redis-session-kit:keycloakClientSecret:\n    secure: v1:abc\n"):
        stack_file(LOGIN + sealed)
        assert run(out, "--secret", f"keycloakClientSecret={file}") == 0
        holders = [path for path, content in text(out).items() if "hunter2" in content]
        assert sorted(holders) == [f"{name}/secrets/KEYCLOAK_CLIENT_SECRET" for name in ("session-1", "session-2")]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "pulumi config set --secret keycloakClientSecret"),
        (["--secret", "keycloakClientSecret"], "--secret: must be KEY=FILE"),
        (["--secret", "keycloakClientSecret=/no/such/file"], "No such file"),
        (["--set", "keycloakClientSecret=hunter2"], "is a secret"),
    ],
)
def test_a_secret_that_is_not_in_a_file_is_refused(
    tmp_path: Path, stack_file: StackFile, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    stack_file(LOGIN)
    assert run(tmp_path / "out", *words) == 1
    message = capsys.readouterr().err
    assert complaint in message
    assert "hunter2" not in message
    assert not (tmp_path / "out").exists()
