"""Creates a session over HTTP, reads it back with its cookie, and says how to go on.

Reads the outputs of the stack (`pulumi stack output --json --show-secrets`) from standard input: secrets are in no argv.
"""

import http.cookiejar
import json
import ssl
import sys
import urllib.error
import urllib.request
from typing import Any

COOKIE = "__Host-session_id"
TIMEOUT = 20  # s


def main(stack: str) -> None:
    """Prove the deployment by its first session."""
    outputs = json.load(sys.stdin)
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cadata=outputs["ca_pem"])),
        urllib.request.HTTPCookieProcessor(jar),
    )

    def call(method: str, path: str, body: object = None, **headers: str) -> tuple[dict[str, str], dict[str, Any]]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(outputs["url"] + path, data, {"Content-Type": "application/json", **headers}, method=method)
        try:
            with opener.open(request, timeout=TIMEOUT) as reply:
                return dict(reply.headers), json.loads(reply.read() or b"{}")
        except urllib.error.HTTPError as error:
            sys.exit(f"{method} {path}: HTTP {error.code}: {error.read().decode(errors='replace')}")
        except OSError as error:
            sys.exit(f"{method} {outputs['url']}{path}: {error}")

    bearer = {"Authorization": f"Bearer {outputs['admin_token']}"}
    _, created = call("POST", "/v1/sessions", {"user_id": "alice", "metadata": {"device": "first session"}}, **bearer)
    seen, _ = call("GET", "/v1/verify")
    user = seen.get("X-Session-User") or seen.get("x-session-user")
    if user != "alice" or COOKIE not in {cookie.name for cookie in jar}:
        sys.exit(f"the session that was created did not come back: user {user}, cookies {[c.name for c in jar]}")
    print(f"""
A session of {user} was created (durable: {str(created['durable']).lower()}) and read back through its cookie: {created['handle']}

  URL                {outputs['url']}   (certificate authority: pulumi stack output ca_pem)
  admin credential   pulumi stack output admin_token --show-secrets   (sent as: Authorization: Bearer ...)

Try next (first: eval "$(make env)"):
  make status STACK={stack}                          who is primary, what is healthy
  make redis-cli STACK={stack} CMD='DBSIZE'          a command on the primary, over TLS, as the ACL user admin
  docker kill redis-session-kit-{stack}-redis-1-1    kill a node: sessions stay; `make up` mends it""")


if __name__ == "__main__":
    main(sys.argv[1])
