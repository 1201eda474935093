"""What the commands that write a deployment's files without Pulumi have in common."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import infra
from infra.components.kept_secrets import KeptSecrets, read, without_certificates
from infra.spec import DeploymentSpec
from infra.stackfile import load_spec

PROJECT = "redis-session-kit"
SECRETS_FILE = "secrets.json"
OUTPUTS_FILE = "outputs.json"
SECRETS_MODE = 0o600


class RefusedError(Exception):
    """What was asked for cannot be done; the message is for who asked."""


def parser(module: str, description: str | None, example: str) -> argparse.ArgumentParser:
    """The options of `python -m module`."""
    options = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--stack", required=True, metavar="NAME", help="read the settings of stacks/Pulumi.NAME.yaml")
    options.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="directory to write, new or of this command"
    )
    options.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting in place of the stack file's"
    )
    options.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="KEY=FILE",
        help="a secret setting, from the file that holds it",
    )
    options.add_argument("--name", help="name of the deployment (default: that of the stack)")
    options.add_argument(
        "--renew-certificates", action="store_true", help="make every part a new certificate, of the same authority"
    )
    options.add_argument("--secrets", type=Path, metavar="FILE", help="take the secrets from a secrets.json elsewhere")
    return options


def given_secrets(asked: Sequence[str]) -> dict[str, str]:
    """Read the secrets of `KEY=FILE`; an argument itself would show in the list of processes.

    Raises:
        RefusedError: it has another form.
        OSError: the file cannot be read.

    """
    pairs = [(key, file) for key, equals, file in (each.partition("=") for each in asked) if equals]
    if len(pairs) < len(asked):
        raise RefusedError("--secret: must be KEY=FILE, such as --secret keycloakClientSecret=./client-secret")
    return {key: Path(file).expanduser().read_text().strip() for key, file in pairs}


def wanted(stack: str, changes: Sequence[str], kind: str, secrets: Mapping[str, str]) -> DeploymentSpec:
    """The spec of a stack file with `changes` (KEY=VALUE) in place of its settings, for the target `kind`.

    `secrets` are those that the stack file has encrypted, or lacks, by key.

    Raises:
        RefusedError: there is no such stack file, it needs Pulumi, or it is another target's.
        infra.stackfile.SpecError: its settings cannot be used.

    """
    path = Path(infra.__file__).parents[1] / "stacks" / f"Pulumi.{stack}.yaml"
    if not path.is_file():
        known = sorted(
            each.name.removeprefix("Pulumi.").removesuffix(".yaml") for each in path.parent.glob("Pulumi.*.yaml")
        )
        raise RefusedError(f"stacks/{path.name} does not exist; the stacks are: {', '.join(known) or 'none'}")
    config = (yaml.safe_load(path.read_text()) or {}).get("config") or {}
    given = {key.removeprefix(f"{PROJECT}:"): value for key, value in config.items() if key.startswith(f"{PROJECT}:")}
    sealed = [key for key, value in given.items() if isinstance(value, dict) and "secure" in value]
    if unread := [key for key in sealed if key not in secrets]:
        raise RefusedError(
            f"stacks/{path.name}: {', '.join(unread)}: only Pulumi can read a setting that it has encrypted; "
            f"give it with --secret {unread[0]}=FILE"
        )
    for change in changes:
        _put(given, change)
    named = f"stacks/{path.name}" + (" with --set" if changes else "")
    spec = load_spec({**given, **secrets}, named, secrets.keys())
    if spec.target.kind != kind:
        raise RefusedError(f"stacks/{path.name} is for {spec.target.kind}: python -m infra.targets.{spec.target.kind}")
    return spec


def kept_in(out: Path, elsewhere: Path | None, *, renew_certificates: bool) -> KeptSecrets:
    """The secrets of an earlier run, or of the file `elsewhere`; without certificates where they are to be made anew.

    Raises:
        RefusedError: the directory is in use, but not by this command: whatever is in it would be removed.
        infra.components.kept_secrets.SecretsError: the file cannot be used.

    """
    path = out / SECRETS_FILE
    if not path.exists() and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RefusedError(f"{out} is not of this command's making: choose a new directory")
    source = elsewhere or path
    kept = read(source) if elsewhere or path.exists() else KeptSecrets()
    return without_certificates(kept) if renew_certificates else kept


def _put(given: dict[str, Any], change: str) -> None:
    """Put `KEY=VALUE`, with a dot in the key for a target's own setting, in place of what was given."""
    key, equals, value = change.partition("=")
    if not equals:
        raise RefusedError(f"--set {change}: must be KEY=VALUE, such as --set redisMaxmemory=512mb")
    section, dot, field = key.partition(".")
    given[section] = {**given.get(section, {}), field: value} if dot else value
