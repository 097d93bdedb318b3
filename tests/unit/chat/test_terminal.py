"""A chat in the terminal: history, commands, ^C, and what the service says."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Generator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from src.chat.client import ChatClient, Piece
from src.chat.conversation import ChatError, TerminalConversation
from src.chat.terminal import TerminalChat


class Stub:
    """A service that answers with these pieces, and remembers what it was asked."""

    def __init__(self, *pieces: Piece | BaseException) -> None:
        self.pieces = pieces
        self.requests: list[dict[str, Any]] = []
        self.closed = 0

    def models(self) -> list[str]:
        return ["demo", "other"]

    def stream(self, request: dict[str, Any]) -> Generator[Piece, None, None]:
        self.requests.append(json.loads(json.dumps(request)))
        try:
            for piece in self.pieces:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            self.closed += 1


class Screen(io.StringIO):
    def __init__(self, *, tty: bool) -> None:
        super().__init__()
        self._is_tty = tty

    def isatty(self) -> bool:
        return self._is_tty


def reader(*lines: str | BaseException) -> Callable[[str], str]:
    left = iter((*lines, EOFError()))

    def read(_: str) -> str:
        line = next(left)
        if isinstance(line, BaseException):
            raise line
        return line

    return read


def talk(stub: Stub, *lines: str | BaseException, tty: bool = False) -> tuple[str, TerminalConversation]:
    conversation, screen = TerminalConversation(), Screen(tty=tty)
    TerminalChat(stub, conversation, reader(*lines), screen).run()
    return screen.getvalue(), conversation


def test_a_conversation_has_a_history() -> None:
    """Each request carries what was said; a system prompt and a model from their commands on."""
    stub = Stub(Piece("An "), Piece("answer."))
    said, _ = talk(stub, "first", "/system Be brief.", "/model other", "second", "/new", "third")
    assert said == "An answer.\n" * 3
    assert stub.requests[0] == {"messages": [{"role": "user", "content": "first"}], "stream": True}
    assert [turn["role"] for turn in stub.requests[1]["messages"]] == ["system", "user", "assistant", "user"]
    assert stub.requests[1]["model"] == "other"
    assert [turn["content"] for turn in stub.requests[2]["messages"]] == ["Be brief.", "third"]


def test_an_interrupt_stops_the_answer_alone() -> None:
    """What there was of it stays; the connection is closed, and the chat goes on."""
    stub = Stub(Piece("Half"), KeyboardInterrupt())
    said, conversation = talk(stub, "first", KeyboardInterrupt(), "second", tty=True)
    assert [turn["content"] for turn in conversation.turns] == ["first", "Half", "second", "Half"]
    assert stub.closed == 2
    assert "(stopped)" in said


def test_a_failure_takes_the_question_back() -> None:
    """The next request does not repeat it."""
    stub = Stub(ChatError("The model could not be loaded."))
    said, conversation = talk(stub, "first")
    assert said == "The model could not be loaded.\n"
    assert conversation.turns == []


def test_reasoning_is_for_people_alone() -> None:
    """Dim on a terminal, absent in a pipe; never part of the history."""
    pieces = (Piece(), Piece(reasoning="Hm."), Piece("Yes."))
    piped, conversation = talk(Stub(*pieces), "?")
    assert piped == "Yes.\n"
    assert conversation.turns[-1] == {"role": "assistant", "content": "Yes."}
    shown, _ = talk(Stub(*pieces), "?", tty=True)
    assert "\033[2mHm.\033[0m\nYes." in shown
    assert "(waiting for the model)" in shown


def test_a_picture_goes_with_one_question(tmp_path: Path) -> None:
    """As a data URL; what is no picture is refused by name."""
    file = tmp_path / "p.png"
    file.write_bytes(b"\x89PNG")
    stub = Stub(Piece("A picture."))
    said, _ = talk(stub, f"/image {file}", "What is it?", "And now?", "/image notes.txt", "/image gone.png")
    parts = stub.requests[0]["messages"][0]["content"]
    assert parts[0]["image_url"]["url"].startswith("data:image/png;base64,iVBO")
    assert parts[1] == {"type": "text", "text": "What is it?"}
    assert stub.requests[1]["messages"][-1]["content"] == "And now?"
    assert "notes.txt is no picture" in said
    assert "gone.png cannot be read" in said


def test_unknown_commands_and_models_are_said() -> None:
    """/model alone lists them."""
    said, conversation = talk(Stub(), "/modle x", "/model nothere", "/model", "/help", "/exit", "never read")
    assert "/modle is not known" in said
    assert "There is no model 'nothere' here" in said
    assert "demo\nother\n" in said
    assert "/image FILE" in said
    assert conversation.model is None


# ---- HTTP


@pytest.fixture
def answers() -> Iterator[tuple[ChatClient, list[tuple[int, bytes]]]]:
    """A client of a server that gives these answers, one after another."""
    planned: list[tuple[int, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = planned.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    client = ChatClient(f"http://127.0.0.1:{server.server_port}", None, 5.0)
    yield client, planned
    client.close()
    server.shutdown()
    server.server_close()


def test_the_stream_is_read(answers: tuple[ChatClient, list[tuple[int, bytes]]]) -> None:
    """Comments while it is waited for, text, reasoning, an error behind the first text."""
    client, planned = answers
    delta = b'data: {"choices":[{"delta":{"%s":"x"}}]}\n\n'
    planned.append((200, b": ping\n\n" + delta % b"reasoning_content" + delta % b"content" + b"data: [DONE]\n\n"))
    assert list(client.stream({})) == [Piece(), Piece(reasoning="x"), Piece("x")]
    planned.append((200, delta % b"content" + b'data: {"error":{"message":"It died."}}\n\n'))
    with pytest.raises(ChatError, match="It died"):
        list(client.stream({}))


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (503, b'{"error":{"message":"Busy."}}', "Busy"),
        (401, b'{"error":{"message":"No key."}}', "STOKER_API_KEY"),
        (502, b"<html>", "returned 502"),
        (200, b"data: {oops\n\n", "unexpected response"),
    ],
)
def test_what_the_service_refuses_is_shown(
    status: int, body: bytes, words: str, answers: tuple[ChatClient, list[tuple[int, bytes]]]
) -> None:
    """Its own words, where it has some."""
    client, planned = answers
    planned.append((status, body))
    with pytest.raises(ChatError, match=words):
        list(client.stream({}))


def test_no_service_says_how_to_start_one() -> None:
    """A refused connection is no traceback."""
    client = ChatClient("http://127.0.0.1:9", None, 5.0)
    with pytest.raises(ChatError, match=r"python run\.py --mode prod"):
        list(client.stream({}))
    assert client.ready() is False
    client.close()
