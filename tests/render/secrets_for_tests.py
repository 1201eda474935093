"""Fixed passwords and certificates: what is rendered from them is always the same."""

from infra.render.project import ADMIN_TOKEN, USERS
from infra.render.topology import topology
from infra.spec import DeploymentSpec

PASSWORDS = {user: f"password-of-{user}" for user in (*USERS, ADMIN_TOKEN)}
AUTHORITY = "-----BEGIN CERTIFICATE-----\nthe authority\n-----END CERTIFICATE-----\n"


def certificates(spec: DeploymentSpec) -> dict[str, tuple[str, str]]:
    """A text in place of each part's certificate and key."""
    return {part: (f"certificate of {part}\n", f"key of {part}\n") for part in topology(spec).certified}


CERTIFICATES = certificates(DeploymentSpec())
