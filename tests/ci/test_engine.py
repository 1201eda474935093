import os

import pytest

from tests.ci.machine import Machine

NOBODY_ANSWERS = "echo 'Cannot connect to the Docker daemon' >&2; exit 1"
# An engine that answers as soon as dockerd has been started.
ANSWERS_WHEN_STARTED = '[ -e "$HOME/started" ] || { ' + NOBODY_ANSWERS + "; }"
DOCKERD = 'touch "$HOME/started"; echo "API listen"'


def test_an_engine_that_answers_is_used_as_it_is(machine: Machine) -> None:
    machine.command("docker", "exit 0")
    machine.command("apt-get", "exit 1")

    assert machine.run("engine.sh") == (0, "")
    assert machine.called() == ["docker info"]


def test_on_a_bare_debian_the_engine_is_installed_and_started(machine: Machine) -> None:
    machine.command("new-docker", ANSWERS_WHEN_STARTED)
    machine.command("new-dockerd", f"{DOCKERD}; sleep 2")
    machine.command(
        "apt-get", 'case "$*" in *install*) cd "${0%/*}"; mv new-docker docker; mv new-dockerd dockerd ;; esac'
    )
    machine.command("apt-cache", "exit 1")

    code, said = machine.run("engine.sh")

    assert code == 0, said
    assert "no Docker engine on this machine: installing Debian's docker.io and iptables" in said
    assert "the Docker engine answers after" in said
    assert any(call.endswith("install --yes docker.io iptables") for call in machine.called())


def test_an_installed_engine_that_does_not_run_is_started_only_once_by_two_at_once(machine: Machine) -> None:
    machine.command("docker", ANSWERS_WHEN_STARTED)
    machine.command("dockerd", f"{DOCKERD}; sleep 2")
    machine.command("apt-get", "exit 1")

    both = [machine.start("engine.sh") for _ in range(2)]
    said = "".join(process.communicate(timeout=60)[0] for process in both)

    assert [process.returncode for process in both] == [0, 0], said
    assert machine.called().count("dockerd ") == 1


def test_a_pid_file_that_a_killed_daemon_left_does_not_keep_the_next_from_starting(machine: Machine) -> None:
    machine.command("docker", ANSWERS_WHEN_STARTED)
    machine.command("dockerd", f'[ ! -e "$HOME/pid" ] && {DOCKERD}; sleep 2')
    machine.command("apt-get", "exit 1")
    pid = machine.home / "pid"
    pid.write_text(f"{os.getpid()}")  # by now the number of another program

    code, said = machine.run("engine.sh", KIT_DOCKER_PID=str(pid))

    assert code == 0, said
    assert not pid.exists()


def test_a_daemon_that_ends_at_once_is_an_error_with_its_last_words(machine: Machine) -> None:
    machine.command("docker", NOBODY_ANSWERS)
    machine.command("dockerd", "echo 'iptables not found'; exit 1")
    machine.command("apt-get", "exit 1")

    code, said = machine.run("engine.sh")

    assert code == 1
    assert "| iptables not found" in said
    assert f"dockerd ended; its output is in {machine.cache}/dockerd.log" in said


@pytest.mark.usefixtures("not_root")
def test_without_root_nothing_is_installed_and_the_remedy_is_named(machine: Machine) -> None:
    machine.command("apt-get", "exit 1")

    code, said = machine.run("engine.sh")

    assert code == 1
    assert "no Docker engine answers" in said
    assert "systemctl start docker" in said
    assert "Docker Desktop" in said
    assert "apt-get" not in "".join(machine.called())


@pytest.mark.usefixtures("not_root")
def test_an_engine_that_refuses_the_user_says_how_to_be_let_in(machine: Machine) -> None:
    machine.command("docker", "echo 'permission denied while trying to connect' >&2; exit 1")

    code, said = machine.run("engine.sh")

    assert code == 1
    assert "you (ann) may not use it" in said
    assert "usermod -aG docker ann" in said


def test_an_engine_elsewhere_that_does_not_answer_is_not_replaced_by_one_here(machine: Machine) -> None:
    machine.command("docker", NOBODY_ANSWERS)
    machine.command("dockerd", DOCKERD)
    machine.command("apt-get", "exit 0")

    code, said = machine.run("engine.sh", DOCKER_HOST="tcp://192.0.2.1:2376")

    assert code == 1
    assert "no Docker engine answers at DOCKER_HOST=tcp://192.0.2.1:2376" in said
    assert not any(call.startswith(("dockerd", "apt-get")) for call in machine.called())
