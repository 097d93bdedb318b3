"""The loop of a terminal chat: questions, commands that begin with a slash, answers as they come.

^C stops an answer; the chat goes on with what there was of it. ^D or /exit ends the chat.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol, TextIO

from src.chat.client import Piece
from src.chat.conversation import ChatError, TerminalConversation

HELP = """\
/image FILE    show a picture with the next question
/system TEXT   a system prompt from here on; without TEXT, none
/model NAME    another model; without NAME, the models there are
/new           forget what was said
/exit          end the chat (or ^D); ^C stops an answer"""
_DIM, _PLAIN = "\033[2m", "\033[0m"


class ChatService(Protocol):
    """What answers: `client.ChatClient`, or a stand-in."""

    def models(self) -> list[str]: ...

    def stream(self, request: dict[str, object]) -> Generator[Piece, None, None]: ...


class TerminalChat:
    """One chat. `read` gives the next line, and raises EOFError at the end."""

    def __init__(
        self, service: ChatService, conversation: TerminalConversation, read: Callable[[str], str], out: TextIO
    ) -> None:
        self._service, self._conversation = service, conversation
        self._read, self._out = read, out
        self._tty = out.isatty()
        self._commands: dict[str, Callable[[str], None]] = {
            "image": self._show,
            "system": self._set_system,
            "model": self._set_model,
            "new": self._start_over,
            "help": lambda _: self._say(HELP),
        }

    def run(self) -> None:
        """Until the end of the input, or /exit."""
        self._note(f"{self._conversation.model or 'the default model'} · /help lists the commands, ^D ends")
        while (line := self._next_line()) not in (None, "/exit", "/bye", "/quit"):
            if line:
                self.handle(line)

    def handle(self, line: str) -> bool:
        """One line of the user's; whether it could be done."""
        try:
            if line.startswith("/"):
                self._command(line)
            else:
                self._answer(line)
        except ChatError as error:
            self._say(f"{error}")
            return False
        return True

    def _next_line(self) -> str | None:
        try:
            return self._read(">>> " if self._tty else "").strip()
        except EOFError:
            self._note("")
            return None
        except KeyboardInterrupt:
            self._note("\n(^D or /exit ends the chat)")
            return ""

    def _command(self, line: str) -> None:
        name, _, rest = line[1:].partition(" ")
        if name not in self._commands:
            raise ChatError(f"/{name} is not known; /help lists the commands.")
        self._commands[name](rest.strip())

    def _answer(self, question: str) -> None:
        text: list[str] = []
        try:
            with closing(self._service.stream(self._conversation.ask(question))) as pieces:
                self._write(pieces, text)
        except KeyboardInterrupt:
            self._note("\n(stopped)")
        finally:
            self._conversation.answered("".join(text).strip())
        self._out.write("\n")
        self._out.flush()

    def _write(self, pieces: Iterator[Piece], text: list[str]) -> None:
        dim = waiting = False
        for piece in pieces:
            if not (piece.text or piece.reasoning):
                waiting = waiting or self._wait(begun=bool(text))
                continue
            if self._tty and dim != bool(piece.reasoning):
                dim = bool(piece.reasoning)
                self._out.write(_DIM if dim else f"{_PLAIN}\n")
            self._out.write((piece.reasoning if self._tty else "") + piece.text)
            self._out.flush()
            text.append(piece.text)
        if dim:
            self._out.write(_PLAIN)

    def _wait(self, *, begun: bool) -> bool:
        """Say once that an answer takes its time."""
        if not begun:
            self._note("(waiting for the model)")
        return True

    def _show(self, rest: str) -> None:
        self._conversation.show(Path(rest))
        self._note(f"{Path(rest).name} goes with the next question")

    def _set_system(self, rest: str) -> None:
        self._conversation.system = rest
        self._note("system prompt set" if rest else "no system prompt")

    def _set_model(self, rest: str) -> None:
        models = self._service.models()
        if not rest:
            self._say("\n".join(models))
            return
        if rest not in models:
            raise ChatError(f"There is no model {rest!r} here; /model lists them.")
        self._conversation.model = rest
        self._note(f"{rest} answers from here on")

    def _start_over(self, _: str) -> None:
        self._conversation.clear()
        self._note("a new conversation")

    def _say(self, text: str) -> None:
        self._out.write(f"{text}\n")
        self._out.flush()

    def _note(self, text: str) -> None:
        """For people alone."""
        if self._tty:
            self._say(text)


def read_line(prompt: str) -> str:
    """A line from standard input, with the terminal's line editing."""
    if sys.stdin.isatty():
        import readline  # noqa: F401, PLC0415  # its import alone gives input() an editor and a history

    return input(prompt)
