"""Creates a session over HTTP, reads it back with its cookie, and says how to go on.

Reads the outputs of the stack from standard input, as `pulumi stack output --json --show-secrets` prints them: no
secret is in an argv.
"""

import json
import secrets
import shlex
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from infra.outputs import place

TIMEOUT = 20  # s
SHOWN = """
A session of {user} was created (durable: {durable}) and read back through its cookie: {handle}

  URL                {url}   ({where})
  admin credential   pulumi stack output admin_token --show-secrets   (sent as: Authorization: Bearer ...)

Try next (first: eval "$(make env)"):
  make status STACK={stack}                          who is primary, what is healthy
  make redis-cli STACK={stack} CMD='DBSIZE'          a command on the primary, over TLS, as the ACL user admin
  docker kill redis-session-kit-{stack}-redis-1-1    kill a node: sessions stay; `make up` mends it
"""
SHOWN_ON_KUBERNETES = """
A session of {user} was created (durable: {durable}) and read back through its cookie: {handle}

  URL                {url}   (inside of the cluster)
  admin credential   pulumi stack output admin_token --show-secrets   (sent as: Authorization: Bearer ...)

Try next (first: eval "$(make env)"):
  kubectl {place} get pods
  kubectl {place} delete pod redis-0    its primary is handed over first: sessions stay
"""


@contextmanager
def base_url(outputs: dict[str, Any]) -> Iterator[str]:
    """Where the service is for this host: its published port; where none is published, its container; or a tunnel."""
    if outputs["target"] == "kubernetes":
        command = ["kubectl", *place(outputs["location"]), "port-forward", "service/session", ":443"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tunnel:
            try:
                said = tunnel.stdout.readline() if tunnel.stdout else ""  # Forwarding from 127.0.0.1:36559 -> 8443
                yield f"https://{said.removeprefix('Forwarding from ').partition(' ')[0]}"
            finally:
                tunnel.terminate()
    else:
        yield published(outputs)


def published(outputs: dict[str, Any]) -> str:
    """Where the gateway of a deployment on compose is for this host."""
    if outputs["address_map"]:
        return str(outputs["url"])
    container = f"{outputs['location']['compose_project']}-gateway-1"
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    command = ["docker", "inspect", "--format", form, container]
    address = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return f"https://{address}:{httpx.URL(outputs['url']).port}"


def main(stack: str) -> None:
    """Prove the deployment by its first session, of a user that nobody else is."""
    outputs = json.load(sys.stdin)
    context = ssl.create_default_context(cadata=outputs["ca_pem"])
    admin = {"Authorization": f"Bearer {outputs['admin_token']}"}
    login = {"user_id": f"first-session-{secrets.token_hex(4)}", "metadata": {"device": "make up"}}
    named = {"sni_hostname": httpx.URL(outputs["url"]).host}
    try:
        with base_url(outputs) as url, httpx.Client(base_url=url, verify=context, timeout=TIMEOUT) as client:
            answer = client.post("/v1/sessions", json=login, headers=admin, extensions=named)
            created = answer.raise_for_status().json()
            user = client.get("/v1/verify", extensions=named).raise_for_status().headers.get("X-Session-User")
    except httpx.HTTPError as error:
        sys.exit(f"the first session could not be created and read back: {error}")
    if user != login["user_id"]:
        sys.exit(f"the session that was created did not come back: its user is {user}")
    known = {"durable": str(created["durable"]).lower(), "handle": created["handle"], "url": outputs["url"]}
    if outputs["target"] == "kubernetes":
        sys.stdout.write(SHOWN_ON_KUBERNETES.format(user=user, place=shlex.join(place(outputs["location"])), **known))
        return
    authority = "certificate authority: pulumi stack output ca_pem"
    where = authority if outputs["address_map"] else "inside only: publish is false"
    sys.stdout.write(SHOWN.format(user=user, stack=stack, where=where, **known))


if __name__ == "__main__":
    main(sys.argv[1])
