"""Writes the compose project of a stack without Pulumi: a directory that works with plain `docker compose`."""

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import infra
from infra.render.compose import project_name
from infra.render.project import plain_files, secret_files
from infra.render.topology import topology
from infra.spec import DeploymentSpec, warnings
from infra.stackfile import SpecError, load_spec
from infra.targets.compose import files
from infra.targets.compose.exported import outputs
from infra.targets.compose.kept_secrets import KeptSecrets, SecretsError, completed, read

PROJECT = "redis-session-kit"
SECRETS_FILE = "secrets.json"
OUTPUTS_FILE = "outputs.json"
SECRETS_MODE = 0o600
EXAMPLE = """\
example:
  python -m infra.targets.compose --stack dev --out ~/sessions
  docker compose --project-directory ~/sessions up --detach

  python -m infra.targets.compose --stack dev --name other --set compose.redisPort=7379 --out ~/other

The secrets are made once and kept in the directory, in secrets.json; the directory is for you alone (0700).
Beside it, outputs.json says what `pulumi stack output --json --show-secrets` would say.
Run it again after a change of the stack file: what has not changed stays as it is.
A deployment that Pulumi has made goes by the same name: choose another one with --name to run both.
"""


class RefusedError(Exception):
    """What was asked for cannot be done; the message is for who asked."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Render as the command line says; the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        given = _given(asked.secret)
        spec = _spec(asked.stack, asked.set, given)
        name = asked.name or asked.stack
        out: Path = asked.out.expanduser().absolute()
        kept = _kept_in(out)
        kept = read(asked.secrets) if asked.secrets else kept
        render(spec, name, out, completed(kept, name, topology(spec)), given)
    except (RefusedError, SpecError, SecretsError, OSError, yaml.YAMLError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for warning in warnings(spec):
        sys.stderr.write(f"warning: {warning}\n")
    command = shlex.join(["docker", "compose", "--project-directory", str(out), "up", "--detach"])
    sys.stdout.write(f"The compose project {project_name(name)} is in {out}. Next:\n  {command}\n")
    return 0


def render(spec: DeploymentSpec, name: str, out: Path, secrets: KeptSecrets, given: Mapping[str, str]) -> None:
    """Make the directory `out` hold exactly the files of the project and `secrets`, which are complete.

    `given` are the secrets of the stack itself, by key.
    """
    if secrets.authority is None:
        raise ValueError("the secrets are not complete")
    certificates = {part: (pair.cert_pem, pair.key_pem) for part, pair in secrets.certificates.items()}
    authority = secrets.authority.cert_pem
    rendered = plain_files(spec, name) | secret_files(spec, secrets.passwords, authority, certificates, given)
    exported = outputs(name, spec, authority, secrets.passwords)
    rendered[OUTPUTS_FILE] = json.dumps(exported, indent=2) + "\n"
    # The secrets come first: a run that is cut short can be repeated.
    files.write(out, {SECRETS_FILE: secrets.model_dump_json(indent=2) + "\n"} | rendered)
    for private in (SECRETS_FILE, OUTPUTS_FILE):
        (out / private).chmod(SECRETS_MODE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.targets.compose",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--stack", required=True, metavar="NAME", help="read the settings of stacks/Pulumi.NAME.yaml")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="directory to write, new or of this command"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting in place of the stack file's"
    )
    parser.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="KEY=FILE",
        help="a secret setting, from the file that holds it",
    )
    parser.add_argument("--name", help="name of the deployment (default: that of the stack)")
    parser.add_argument("--secrets", type=Path, metavar="FILE", help="take the secrets from a secrets.json elsewhere")
    return parser


def _given(asked: Sequence[str]) -> dict[str, str]:
    """Read the secrets of `KEY=FILE`; an argument itself would show in the list of processes."""
    pairs = [(key, file) for key, equals, file in (each.partition("=") for each in asked) if equals]
    if len(pairs) < len(asked):
        raise RefusedError("--secret: must be KEY=FILE, such as --secret keycloakClientSecret=./client-secret")
    return {key: Path(file).expanduser().read_text().strip() for key, file in pairs}


def _spec(stack: str, changes: Sequence[str], secrets: Mapping[str, str]) -> DeploymentSpec:
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
    return load_spec({**given, **secrets}, f"stacks/{path.name}" + (" with --set" if changes else ""), secrets.keys())


def _put(given: dict[str, Any], change: str) -> None:
    """Put `KEY=VALUE`, with a dot in the key for a target's own setting, in place of what was given."""
    key, equals, value = change.partition("=")
    if not equals:
        raise RefusedError(f"--set {change}: must be KEY=VALUE, such as --set redisMaxmemory=512mb")
    section, dot, field = key.partition(".")
    given[section] = {**given.get(section, {}), field: value} if dot else value


def _kept_in(out: Path) -> KeptSecrets:
    """The secrets of an earlier run. A directory without them is refused: whatever else is in it would be removed."""
    path = out / SECRETS_FILE
    if path.exists():
        return read(path)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RefusedError(f"{out} is not of this command's making: choose a new directory")
    return KeptSecrets()


if __name__ == "__main__":
    sys.exit(main())
