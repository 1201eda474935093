"""Creates a session over HTTP, reads it back with its cookie, and says how to go on.

Reads the outputs of the stack from standard input, as `pulumi stack output --json --show-secrets` prints them: no
secret is in an argv.
"""

import json
import ssl
import sys

import httpx

TIMEOUT = 20  # s
SHOWN = """
A session of {user} was created (durable: {durable}) and read back through its cookie: {handle}

  URL                {url}   (certificate authority: pulumi stack output ca_pem)
  admin credential   pulumi stack output admin_token --show-secrets   (sent as: Authorization: Bearer ...)

Try next (first: eval "$(make env)"):
  make status STACK={stack}                          who is primary, what is healthy
  make redis-cli STACK={stack} CMD='DBSIZE'          a command on the primary, over TLS, as the ACL user admin
  docker kill redis-session-kit-{stack}-redis-1-1    kill a node: sessions stay; `make up` mends it
"""


def main(stack: str) -> None:
    """Prove the deployment by its first session."""
    outputs = json.load(sys.stdin)
    context = ssl.create_default_context(cadata=outputs["ca_pem"])
    admin = {"Authorization": f"Bearer {outputs['admin_token']}"}
    login = {"user_id": "alice", "metadata": {"device": "first session"}}
    try:
        with httpx.Client(base_url=outputs["url"], verify=context, timeout=TIMEOUT) as client:
            created = client.post("/v1/sessions", json=login, headers=admin).raise_for_status().json()
            user = client.get("/v1/verify").raise_for_status().headers.get("X-Session-User")
    except httpx.HTTPError as error:
        sys.exit(f"the first session could not be created and read back: {error}")
    if user != login["user_id"]:
        sys.exit(f"the session that was created did not come back: its user is {user}")
    durable = str(created["durable"]).lower()
    sys.stdout.write(
        SHOWN.format(user=user, durable=durable, handle=created["handle"], url=outputs["url"], stack=stack)
    )


if __name__ == "__main__":
    main(sys.argv[1])
