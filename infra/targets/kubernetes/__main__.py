"""Writes the manifests of a stack: a directory that works with plain `kubectl apply`."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from infra.components.kept_secrets import KeptSecrets, SecretsError, completed, of_generation
from infra.render.kubernetes import Cluster
from infra.render.kubernetes.charts import chart_of
from infra.render.kubernetes.documents import manifest
from infra.spec import warnings
from infra.stackfile import SpecError
from infra.targets import directory
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
from infra.targets.kubernetes.exported import outputs
from infra.targets.kubernetes.manifests import NameRefusedError, check_names, manifests

MANIFESTS, SECRET_MANIFESTS = "manifests", "secrets"
VALUES_FILE = "values.yaml"
EXAMPLE = """\
example:
  python -m infra.targets.kubernetes --stack kind --out ~/sessions
  kubectl apply --server-side -f ~/sessions/manifests -f ~/sessions/secrets

  python -m infra.targets.kubernetes --stack kind --name other --set redisMaxmemory=512mb --out ~/other

The folder manifests has no secret in it and may be kept in git; those are in the folder secrets, in secrets.json, from
which they are made, and in outputs.json. The directory is for you alone (0700).
Run it again after a change of the stack file: what has not changed stays as it is.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Render as the command line says; the exit code."""
    asked = parser("infra.targets.kubernetes", __doc__, EXAMPLE).parse_args(arguments)
    try:
        given = given_secrets(asked.secret)
        cluster = Cluster(wanted(asked.stack, asked.set, "kubernetes", given), asked.name or asked.stack)
        check_names(cluster)
        out: Path = asked.out.expanduser().absolute()
        kept = kept_in(out, asked.secrets, renew_certificates=asked.renew_certificates)
        kept = of_generation(kept, cluster.target.password_generation)
        render(cluster, out, completed(kept, cluster.name, cluster.own_certificates), given)
    except (RefusedError, NameRefusedError, SpecError, SecretsError, OSError, yaml.YAMLError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for warning in warnings(cluster.spec):
        sys.stderr.write(f"warning: {warning}\n")
    sys.stdout.write(
        f"The manifests of the namespace {cluster.namespace} are in {out}. Next:\n"
        f"  kubectl apply --server-side -f {out / MANIFESTS} -f {out / SECRET_MANIFESTS}\n"
        + (f"  {install(cluster, out)}\n" if cluster.chart else "")
    )
    return 0


def install(cluster: Cluster, out: Path) -> str:
    """The command that makes Redis and the Sentinels with the chart and the values in `out`."""
    chart = chart_of(cluster)
    repository = f"--repo {chart.repository} " if chart.repository else ""
    return (
        f"helm upgrade --install {cluster.name} {chart.reference} {repository}--version {chart.version} "
        f"--namespace {cluster.namespace} --values {out / VALUES_FILE}"
    )


def render(cluster: Cluster, out: Path, secrets: KeptSecrets, given: Mapping[str, str]) -> None:
    """Make the directory `out` hold exactly the manifests of the deployment and `secrets`, which are complete.

    `given` are the secrets of the stack itself, by key.
    """
    if secrets.authority is None:
        raise ValueError("the secrets are not complete")
    certificates = {part: (pair.cert_pem, pair.key_pem) for part, pair in secrets.certificates.items()}
    authority = cluster.target.certificate_authority or secrets.authority.cert_pem
    others = filter(None, (secrets.former, secrets.coming))
    rendered = manifests(cluster, secrets.passwords, authority, certificates, given, *others)
    # The secrets come first: a run that is cut short can be repeated.
    files = {SECRETS_FILE: secrets.model_dump_json(indent=2) + "\n"}
    files |= {f"{MANIFESTS}/{name}.yaml": manifest(objects) for name, objects in rendered.plain.items()}
    files[f"{SECRET_MANIFESTS}/secrets.yaml"] = manifest(rendered.secrets)
    if rendered.values:
        files[VALUES_FILE] = manifest([rendered.values])
    files[OUTPUTS_FILE] = json.dumps(outputs(cluster, authority, secrets.passwords), indent=2) + "\n"
    directory.write(out, files)
    for private in (SECRETS_FILE, OUTPUTS_FILE, f"{SECRET_MANIFESTS}/secrets.yaml"):
        (out / private).chmod(SECRETS_MODE)


if __name__ == "__main__":
    sys.exit(main())
