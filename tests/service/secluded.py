"""Chromium in a network of its own with nothing but loopback.

On this host's network it drops what is under way whenever a container comes or goes (ERR_NETWORK_CHANGED). Without root
it runs on the host's network all the same.
"""

import asyncio
import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, async_playwright

CHROMIUM: Final = "/usr/bin/chromium"
NEW_NETWORK: Final = 0x40000000  # CLONE_NEWNET


class Seclusion:
    """A thread that lives in a new network, and sockets there that listen on ports of this host's loopback."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._made, self._over = threading.Event(), threading.Event()
        self.sockets: list[socket.socket] = []
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()
        self._made.wait()

    def _live(self) -> None:
        assert ctypes.CDLL(None, use_errno=True).unshare(NEW_NETWORK) == 0, os.strerror(ctypes.get_errno())
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self.sockets = [socket.create_server(("127.0.0.1", port)) for port in self._ports]
        self._made.set()
        self._over.wait()

    def wrapper(self, directory: Path) -> Path:
        """Write a program that runs Chromium there."""
        network = f"/proc/{os.getpid()}/task/{self._thread.native_id}/ns/net"
        script = directory / "chromium"
        script.write_text(f'#!/bin/sh\nexec nsenter --net={network} -- {CHROMIUM} "$@"\n')
        script.chmod(0o755)
        return script

    def close(self) -> None:
        self._over.set()
        self._thread.join()


@asynccontextmanager
async def chromium(directory: Path, *ports: int) -> AsyncIterator[Browser]:
    """A browser that reaches these ports of this host, as localhost."""
    seclusion = Seclusion(ports) if os.getuid() == 0 else None
    program = seclusion.wrapper(directory) if seclusion else CHROMIUM
    relays = [await asyncio.start_server(_relay, sock=each) for each in seclusion.sockets] if seclusion else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()
            for relay in relays:
                relay.close()
            if seclusion:
                seclusion.close()


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    there = await asyncio.open_connection("127.0.0.1", writer.get_extra_info("sockname")[1])
    await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
