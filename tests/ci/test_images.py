import pytest

from tests.ci.machine import Machine

# An engine that has the images named in the file `images` of the home directory, one a line.
ENGINE = """
case "$1 $2" in
  'image inspect') shift 2; while [ "$1" = -f ]; do shift 2; done; grep -qx "$1" "$HOME/images" && echo '|' ;;
  'image prune') ;;
  pull*) %s ;;
  *) exit 1 ;;
esac
"""
REGISTRY = 'echo "Pulling from $2"; echo "$2" >>"$HOME/images"'
UNREACHABLE = 'echo "no such host" >&2; exit 1'


def engine(machine: Machine, pull: str, *present: str) -> None:
    (machine.home / "images").write_text("".join(f"{image}\n" for image in present))
    machine.command("docker", ENGINE % pull)


def pulled(machine: Machine) -> list[str]:
    return [call for call in machine.called() if call.startswith("docker pull")]


def test_images_that_are_there_are_not_pulled(machine: Machine) -> None:
    engine(machine, UNREACHABLE, "redis:8", "nginx:stable", "oliver006/redis_exporter:v1.69.0", "python:3.13-slim")

    assert machine.run("images.sh") == (0, "")
    assert pulled(machine) == []


def test_missing_images_are_pulled(machine: Machine) -> None:
    engine(machine, REGISTRY, "nginx:stable")

    code, said = machine.run("images.sh", "redis:8", "nginx:stable")

    assert code == 0, said
    assert pulled(machine) == ["docker pull redis:8"]
    assert "pulling redis:8: done in" in said


def test_a_registry_that_does_not_answer_is_given_up_soon(machine: Machine) -> None:
    engine(machine, "exec sleep 60")

    code, said = machine.run("images.sh", "example/unknown:1", KIT_REGISTRY_PATIENCE="1")

    assert code == 1
    assert "cannot pull example/unknown:1: the registry does not answer" in said


def test_an_image_that_cannot_be_had_is_an_error_with_the_remedy(machine: Machine) -> None:
    engine(machine, UNREACHABLE)

    code, said = machine.run("images.sh", "redis:7.4")

    assert code == 1
    assert "cannot pull redis:7.4: no such host" in said
    assert "the image redis:7.4 cannot be had, and nothing can stand in for it" in said
    assert "docker pull redis:7.4" in said


@pytest.mark.usefixtures("not_root")
def test_a_stand_in_needs_root_on_debian(machine: Machine) -> None:
    engine(machine, UNREACHABLE)
    machine.command("apt-get", "exit 0")

    code, said = machine.run("images.sh", "redis:8")

    assert code == 1
    assert "must run as root on Debian" in said
    assert "docker load" in said


def test_one_registry_that_cannot_be_reached_is_asked_once(machine: Machine) -> None:
    engine(machine, UNREACHABLE)
    machine.command("apt-get", "exit 0")
    machine.command("debootstrap", "exit 1")

    machine.run("images.sh", "redis:8", "nginx:stable")

    assert pulled(machine) == ["docker pull redis:8"]
