"""Passwords are replaced without a moment in which one that is used is not taken: nodes know the last and the next."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from infra.components.kept_secrets import KeptSecrets, SecretsError, of_generation, read
from infra.render.passwords import USERS
from infra.targets.kubernetes.__main__ import main


def rendered(out: Path, generation: int) -> tuple[KeptSecrets, Mapping[str, Mapping[str, str]]]:
    """What is kept, and the text of each Secret's items."""
    words = ["--set", f"kubernetes.passwordGeneration={generation}"]
    assert main(["--stack", "kind", "--out", str(out), *words]) == 0
    found = list(yaml.safe_load_all((out / "secrets" / "secrets.yaml").read_text()))
    data = {
        each["metadata"]["name"]: {key: base64.b64decode(value).decode() for key, value in each["data"].items()}
        for each in found
    }
    return read(out / "secrets.json"), data


def taken(secrets: Mapping[str, Mapping[str, str]], password: str) -> bool:
    """Whether Redis and the Sentinels take it, for whatever user."""
    digest = hashlib.sha256(password.encode()).hexdigest()
    return all(f"#{digest} " in secrets[part]["users.acl"] for part in ("redis", "sentinel"))


def test_what_is_used_before_and_after_a_change_is_taken_by_old_and_new_nodes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    used, nodes = [], []
    for generation in (1, 2, 3):
        kept, secrets = rendered(out, generation)
        assert secrets["session"]["REDIS_PASSWORD"] == kept.passwords["sessions"]
        used.append(kept.passwords)
        nodes.append(secrets)
    for user in ("sessions", "exporter", "node"):
        assert len({passwords[user] for passwords in used}) == 3
    for before, after in ((0, 1), (1, 2)):
        for passwords in (used[before]["sessions"], used[after]["sessions"]):
            assert taken(nodes[before], passwords)
            assert taken(nodes[after], passwords)
    assert not taken(nodes[2], used[0]["sessions"]), "the one before the last is withdrawn"
    assert len({passwords["admin-token"] for passwords in used}) == 1


def test_a_second_run_keeps_all_passwords(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = rendered(out, 1)
    assert rendered(out, 1) == first
    second = rendered(out, 2)
    assert rendered(out, 2) == second


def test_a_generation_that_no_node_knows_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    rendered(out, 1)
    assert main(["--stack", "kind", "--out", str(out), "--set", "kubernetes.passwordGeneration=3"]) == 1
    assert "passwordGeneration: 3 must be raised by one at a time, now it is 1" in capsys.readouterr().err

    former_kit = KeptSecrets(passwords=dict.fromkeys(USERS, "x"))
    with pytest.raises(SecretsError, match="apply what is rendered with 1 first"):
        of_generation(former_kit, 2)
    assert of_generation(former_kit, 1).coming.keys() == set(USERS)
