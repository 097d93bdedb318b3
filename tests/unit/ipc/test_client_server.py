"""Both ends of the wire together, over a real socket."""

from __future__ import annotations

import asyncio
import shutil
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from src.errors import InternalError
from src.ipc import client, runtime
from src.ipc.client import Cancelled, ConnectError, Disconnected, Stream, WaitTimeout
from src.ipc.framing import encode
from src.ipc.messages.base import Accepted, Failed
from src.ipc.messages.chat import Delta
from src.ipc.messages.control import Ping, StatusRequest, StopRequest
from src.ipc.messages.wire import AnyMessage
from src.ipc.server import AddressInUse, Peer
from tests.unit.ipc.conftest import PATIENCE_S, Serve, ServerThread

MANY = 500


async def echo(peer: Peer) -> None:
    """Answers `Ping`, streams `MANY` deltas on `StatusRequest`, breaks on `StopRequest`."""
    while (message := await peer.receive()) is not None:
        if isinstance(message, StopRequest):
            raise RuntimeError("asked to break")
        for at in range(MANY if isinstance(message, StatusRequest) else 0):
            peer.send(Delta((at,), str(at)))
        peer.send(Accepted())


class Watched:
    """A handler that waits for its peer to go, and tells the test."""

    def __init__(self) -> None:
        self.came = threading.Event()
        self.gone = threading.Event()
        self.cancelled = threading.Event()

    async def __call__(self, peer: Peer) -> None:
        self.came.set()
        try:
            await asyncio.shield(peer.gone)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        self.gone.set()


def _read(raw: socket.socket) -> bytes:
    """What comes; a reset counts as the end."""
    try:
        return raw.recv(100)
    except ConnectionResetError:
        return b""


def drain(stream: Stream) -> None:
    """Read until the stream ends."""
    while stream.receive_all(PATIENCE_S):
        pass


def ask(path: Path, message: AnyMessage | None = None) -> AnyMessage:
    return client.ask(path, message or Ping(), PATIENCE_S)


# ---- order


def test_one_question_one_answer(serve: Serve) -> None:
    """`ask` is one connection, one question, one answer."""
    assert ask(serve(echo).path) == Accepted()


def test_messages_come_in_order(serve: Serve) -> None:
    """What the server sends arrives complete and in order, however it is read."""
    with client.connect(serve(echo).path, PATIENCE_S) as stream:
        stream.send(StatusRequest(), PATIENCE_S)
        received: list[AnyMessage] = [stream.receive(PATIENCE_S)]
        while not isinstance(received[-1], Accepted):
            received += stream.receive_all(PATIENCE_S)
    assert received == [*(Delta((at,), str(at)) for at in range(MANY)), Accepted()]


def test_a_connection_may_ask_again(serve: Serve) -> None:
    """A heartbeat keeps its connection."""
    with client.connect(serve(echo).path, PATIENCE_S) as stream:
        for _ in range(3):
            stream.send(Ping(), PATIENCE_S)
            assert stream.receive(PATIENCE_S) == Accepted()


# ---- the end of a connection


def test_closing_cancels(serve: Serve) -> None:
    """The server knows at once when the client closes: that is how a request is cancelled."""
    watched = Watched()
    stream = client.connect(serve(watched).path, PATIENCE_S)
    assert watched.came.wait(PATIENCE_S)
    assert not watched.gone.is_set()
    stream.close()
    assert watched.gone.wait(PATIENCE_S)


def test_half_closing_counts_as_gone(serve: Serve) -> None:
    """A client that will not send any more is not waited for."""
    watched = Watched()
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(serve(watched).path))
        raw.shutdown(socket.SHUT_WR)
        assert watched.gone.wait(PATIENCE_S)


@pytest.mark.parametrize("end", [Stream.cancel, Stream.close])
def test_leaving_wakes_who_waits(serve: Serve, end: Callable[[Stream], None]) -> None:
    """`cancel` or `close` from another thread ends a blocked `receive`: as our own doing, not as the server's end."""
    watched = Watched()
    with client.connect(serve(watched).path, PATIENCE_S) as stream:
        assert watched.came.wait(PATIENCE_S)
        threading.Timer(0.02, end, (stream,)).start()
        with pytest.raises(Cancelled):
            stream.receive(PATIENCE_S)
        assert watched.gone.wait(PATIENCE_S)


def test_closing_twice_and_cancelling_late_is_harmless(serve: Serve) -> None:
    """Every end of a request may close the stream, whoever was first."""
    stream = client.connect(serve(echo).path, PATIENCE_S)
    stream.close()
    stream.cancel()
    stream.close()
    with pytest.raises(Cancelled):
        stream.send(Ping(), PATIENCE_S)
    with pytest.raises(Cancelled):
        stream.receive(PATIENCE_S)


def test_a_closing_server_tells_everybody(serve: Serve) -> None:
    """When a server ends, its handlers are cancelled, its clients disconnected, and its socket file is gone."""
    watched = Watched()
    server = serve(watched)
    with client.connect(server.path, PATIENCE_S) as stream:
        assert watched.came.wait(PATIENCE_S)
        server.close().result(PATIENCE_S)
        with pytest.raises(Disconnected):
            stream.receive(PATIENCE_S)
    assert watched.cancelled.is_set()
    assert not server.path.exists()


# ---- bad peers


def test_a_slow_reader_is_dropped_and_others_are_not(serve: Serve) -> None:
    """A client that does not read never blocks the sender: it gets a bounded buffer, then it is gone."""
    dropped = threading.Event()

    async def flood(peer: Peer) -> None:
        if isinstance(await peer.receive(), StatusRequest):
            while not peer.gone.done():
                peer.send(Delta((), "x" * 65536))
                await asyncio.sleep(0)
            dropped.set()
        peer.send(Accepted())

    path = serve(flood, buffer_bytes=1 << 18).path
    with client.connect(path, PATIENCE_S) as slow:
        slow.send(StatusRequest(), PATIENCE_S)
        assert dropped.wait(PATIENCE_S)
        assert ask(path) == Accepted()
        with pytest.raises(Disconnected):
            drain(slow)


@pytest.mark.parametrize(
    "junk",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">I", 0xFFFFFFFF),
        struct.pack(">I", 3) + b"\xc1\xc1\xc1",
        encode(Ping())[:-1],
    ],
    ids=["http", "huge", "no msgpack", "cut"],
)
def test_junk_costs_its_own_connection_only(junk: bytes, serve: Serve) -> None:
    """Whoever does not speak the protocol is dropped; the others notice nothing."""
    path = serve(echo).path
    with client.connect(path, PATIENCE_S) as good:
        with socket.socket(socket.AF_UNIX) as raw:
            raw.settimeout(PATIENCE_S)
            raw.connect(str(path))
            raw.sendall(junk)
            raw.shutdown(socket.SHUT_WR)
            assert _read(raw) == b""
        good.send(Ping(), PATIENCE_S)
        assert good.receive(PATIENCE_S) == Accepted()


def test_a_handler_that_breaks_costs_its_own_connection_only(serve: Serve) -> None:
    """A bug in one request is an internal error for that client, no seeming crash, and leaves the server alive."""
    path = serve(echo).path
    assert ask(path, StopRequest()) == Failed.of(InternalError())
    assert ask(path) == Accepted()


# ---- the socket file


def test_the_socket_is_private(serve: Serve) -> None:
    """Only this user may connect."""
    mode = serve(echo).path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_a_stale_socket_is_taken_over(serve: Serve, runtime_dir: Path) -> None:
    """A file that a killed process left behind does not block the next start."""
    path = runtime_dir / "test.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    with pytest.raises(ConnectError):
        ask(path)
    serve(echo)
    assert ask(path) == Accepted()


def test_a_living_socket_is_refused(serve: Serve) -> None:
    """A second process cannot steal the socket of a living one, and does not harm it by trying."""
    path = serve(echo).path
    with pytest.raises(AddressInUse), ServerThread(path, echo):
        pass
    assert ask(path) == Accepted()


def test_a_successor_takes_the_place_in_one_moment(serve: Serve) -> None:
    """Renamed over the old one's socket: who connects reaches it, and the old one's end does not take it away."""
    old = serve(echo)
    beside = serve(echo, name="test~.sock")
    with client.connect(old.path, PATIENCE_S) as stream:
        beside.path.rename(old.path)
        stream.send(Ping(), PATIENCE_S)
        assert stream.receive(PATIENCE_S) == Accepted()
    old.close().result(PATIENCE_S)
    assert ask(old.path) == Accepted()


def test_nobody_listens(runtime_dir: Path) -> None:
    """A missing socket is a ConnectError that names it, not its whole path."""
    with pytest.raises(ConnectError, match=r"^engine-demo\.sock: "):
        ask(runtime_dir / "engine-demo.sock")


# ---- Stream over a socket pair


class Pair:
    """A stream and the raw other end."""

    def __init__(self) -> None:
        self.far, near = socket.socketpair(socket.AF_UNIX)
        self.stream = Stream(near)


def test_silence_is_not_the_end() -> None:
    """After a WaitTimeout the stream is still good, half a frame included."""
    pair = Pair()
    frame = encode(Failed("overloaded", "later"))
    with pair.far, pair.stream as stream:
        for part in (frame[:3], frame[3:9]):
            pair.far.sendall(part)
            with pytest.raises(WaitTimeout):
                stream.receive(0.01)
        pair.far.sendall(frame[9:])
        assert stream.receive(PATIENCE_S) == Failed("overloaded", "later")


def test_no_time_left_means_no_wait() -> None:
    """A deadline that has passed is a WaitTimeout at once; what has come is still given."""
    pair = Pair()
    with pair.far, pair.stream as stream:
        pair.far.sendall(encode(Ping()) * 2)
        assert stream.receive(PATIENCE_S) == Ping()
        assert stream.receive(0.0) == Ping()
        with pytest.raises(WaitTimeout):
            stream.receive(-1.0)


@pytest.mark.parametrize("end", range(len(encode(Accepted()))))
def test_a_peer_that_dies_at_any_byte(end: int) -> None:
    """Wherever the other process dies, the answer is Disconnected, and never half a message."""
    pair = Pair()
    with pair.far, pair.stream as stream:
        pair.far.sendall(encode(Ping()) + encode(Accepted())[:end])
        pair.far.close()
        assert stream.receive(PATIENCE_S) == Ping()
        with pytest.raises(Disconnected):
            stream.receive(PATIENCE_S)


def test_what_came_before_the_end_is_given() -> None:
    """Messages that arrived before the peer died are delivered before Disconnected is raised."""
    pair = Pair()
    with pair.far, pair.stream as stream:
        pair.far.sendall(encode(Delta((1,), "a")) + encode(Delta((2,), "b")))
        pair.far.close()
        assert stream.receive_all(PATIENCE_S) == [Delta((1,), "a"), Delta((2,), "b")]
        with pytest.raises(Disconnected):
            stream.receive_all(PATIENCE_S)


def test_junk_from_a_peer_is_a_disconnection() -> None:
    """A peer that does not speak the protocol is as good as gone."""
    pair = Pair()
    with pair.far, pair.stream as stream:
        pair.far.sendall(struct.pack(">I", 1) + b"\xc1")
        with pytest.raises(Disconnected, match="not a message"):
            stream.receive(PATIENCE_S)


def test_sending_to_a_peer_that_does_not_read_ends() -> None:
    """A hung process cannot hold a sender for ever."""
    pair = Pair()
    with pair.far, pair.stream as stream, pytest.raises(Disconnected):
        stream.send(Delta((), "x" * (8 << 20)), 0.05)


@pytest.mark.parametrize("whole", [True, False])
def test_a_socket_that_is_removed_is_bound_again(serve: Serve, runtime_dir: Path, *, whole: bool) -> None:
    """Cleaners of /tmp take sockets, or their directory: open connections go on, new ones come once it is back."""
    path = runtime_dir / "test.sock"
    with client.connect(serve(echo).path, PATIENCE_S) as before:
        shutil.rmtree(runtime_dir) if whole else path.unlink()
        if whole:
            time.sleep(0.7)
            runtime_dir.mkdir(mode=0o700)
        with _connected_once_bound(path) as after:
            for stream in (before, after):
                stream.send(Ping(), PATIENCE_S)
                assert stream.receive(PATIENCE_S) == Accepted()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def _connected_once_bound(path: Path) -> client.Stream:
    """Its file is there a moment before it listens."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return client.connect(path, PATIENCE_S)
        except client.ConnectError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_place_that_a_successor_has_taken_is_left_to_it(runtime_dir: Path) -> None:
    """Renamed over its socket: the successor keeps the place, the relieved one does not bind there again."""
    path = runtime_dir / "engine-demo.sock"
    with ServerThread(path, echo), ServerThread(runtime.beside(path), echo):
        inode = runtime.beside(path).stat().st_ino
        runtime.beside(path).rename(path)
        time.sleep(1.2)
        assert not runtime.beside(path).exists()
        assert path.stat().st_ino == inode
        path.unlink()
        time.sleep(1.2)
        assert path.exists(), "its owner by now is the successor"
        with client.connect(path, PATIENCE_S) as stream:
            stream.send(Ping(), PATIENCE_S)
            assert stream.receive(PATIENCE_S) == Accepted()
