"""Writes the compose project of a stack without Pulumi: a directory that works with plain `docker compose`."""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from infra.components.kept_secrets import KeptSecrets, SecretsError, completed
from infra.render.compose import project_name
from infra.render.project import plain_files, secret_files
from infra.render.topology import topology
from infra.spec import DeploymentSpec, warnings
from infra.stackfile import SpecError
from infra.targets.command import (
    OUTPUTS_FILE,
    SECRETS_FILE,
    SECRETS_MODE,
    RefusedError,
    given_secrets,
    kept_in,
    parser,
    wanted,
)
from infra.targets.compose import files
from infra.targets.compose.exported import outputs

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Render as the command line says; the exit code."""
    asked = parser("infra.targets.compose", __doc__, EXAMPLE).parse_args(arguments)
    try:
        given = given_secrets(asked.secret)
        spec = wanted(asked.stack, asked.set, "compose", given)
        name = asked.name or asked.stack
        out: Path = asked.out.expanduser().absolute()
        kept = kept_in(out, asked.secrets, renew_certificates=asked.renew_certificates)
        render(spec, name, out, completed(kept, name, topology(spec).certified), given)
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


if __name__ == "__main__":
    sys.exit(main())
