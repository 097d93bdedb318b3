"""A stand-in for engine, OCR broker or web, as a program with flags: answers, crashes, hangs, or will not stop."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from src.ipc import lifeline
from src.ipc.messages.control import Ping
from src.ipc.messages.status import Health, MemoryReading
from src.ipc.server import Peer, Server


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--socket", type=Path)
    parser.add_argument("--port", type=int)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument(
        "--exit-code-file", type=Path, help="exit at start with the code in this file, while it is there"
    )
    parser.add_argument("--ignore-term", action="store_true")
    parser.add_argument("--grandchild", action="store_true")
    return parser.parse_args()


class StandIn:
    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._over = asyncio.Event()

    def note(self, text: str) -> None:
        with self._options.journal.open("a") as journal:
            journal.write(f"{self._options.name} {text}\n")

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._told_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self.note, "SIGHUP")
        if self._options.grandchild:
            child = await asyncio.create_subprocess_exec("sleep", "600", stdin=subprocess.DEVNULL)
            self.note(f"grandchild {child.pid}")
        if self._options.port:
            await asyncio.start_server(self._http, "127.0.0.1", self._options.port)
        else:
            await Server(self._options.socket, self._pong).start()
        self.note("up" + (" NOTIFY_SOCKET" if "NOTIFY_SOCKET" in os.environ else ""))
        await self._over.wait()

    def _told_to_stop(self) -> None:
        self.note("SIGTERM")
        if not self._options.ignore_term:
            self._over.set()

    async def _pong(self, peer: Peer) -> None:
        while isinstance(await peer.receive(), Ping):
            peer.send(Health("ready", os.getpid(), MemoryReading(rss_bytes=1)))

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /livez "):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def main() -> None:
    options = parse()
    if options.exit_code_file and options.exit_code_file.exists():
        sys.exit(int(options.exit_code_file.read_text()))
    lifeline.watch(lambda: os._exit(6))

    async def run() -> None:
        await StandIn(options).run()

    asyncio.run(run())


if __name__ == "__main__":
    main()
