"""The environment of an application on this host that uses the session library, from the outputs of a deployment.

    pulumi stack output --json --show-secrets | python -m infra.outputs_env --ca-file ca.pem

Prints one `export` for each variable, with the passwords: for `eval` in a shell, or as a `.env` file of mode 0600.
"""

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import SecretStr

from infra.outputs import OutputsError, StackOutputs, read


def main(arguments: Sequence[str] | None = None) -> int:
    """Read outputs, write the authority's certificate, print the variables; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.outputs_env", description=__doc__.partition("\n")[0])
    parser.add_argument("--ca-file", required=True, type=Path, help="file for the certificate of the authority (0600)")
    parser.add_argument("--outputs", type=Path, help="read the outputs from this file, not from standard input")
    asked = parser.parse_args(arguments)
    ca_file: Path = asked.ca_file.absolute()
    try:
        outputs = read(asked.outputs)
        _write_private(ca_file, outputs.ca_pem)
    except (OutputsError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for name, value in environment(outputs, ca_file).items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    return 0


def environment(outputs: StackOutputs, ca_file: Path) -> Mapping[str, str]:
    """The variables of the session library by name; those that a deployment has no value for are left out."""
    tls = "tls" in outputs.features
    values = {
        "AUTH_MODE": "session",
        "SESSION_BACKEND": "redis",
        "REDIS_URL": _url(outputs, "rediss" if tls else "redis"),
        "REDIS_SSL": str(tls).lower(),
        "REDIS_CA_FILE": str(ca_file) if tls else "",
        "REDIS_USERNAME": outputs.users.sessions,
        "REDIS_PASSWORD": _clear(outputs.sessions_password),
        "REDIS_SENTINEL_USERNAME": outputs.users.sentinel or "",
        "REDIS_SENTINEL_PASSWORD": _clear(outputs.sentinel_password),
        "REDIS_ADDRESS_MAP": outputs.address_map,
        "SESSION_WAIT_REPLICAS": str(outputs.durability_delivered.wait_replicas),
    }
    return {name: value for name, value in ({**outputs.session_settings} | values).items() if value}


def _url(outputs: StackOutputs, scheme: str) -> str:
    if not outputs.sentinels:
        return f"{scheme}://{outputs.redis_nodes[0]}/0"
    return f"{scheme}-sentinel://{','.join(outputs.sentinels)}/{outputs.master_name}/0"


def _clear(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def _write_private(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    sys.exit(main())
