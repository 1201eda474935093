import re

from tests.ci.machine import CHECKOUT, Machine

# A Go that "builds" by writing the file that it is asked for, and whose sdk module is a directory of the test.
GO = """
case "$1" in
  env) echo go1.26.8 ;;
  list) echo "$HOME/sdk" ;;
  build) while [ "$1" != -o ]; do shift; done; printf '#!/bin/sh\\necho %s\\n' >"$2"; chmod +x "$2" ;;
esac
"""


def give_go(machine: Machine, says: str) -> None:
    for file in ("cmd/pulumi-language-python-exec", "dist/pulumi-resource-pulumi-python"):
        path = machine.home / "sdk" / "python" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    machine.command("go", GO % says)


def test_an_official_pulumi_with_its_own_language_host_is_used_as_it_is(machine: Machine) -> None:
    machine.command("pulumi", "echo v3.1.0")
    machine.command("pulumi-language-python", "exit 0")
    machine.command("go", "exit 1")

    assert machine.run("pulumi.sh") == (0, "")
    assert machine.called() == []


def test_a_missing_pulumi_is_built_with_the_host_and_the_official_parts_beside_it(machine: Machine) -> None:
    give_go(machine, says="v3.259.0")

    code, said = machine.run("pulumi.sh")

    assert code == 0, said
    (directory,) = machine.cache.glob("pulumi-*")
    assert sorted(path.name for path in directory.iterdir()) == [
        "pulumi",
        "pulumi-language-python",
        "pulumi-language-python-exec",
        "pulumi-resource-pulumi-python",
    ]
    assert machine.run("-c", "command -v pulumi")[1].strip() == str(directory / "pulumi")
    assert machine.run("pulumi.sh") == (0, "")


def test_a_pulumi_without_a_python_host_is_completed(machine: Machine) -> None:
    machine.command("pulumi", "echo v3.1.0")
    give_go(machine, says="v3.259.0")

    code, said = machine.run("pulumi.sh")

    assert code == 0, said
    assert machine.run("-c", "command -v pulumi-language-python")[1].startswith(str(machine.cache))


def test_without_go_both_ways_out_are_named(machine: Machine) -> None:
    code, said = machine.run("pulumi.sh")

    assert code == 1
    assert "https://www.pulumi.com/docs/install/" in said
    assert "https://go.dev/dl/" in said


PLUGIN = "pulumi-resource-kubernetes"


def test_the_official_plugin_for_kubernetes_is_used_where_pulumi_can_download_it(machine: Machine) -> None:
    machine.command("pulumi", "exit 0")
    machine.command("go", "exit 1")

    assert machine.run("pulumi-kubernetes.sh") == (0, "")
    (call,) = machine.called()
    version = re.search(r"^pulumi-kubernetes==(\S+)", (CHECKOUT / "requirements.lock").read_text(), re.MULTILINE)
    assert version
    assert call == f"pulumi plugin install resource kubernetes {version[1]} --exact"


def test_where_it_cannot_it_is_built_once_and_that_is_said(machine: Machine) -> None:
    machine.command("pulumi", "exit 1")
    files = machine.home / "sdk" / "cmd" / PLUGIN
    files.mkdir(parents=True)
    (files / "schema.json").touch()
    machine.command("go", GO % "the plugin")

    code, said = machine.run("pulumi-kubernetes.sh")

    assert code == 0, said
    assert "cannot download its plugin" in said
    (directory,) = machine.cache.glob("pulumi-kubernetes-*")
    assert [path.name for path in directory.iterdir()] == [PLUGIN]
    assert machine.run("-c", f"command -v {PLUGIN}")[1].strip() == str(directory / PLUGIN)
    assert machine.run("pulumi-kubernetes.sh") == (0, "")


def test_a_plugin_that_cannot_be_built_is_not_there_at_all(machine: Machine) -> None:
    machine.command("pulumi", "exit 1")
    machine.command("go", 'case "$1" in env) echo go1.26.8 ;; *) echo "no such module" >&2; exit 1 ;; esac')

    code, said = machine.run("pulumi-kubernetes.sh")

    assert code == 1
    assert "no such module" in said
    assert machine.run("-c", f"command -v {PLUGIN} || echo none")[1].strip() == "none"


def test_a_stack_on_a_cluster_gets_the_plugin_and_one_on_compose_does_not(machine: Machine) -> None:
    machine.command("pulumi", "exit 0")
    install = "pulumi plugin install resource kubernetes"

    machine.run("stack.sh", "dev")
    assert not [call for call in machine.called() if call.startswith(install)]

    (machine.checkout / "stacks" / "Pulumi.kind.yaml").write_text("config:\n  redis-session-kit:target: kubernetes\n")
    machine.run("stack.sh", "kind")
    assert [call for call in machine.called() if call.startswith(install)]


def test_the_go_of_an_old_debian_is_refused_before_it_fails(machine: Machine) -> None:
    machine.command("go", "echo go1.19.8")

    code, said = machine.run("compose.sh")

    assert code == 1
    assert "Go 1.19.8 cannot build it" in said


def test_compose_v2_of_the_user_is_used_as_it_is(machine: Machine) -> None:
    machine.command("docker", "echo 2.29.1")

    assert machine.run("compose.sh") == (0, "")
    assert machine.called() == ["docker compose version --short"]


def test_a_missing_compose_becomes_a_plugin_and_the_docker_configuration_stays(machine: Machine) -> None:
    docker = machine.home / ".docker"
    docker.mkdir()
    (docker / "config.json").write_text('{"auths": {}}')
    give_go(machine, says="2.40.3")
    machine.command("docker", '"$HOME/.docker/cli-plugins/docker-compose"')

    code, said = machine.run("compose.sh")

    assert code == 0, said
    assert (docker / "cli-plugins" / "docker-compose").resolve().is_relative_to(machine.cache)
    assert (docker / "config.json").read_text() == '{"auths": {}}'


def test_compose_v1_does_not_count(machine: Machine) -> None:
    machine.command("docker", "echo 1.29.2")

    code, said = machine.run("compose.sh")

    assert code == 1
    assert "`docker compose` (v2) is missing" in said


def test_the_pinned_versions_are_those_of_the_go_modules(machine: Machine) -> None:
    _, pins = machine.run("-c", "echo $PULUMI_VERSION $COMPOSE_VERSION")
    pulumi, compose = pins.split()

    assert f"github.com/pulumi/pulumi/pkg/v3 {pulumi} " in (CHECKOUT / "ci/tools/pulumi/go.mod").read_text()
    assert f"github.com/docker/compose/v2 {compose} " in (CHECKOUT / "ci/tools/compose/go.mod").read_text()
