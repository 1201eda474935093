import subprocess

from tests.ci.machine import Machine


def exports(machine: Machine, **environment: str) -> dict[str, str]:
    """Ask a shell for its environment after `eval "$(make env)"`."""
    code, printed = machine.run("env.sh", **environment)
    assert code == 0, printed
    command = ["sh", "-c", f"{printed}\nenv -0"]
    shell = subprocess.run(command, env={"PATH": machine.environment["PATH"]}, capture_output=True, check=True)
    return dict(line.split("=", 1) for line in shell.stdout.decode().split("\0") if line)


def test_the_environment_of_the_project_comes_first_and_installed_tools_last(machine: Machine) -> None:
    path = exports(machine)["PATH"].split(":")

    assert path[0] == str(machine.checkout / ".venv" / "bin")
    assert path[1] == str(machine.bin)
    assert all(entry.startswith(str(machine.cache)) for entry in path[2:])


def test_applying_it_twice_changes_nothing(machine: Machine) -> None:
    once = exports(machine)

    assert exports(machine, PATH=once["PATH"])["PATH"] == once["PATH"]


def test_state_and_passphrase_are_those_of_the_checkout(machine: Machine) -> None:
    got = exports(machine)

    assert got["PULUMI_BACKEND_URL"] == f"file://{machine.checkout}/.state/pulumi"
    assert got["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(machine.checkout / ".state" / "passphrase")


def test_a_backend_and_a_passphrase_of_the_user_are_kept(machine: Machine) -> None:
    got = exports(machine, PULUMI_BACKEND_URL="s3://states", PULUMI_CONFIG_PASSPHRASE="")

    assert got["PULUMI_BACKEND_URL"] == "s3://states"
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in got


def test_any_directory_name_survives_the_shell(machine: Machine) -> None:
    odd = f'{machine.home}/it\'s $HOME; `x` "y"'

    assert exports(machine, KIT_CACHE=odd)["KIT_CACHE"] == odd
