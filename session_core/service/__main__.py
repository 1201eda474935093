# ruff: noqa: T201 - for whoever starts it
"""`python -m session_core.service`: serve; `… health`: ask the running service on this machine whether it lives."""

import os
import sys
from typing import Final

HEALTH_SECONDS: Final = 3.0
SHUTDOWN_SECONDS: Final = 10


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT; with `health` return 0 if the service answers, else 1."""
    return _health() if arguments == ["health"] else _serve()


def _serve() -> int:
    import logging

    import uvicorn

    from session_core.errors import SessionError
    from session_core.service import logs
    from session_core.service.app import make_app
    from session_core.service.server import Server
    from session_core.service.settings import ServiceSettings

    try:
        settings = ServiceSettings()
        app = make_app(settings)
    except SessionError as error:
        print(f"session service: {error}", file=sys.stderr)
        return 1
    logs.set_up(settings.session_log_level)
    if settings.session_tls_cert_file is None:
        logging.getLogger(__name__).warning("plain HTTP: set SESSION_TLS_CERT_FILE and SESSION_TLS_KEY_FILE")
    config = uvicorn.Config(
        app,
        host=settings.session_http_host,
        port=settings.session_http_port,
        ssl_certfile=settings.session_tls_cert_file,
        ssl_keyfile=settings.session_tls_key_file,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    server = Server(config)
    server.run()
    return 0 if server.started else 1


def _health() -> int:
    import http.client
    import ssl

    port = int(os.environ.get("SESSION_HTTP_PORT") or 8443)
    connection: http.client.HTTPConnection
    if os.environ.get("SESSION_TLS_CERT_FILE"):
        # Over loopback to ourselves: whose certificate it is does not matter here.
        context = ssl._create_unverified_context()  # noqa: S323, SLF001
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=HEALTH_SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HEALTH_SECONDS)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except OSError as error:
        print(f"no answer on port {port}: {error}", file=sys.stderr)
        return 1
    finally:
        connection.close()
    return 0 if status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
