"""Thinking before an answer of a given form: what is written up to its end mark keeps to no grammar. Pure.

A `Gate` follows the tokens, so that the grammar begins behind the thinking; a `ThoughtReader` follows the text. Owner
thread; both can be brought to where they were from an answer's tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from enum import Enum
from typing import Any

from src.engine.backend import OutputParser, Pieces


@dataclass(frozen=True)
class Thoughts:
    """How a model's thinking begins and ends: its marks as tokens, where they are one, and the end's text.

    `spacers` are tokens of white space, of which one may stand between the thinking and the form. `ends` end an answer:
    not here, where the form is still to come.
    """

    start: int | None
    end: int | None
    end_text: bytes
    spacers: tuple[int, ...]
    ends: tuple[int, ...]
    text_of: Callable[[int], bytes]
    opened: Callable[[Seq[int]], bool]  # whether a prompt ends inside the thinking


class _At(Enum):
    START = "it may think, or not"
    INSIDE = "it thinks"
    END = "it has thought"
    FORM = "the grammar has it"


class Gate:
    """Says which tokens of an answer come before its form."""

    def __init__(self, thoughts: Thoughts, *, opened: bool) -> None:
        self._thoughts = thoughts
        self._at = _At.INSIDE if opened else _At.START
        self._tail = b""

    @property
    def thinking(self) -> bool:
        """The grammar has no say yet."""
        return self._at is _At.INSIDE

    def takes(self, token: int) -> bool:
        """Whether this token, the next one, comes before the form."""
        if self._at is _At.INSIDE:
            self._think(token)
            return True
        if self._at is _At.START and token == self._thoughts.start:
            self._at = _At.INSIDE
            return True
        spacer = self._at is _At.END and token in self._thoughts.spacers
        self._at = _At.FORM
        return spacer

    def _think(self, token: int) -> None:
        thoughts = self._thoughts
        text = self._tail + thoughts.text_of(token)
        if token == thoughts.end or thoughts.end_text in text:
            self._at = _At.END
        self._tail = text[-len(thoughts.end_text) :]

    def open(self, allowed: Any) -> None:
        """Allow, in the grammar's row of booleans, what may come before the form."""
        if self._at is _At.INSIDE:
            allowed[:] = True
            allowed[list(self._thoughts.ends)] = False
        elif self._at is _At.START and self._thoughts.start is not None:
            allowed[self._thoughts.start] = True
        elif self._at is _At.END:
            allowed[list(self._thoughts.spacers)] = True


class ThoughtReader:
    """An answer's thinking, if it begins with any; the rest is read by `form`, if it is not plain text."""

    def __init__(self, start: str, end: str, form: OutputParser | None, *, opened: bool) -> None:
        self._start, self._end = start, end
        self._form = form
        self._at = _At.INSIDE if opened else _At.START
        self._held = ""

    @property
    def called(self) -> bool:
        return self._form is not None and self._form.called

    def push(self, text: str) -> Pieces:
        self._held += text
        if self._at is _At.START:
            self._look_for_start()
        thought = self._thought() if self._at is _At.INSIDE else ""
        if self._at is _At.END and self._held.strip():
            self._at, self._held = _At.FORM, self._held.lstrip()
        return Pieces(reasoning=thought) + (self._formed() if self._at is _At.FORM else Pieces())

    def flush(self) -> Pieces:
        thought, self._held = (self._held, "") if self._at is _At.INSIDE else ("", self._held)
        rest = self._formed()
        return Pieces(reasoning=thought) + (rest if self._form is None else rest + self._form.flush())

    def _look_for_start(self) -> None:
        begun = self._held.lstrip()
        if begun.startswith(self._start):
            self._at, self._held = _At.INSIDE, begun[len(self._start) :]
        elif not self._start.startswith(begun):
            self._at = _At.FORM

    def _thought(self) -> str:
        """What of the held text is thinking; the beginning of an end mark stays held."""
        at = self._held.find(self._end)
        if at >= 0:
            thought, self._held, self._at = self._held[:at], self._held[at + len(self._end) :], _At.END
            return thought
        most = min(len(self._end) - 1, len(self._held))
        keep = next((n for n in range(most, 0, -1) if self._end.startswith(self._held[-n:])), 0)
        cut = len(self._held) - keep
        thought, self._held = self._held[:cut], self._held[cut:]
        return thought

    def _formed(self) -> Pieces:
        text, self._held = self._held, ""
        if not text:
            return Pieces()
        return Pieces(text=text) if self._form is None else self._form.push(text)
