"""sd_notify: reports the service's state to systemd, one datagram each. Used by `main.py`; a no-op without systemd."""

from __future__ import annotations

import socket
from contextlib import suppress


class Notifier:
    """Sends to the given NOTIFY_SOCKET; None sends nothing."""

    def __init__(self, address: str | None) -> None:
        # a leading @ means an abstract socket (NUL byte)
        self._address = "\0" + address[1:] if address and address.startswith("@") else address

    def ready(self, status: str) -> None:
        self._send(f"READY=1\nSTATUS={status}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if self._address is None:
            return
        # systemd's end may be closed or full: the service does not depend on it
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(text.encode(), self._address)
