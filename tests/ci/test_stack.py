import json
import os
import socket
import subprocess

import pytest

from tests.ci.machine import Machine

# The part of Pulumi that matters here: it writes the salt of the passphrase into the stack file if there is none.
PULUMI = """
file=stacks/Pulumi.dev.yaml
grep -q ^encryptionsalt: $file || echo "encryptionsalt: v1:$(sha256sum <"$PULUMI_CONFIG_PASSPHRASE_FILE")" >>$file
"""


@pytest.fixture(name="checkout")
def _checkout(machine: Machine) -> Machine:
    """A machine whose checkout is a git repository with everything committed."""
    machine.command("pulumi", PULUMI)
    git(machine, "init", "--quiet")
    git(machine, "add", ".")
    git(machine, "-c", "user.name=Ann", "-c", "user.email=ann@example.org", "commit", "--quiet", "--message", "all")
    return machine


def git(machine: Machine, *arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(
        command, cwd=machine.checkout, env=machine.environment, capture_output=True, check=True, text=True
    )
    return done.stdout


def salt(machine: Machine) -> str:
    (line,) = [line for line in stack_file(machine).splitlines() if line.startswith("encryptionsalt:")]
    return line


def stack_file(machine: Machine) -> str:
    return (machine.checkout / "stacks" / "Pulumi.dev.yaml").read_text()


def test_the_salt_is_in_the_stack_file_and_git_sees_no_change(checkout: Machine) -> None:
    code, said = checkout.run("stack.sh")

    assert code == 0, said
    assert salt(checkout)
    assert git(checkout, "status", "--short") == ""


def test_a_real_change_is_seen_and_only_that_is_committed(checkout: Machine) -> None:
    checkout.run("stack.sh")
    with (checkout.checkout / "stacks" / "Pulumi.dev.yaml").open("a") as file:
        file.write("# changed\n")

    assert git(checkout, "status", "--short") == " M stacks/Pulumi.dev.yaml\n"
    checkout.run("stack.sh")
    assert git(checkout, "status", "--short") == " M stacks/Pulumi.dev.yaml\n"
    git(checkout, "add", "stacks")
    assert "+# changed" in git(checkout, "diff", "--cached")
    assert "encryptionsalt" not in git(checkout, "diff", "--cached")


def test_only_the_user_may_read_the_private_state(checkout: Machine) -> None:
    checkout.run("stack.sh")
    state = checkout.checkout / ".state"

    assert state.stat().st_mode & 0o777 == 0o700
    assert (state / "passphrase").stat().st_mode & 0o777 == 0o600
    assert len((state / "passphrase").read_text()) > 40


def test_a_second_run_keeps_passphrase_and_salt(checkout: Machine) -> None:
    checkout.run("stack.sh")
    before = (checkout.checkout / ".state" / "passphrase").read_text(), salt(checkout)

    assert checkout.run("stack.sh")[0] == 0
    assert ((checkout.checkout / ".state" / "passphrase").read_text(), salt(checkout)) == before


def test_a_removed_state_gets_a_new_passphrase_and_its_salt(checkout: Machine) -> None:
    checkout.run("stack.sh")
    before = salt(checkout)
    (checkout.checkout / ".state" / "passphrase").unlink()

    code, said = checkout.run("stack.sh")

    assert code == 0, said
    assert salt(checkout) != before
    assert git(checkout, "status", "--short") == ""


def test_a_lost_passphrase_of_stacks_that_exist_is_an_error_with_the_remedy(checkout: Machine) -> None:
    checkout.run("stack.sh")
    stacks = checkout.checkout / ".state" / "pulumi" / ".pulumi" / "stacks" / "redis-session-kit"
    stacks.mkdir(parents=True)
    (stacks / "dev.json").touch()
    (checkout.checkout / ".state" / "passphrase").unlink()

    code, said = checkout.run("stack.sh")

    assert code == 1
    assert "the passphrase of the stacks in .state/pulumi is gone" in said
    assert not (checkout.checkout / ".state" / "passphrase").exists()


def test_a_stack_without_a_stack_file_is_refused_by_name(checkout: Machine) -> None:
    code, said = checkout.run("stack.sh", "prod")

    assert code == 1
    assert "there is no stack file stacks/Pulumi.prod.yaml" in said
    assert "Pulumi.dev.yaml" in said


def test_a_passphrase_of_the_user_is_left_to_him(checkout: Machine) -> None:
    own = checkout.home / "own"
    own.write_text("secret")

    code, said = checkout.run("stack.sh", PULUMI_CONFIG_PASSPHRASE_FILE=str(own))

    assert code == 0, said
    assert not (checkout.checkout / ".state" / "passphrase").exists()


@pytest.mark.parametrize(("alive", "here"), [(False, True), (True, True), (False, False)])
def test_only_the_lock_of_a_run_that_was_killed_on_this_host_is_removed(
    checkout: Machine, *, alive: bool, here: bool
) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    lock = checkout.checkout / ".state/pulumi/.pulumi/locks/organization/redis-session-kit/dev/1234.json"
    lock.parent.mkdir(parents=True)
    owner = {
        "pid": os.getpid() if alive else ended.pid,
        "hostname": socket.gethostname() if here else "elsewhere",
        "timestamp": "2026-01-01T00:00:00Z",
    }
    lock.write_text(json.dumps(owner))

    code, said = checkout.run("stack.sh")

    assert code == 0, said
    assert lock.exists() is (alive or not here)
    assert ("lock of a run that was killed" in said) is not lock.exists()
