"""A client that leaves is noticed while nothing is written to it."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest
from gevent import event, socket

from src.api.generation.inflight import ClientWatch

PATIENCE_S = 5.0
MOMENT_S = 0.02
LOOKS_S = 0.15  # the socket is looked at several times


class Client:
    """Both ends of a connection, and a watch on the server's."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        self.left = event.Event()
        self.calls = 0
        self.watch = ClientWatch({"gunicorn.socket": self.near}, self._gone)

    def _gone(self) -> None:
        self.calls += 1
        self.left.set()


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client()
    yield client
    client.watch.stop()
    client.near.close()
    client.far.close()


def test_a_close_is_noticed(client: Client) -> None:
    """`on_gone` is called once, soon after the client closes."""
    assert not client.left.wait(MOMENT_S)
    client.far.close()
    assert client.left.wait(PATIENCE_S)
    gevent.sleep(MOMENT_S)
    assert client.calls == 1


def test_half_closing_counts_as_gone(client: Client) -> None:
    """As in nginx, a client that shuts its side down does not wait for an answer."""
    client.far.shutdown(socket.SHUT_WR)
    assert client.left.wait(PATIENCE_S)


@pytest.mark.parametrize("sent", [b"\n", b"GET / HTTP/1.1\r\n"])
@pytest.mark.parametrize("half", [True, False])
def test_bytes_behind_the_request_hide_no_end(client: Client, sent: bytes, half: bool) -> None:
    """They stay for whoever reads the next request; that the client leaves after them is noticed all the same, once."""
    client.far.sendall(sent)
    assert not client.left.wait(LOOKS_S)
    client.far.shutdown(socket.SHUT_WR) if half else client.far.close()
    assert client.left.wait(PATIENCE_S)
    gevent.sleep(LOOKS_S)
    assert client.calls == 1
    assert client.near.recv(100) == sent


def test_a_watch_stopped_behind_bytes_is_silent(client: Client) -> None:
    """The request has ended; the next one has a watch of its own."""
    client.far.sendall(b"GET")
    assert not client.left.wait(LOOKS_S)
    client.watch.stop()
    client.far.close()
    assert not client.left.wait(LOOKS_S)


def test_a_stopped_watch_is_silent(client: Client) -> None:
    """After `stop`, which may be called again, nothing is reported."""
    client.watch.stop()
    client.watch.stop()
    client.far.close()
    assert not client.left.wait(MOMENT_S)


def test_without_gunicorn_there_is_no_early_notice() -> None:
    """Under another server the next failing write tells; nothing breaks."""
    called: list[int] = []
    watch = ClientWatch({}, lambda: called.append(1))
    watch.stop()
    assert called == []
