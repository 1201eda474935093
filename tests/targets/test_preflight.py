"""Refusals that need a registry to be seen on a real engine; the others are in tests/stack/test_bad_input.py."""

from pathlib import Path

import pytest

from infra.targets.compose import engine, preflight
from infra.targets.compose.engine import Project
from infra.targets.compose.preflight import refusals
from infra.targets.compose.wanted import Parts, Wanted


def wanted(name: str = "dev", image: str = "redis:8") -> Wanted:
    return Wanted(
        name=name,
        project=Project(f"redis-session-kit-{name}", Path("/nowhere")),
        stack_file=f"stacks/Pulumi.{name}.yaml",
        files={},
        images={"redisImage": image},
        ports={},
        parts=Parts((), (), (), (), "mymaster"),
        delete_data=False,
    )


@pytest.fixture(name="volumes")
def _volumes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An engine with these volumes, without any image or container; a registry that has every image."""
    volumes: list[str] = []

    def docker(*words: str, **_more: object) -> str:
        if words[0] == "volume":
            return "\n".join(volumes)
        return "2.40.3" if words[0] == "compose" else ""

    monkeypatch.setattr(preflight, "docker", docker)
    monkeypatch.setattr(engine, "docker", docker)
    monkeypatch.setattr(preflight, "image_id", lambda _image: None)
    return volumes


def test_an_image_that_nobody_has_looked_into_does_not_get_the_data(volumes: list[str]) -> None:
    volumes.append("redis-session-kit-dev_redis-1-data")

    (said,) = refusals(wanted(image="redis:9"), {"redisImage": "sha256:1"})

    assert "redis:9 in stacks/Pulumi.dev.yaml is not on this host yet" in said
    assert "docker pull redis:9" in said


def test_without_data_an_image_may_be_pulled_by_the_up(volumes: list[str]) -> None:
    assert list(refusals(wanted(image="redis:9"), {})) == []


@pytest.mark.parametrize("name", ["Dev", "my_stack", "a.b", "-a", "pulumi", "passphrase"])
def test_a_name_that_compose_or_the_state_directory_cannot_have_is_refused(volumes: list[str], name: str) -> None:
    (said,) = refusals(wanted(name), {})

    assert f"{name} cannot be the name of a deployment" in said
    assert "pulumi stack init NAME" in said
