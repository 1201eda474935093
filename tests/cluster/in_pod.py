"""Runs in a pod beside the deployment, as an application would; its arguments say what it does.

first             a session through the session service, over HTTPS: prints its user as that service verifies it
verify            asks that service who is signed in until standard input ends: prints a JSON object for each try
write             logs users in until standard input ends: prints a JSON object for each try
lost              reads such objects and prints the users whose session is not there any more
"""

import asyncio
import itertools
import json
import os
import secrets
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from session_core import SessionManager
from session_core.errors import SessionError

LOGINS_PER_SECOND = 200
PAUSE = 0.01  # s between two questions
AT_ONCE = 100


def service() -> httpx.Client:
    context = ssl.create_default_context(cafile="/run/kit/tls/ca.crt")
    return httpx.Client(base_url=os.environ["SERVICE_URL"], verify=context, timeout=20)


def log_in(client: httpx.Client, user: str) -> httpx.Response:
    admin = {"Authorization": "Bearer " + Path("/run/secrets/SESSION_ADMIN_TOKEN").read_text()}
    return client.post("/v1/sessions", json={"user_id": user}, headers=admin).raise_for_status()


def first() -> None:
    user = f"first-{secrets.token_hex(4)}"
    with service() as client:
        made = log_in(client, user)
        verified = client.get("/v1/verify").raise_for_status()
    print(json.dumps({**made.json(), "user": verified.headers["X-Session-User"], "wanted": user}))


def until_input_ends() -> threading.Event:
    ended = threading.Event()

    def listen() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=listen, daemon=True).start()
    return ended


def verify() -> None:
    ended = until_input_ends()
    with service() as client:
        cookies = log_in(client, "verified").cookies
    while not ended.is_set():
        said: dict[str, Any] = {"at": time.time()}
        try:
            with service() as client:  # a connection of its own: whoever answers, it is by the Service's choice
                client.cookies = cookies
                client.get("/v1/verify").raise_for_status()
        except httpx.HTTPError as error:
            said["failure"] = f"{type(error).__name__}: {error}"
        print(json.dumps(said), flush=True)
        time.sleep(PAUSE)


async def write() -> None:
    """At a fixed rate, whatever the answers take."""
    ended = until_input_ends()
    name = secrets.token_hex(4)

    async def one(sessions: SessionManager, user: str) -> None:
        try:
            session = await sessions.create_session(user)
            said = {"user": user, "id": session.session_id, "durable": session.durable, "at": time.time()}
        except SessionError as error:
            said = {"failure": f"{type(error).__name__}: {error}", "at": time.time()}
        print(json.dumps(said), flush=True)

    async with SessionManager() as sessions, asyncio.TaskGroup() as logins:
        began = time.monotonic()
        for number in itertools.takewhile(lambda _: not ended.is_set(), itertools.count()):
            await asyncio.sleep(max(0, began + number / LOGINS_PER_SECOND - time.monotonic()))
            logins.create_task(one(sessions, f"{name}-{number}"))


async def lost() -> None:
    written: list[dict[str, Any]] = json.load(sys.stdin)
    async with SessionManager() as sessions:
        for batch in (written[i : i + AT_ONCE] for i in range(0, len(written), AT_ONCE)):
            found = await asyncio.gather(*(sessions.get_session(each["id"]) for each in batch))
            for each, session in zip(batch, found, strict=True):
                if not (session and session.is_active and session.user_id == each["user"]):
                    print(each["user"])


if __name__ == "__main__":
    match sys.argv[1]:
        case "first":
            first()
        case "verify":
            verify()
        case "write":
            asyncio.run(write())
        case "lost":
            asyncio.run(lost())
