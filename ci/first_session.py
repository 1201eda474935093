"""Creates a session over HTTP, reads it back with its cookie, and says how to go on.

Reads the outputs of the stack from standard input, as `pulumi stack output --json --show-secrets` prints them: no
secret is in an argv.
"""

import json
import secrets
import ssl
import subprocess
import sys
from typing import Any

import httpx

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


def base_url(outputs: dict[str, Any]) -> str:
    """Where the gateway is for this host: its published port, or, where none is published, its container."""
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
        with httpx.Client(base_url=base_url(outputs), verify=context, timeout=TIMEOUT) as client:
            answer = client.post("/v1/sessions", json=login, headers=admin, extensions=named)
            created = answer.raise_for_status().json()
            user = client.get("/v1/verify", extensions=named).raise_for_status().headers.get("X-Session-User")
    except httpx.HTTPError as error:
        sys.exit(f"the first session could not be created and read back: {error}")
    if user != login["user_id"]:
        sys.exit(f"the session that was created did not come back: its user is {user}")
    known = {"durable": str(created["durable"]).lower(), "handle": created["handle"], "url": outputs["url"]}
    published = "certificate authority: pulumi stack output ca_pem"
    where = published if outputs["address_map"] else "inside only: publish is false"
    sys.stdout.write(SHOWN.format(user=user, stack=stack, where=where, **known))


if __name__ == "__main__":
    main(sys.argv[1])
