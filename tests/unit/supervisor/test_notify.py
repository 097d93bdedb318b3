"""Notifications to systemd."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from src.supervisor.notify import Notifier


@pytest.mark.parametrize("abstract", [False, True])
def test_notifications_reach_systemd(tmp_path: Path, abstract: bool) -> None:
    """One datagram a message, to a path or an abstract socket."""
    address = f"@{tmp_path}/notify" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        try:
            systemd.bind(address.replace("@", "\0") if abstract else address)
        except OSError:
            pytest.skip("no abstract sockets here")
        systemd.settimeout(2)
        notifier = Notifier(address)
        notifier.ready("ready on http://x")
        notifier.watchdog()
        notifier.stopping()
        said = [systemd.recv(1000).decode() for _ in range(3)]
    assert said == ["READY=1\nSTATUS=ready on http://x", "WATCHDOG=1", "STOPPING=1"]


@pytest.mark.parametrize("address", [None, "/nowhere/notify"])
def test_a_missing_systemd_is_ignored(address: str | None) -> None:
    """Without systemd nothing is sent; a closed socket is ignored."""
    Notifier(address).ready("ready")
