"""Which certificates are taken for good, of Redis and of the session service."""

import ssl
from functools import cache
from pathlib import Path


@cache
def trusting(authority: Path | None) -> ssl.SSLContext:
    """Check certificates by the file of an authority; None: by all authorities that this machine knows.

    Made once for all connections: to read those of the machine takes 40 ms, in which nothing else is generated.
    """
    return ssl.create_default_context(cafile=authority)
