"""A listener at its end: who has connected is served, who comes later is kept out."""

from __future__ import annotations

import socket
import sys

import pytest

from src.api.process.listeners import refuse_new


@pytest.mark.skipif(sys.platform != "linux", reason="a socket filter is Linux's")
def test_who_waits_is_accepted_and_who_comes_later_is_not_connected() -> None:
    """A connection in the queue keeps what it has sent; a later one hears nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as late:
        early = socket.create_connection(listener.getsockname())
        early.sendall(b"POST")
        refuse_new(listener)
        late.settimeout(0.1)
        with pytest.raises(TimeoutError):
            late.connect(listener.getsockname())
        accepted, _ = listener.accept()
        listener.close()
        with early, accepted:
            accepted.sendall(b"200")
            assert (accepted.recv(4), early.recv(3)) == (b"POST", b"200")


def test_a_unix_socket_is_left_alone() -> None:
    """A filter is for addresses; another listener is closed as it is."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        refuse_new(ours)
        theirs.sendall(b"x")
        assert ours.recv(1) == b"x"
