"""`python -m infra.targets.kubernetes`: manifests for `kubectl apply`."""

import json
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from infra.outputs import read as read_outputs
from infra.render.kubernetes.documents import manifest
from infra.targets.command import OUTPUTS_FILE, SECRETS_FILE
from infra.targets.kubernetes.__main__ import main

STACK = "kind"
NAMESPACE = f"redis-session-kit-{STACK}"


def run(out: Path, *words: str) -> int:
    return main(["--stack", STACK, "--out", str(out), *words])


def text(out: Path) -> dict[str, str]:
    return {str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()}


def test_manifests_for_git_are_apart_from_the_secrets_which_are_for_their_owner_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(out) == 0

    assert out.stat().st_mode & 0o777 == 0o700
    for private in (SECRETS_FILE, OUTPUTS_FILE, "secrets/secrets.yaml"):
        assert (out / private).stat().st_mode & 0o777 == 0o600
    written = text(out)
    kept = json.loads(written[SECRETS_FILE])
    manifests = {path: each for path, each in written.items() if path.startswith("manifests/")}
    assert min(manifests) == "manifests/00-namespace.yaml"
    assert run(out, "--set", "kubernetes.createNamespace=false") == 0
    assert "manifests/00-namespace.yaml" not in text(out)
    keys = [pair["key_pem"] for pair in kept["certificates"].values()]
    for secret in (*kept["passwords"].values(), *keys):
        assert not [path for path, each in manifests.items() if secret in each]
    kinds = {document["kind"] for each in manifests.values() for document in yaml.safe_load_all(each)}
    assert "Secret" not in kinds
    assert {document["kind"] for document in yaml.safe_load_all(written["secrets/secrets.yaml"])} == {"Secret"}


def test_a_second_run_changes_nothing_and_a_changed_setting_what_it_is_about(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(out) == 0
    before = text(out)
    assert run(out) == 0
    assert text(out) == before

    assert run(out, "--set", "redisMaxmemory=64mb") == 0
    after = text(out)
    assert {path for path in before if before[path] != after[path]} == {"manifests/20-redis.yaml"}


def test_the_outputs_say_how_pods_reach_the_deployment(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(out, "--name", "other") == 0
    outputs = read_outputs(out / OUTPUTS_FILE)
    assert outputs.target == "kubernetes"
    assert outputs.url == "https://session.redis-session-kit-other.svc.cluster.local"
    assert outputs.redis_nodes[0] == "redis-0.redis.redis-session-kit-other.svc.cluster.local:6379"


def test_certificates_are_valid_for_the_names_that_pods_are_reached_by(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for namespace in (NAMESPACE, "logins"):
        assert run(out, "--set", f"kubernetes.namespace={namespace}") == 0
        certificates = json.loads((out / SECRETS_FILE).read_text())["certificates"]
        for part, name in {
            "redis": f"*.redis.{namespace}.svc.cluster.local",
            "session": f"session.{namespace}",
        }.items():
            certificate = x509.load_pem_x509_certificate(certificates[part]["cert_pem"].encode())
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            assert name in names.get_values_for_type(x509.DNSName)


def test_a_name_may_be_as_long_as_labels_and_certificates_let_it(tmp_path: Path) -> None:
    assert run(tmp_path / "out", "--name", 54 * "a", "--set", "kubernetes.namespace=x") == 0


@pytest.mark.parametrize("name", ["7123e45", "08", "1_000", "+.5", "1e3", "-0o7", "0B1", "1.", "y", "N", "on", "1:30"])
def test_a_text_is_a_text_for_kubernetes_too(name: str) -> None:
    """Its reader (YAML 1.1 of go-yaml, sigs.k8s.io/yaml) has more truth values and numbers than PyYAML."""
    assert manifest([{"name": name}]) == f"---\nname: '{name}'\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--stack", "dev"], "stacks/Pulumi.dev.yaml is for compose: python -m infra.targets.compose\n"),
        (["--stack", "nowhere"], "stacks/Pulumi.nowhere.yaml does not exist"),
        (["--set", "kubernetes.antiAffinity=perhaps"], "must be one of required, preferred"),
        (["--name", "My_Stack"], "redis-session-kit-My_Stack cannot be the name of a namespace"),
        (["--name", 55 * "a", "--set", "kubernetes.namespace=x"], "aaa cannot be the name of a deployment"),
        (["--name", "büro", "--set", "kubernetes.namespace=x"], "büro cannot be the name of a deployment"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    assert run(tmp_path / "out", *words) == 1
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").write_text("x")
    assert run(tmp_path) == 1
    assert "is not of this command's making" in capsys.readouterr().err
    assert text(tmp_path) == {"mine": "x"}
