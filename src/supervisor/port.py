"""Whether web can listen on its port. Called by `main.py` before web starts, and by `run.py check`."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
from typing import Any

_CONNECT_S = 0.5


def problem(host: str, port: int) -> str | None:
    """Why binding fails; None when the port is free."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)[0]
        _bind(family, kind, address)
        if _answers(family, kind, address):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    except OSError as error:
        return f"{host}:{port}: {(error.strerror or str(error)).lower()}"
    return None


def _bind(family: int, kind: int, address: Any) -> None:
    with socket.socket(family, kind) as sock:
        # as gunicorn does: TIME_WAIT connections of an earlier web are no obstacle
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)


def _answers(family: int, kind: int, address: Any) -> bool:
    """On macOS SO_REUSEADDR also binds beside a listener on all addresses, which Linux refuses."""
    host, *rest = address
    with socket.socket(family, kind) as sock:
        sock.settimeout(_CONNECT_S)
        return sock.connect_ex((_reachable(host), *rest)) == 0


def _reachable(host: str) -> str:
    """An address that stands for all is no one's to connect to: the loopback one of its family."""
    found = ipaddress.ip_address(host.partition("%")[0])
    return ("::1" if found.version == 6 else "127.0.0.1") if found.is_unspecified else host


async def wait_until_free(host: str, port: int, timeout_s: float) -> str | None:
    """Give an earlier web time to exit; then as `problem`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while why := problem(host, port):
        if loop.time() >= deadline:
            return why
        await asyncio.sleep(0.2)
    return None
