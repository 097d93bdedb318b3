"""Answers that are messages, each a header and a body: harmony's channels (gpt-oss), Muse's recipients. Pure.

`<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>commentary to=functions.NAME<|message|>{…}<|call|>`.
Owner thread.
"""

from __future__ import annotations

import re
from dataclasses import replace
from enum import Enum

from src.engine.backend import Pieces
from src.engine.families.formats import Language
from src.engine.families.marks import Flow, Marks
from src.engine.families.reader import MarkedReader
from src.engine.families.sections import Calls, Parse
from src.ipc.messages.chat import CallDelta

_NOTHING = Pieces()
_MESSAGE = "<|message|>"
_BEGIN = ("<|start|>", "<|channel|>")
_END = ("<|end|>", "<|call|>", "<|return|>", "<|eom|>", "<|eot|>")
_IN_HEADER = Marks((_MESSAGE, *_BEGIN, *_END, "<|constrain|>"))
_IN_BODY = Marks((*_BEGIN, *_END, _MESSAGE, "<|constrain|>"))
_RECIPIENT = re.compile(r"\bto=([^\s<]+)")
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)")
_FUNCTIONS = "functions."
_NULL = "null"
_THINKING = ("analysis", "self")
# what a header may begin with where its marks are not
_HEADER_WORDS = ("assistant", "to=")


def opened_header(prompt: str) -> str | None:
    """The header of the message that a prompt ends inside; None at a header's place."""
    header, found, body = prompt.rpartition(_MESSAGE)
    if not found or any(mark in body for mark in (*_BEGIN, *_END)):
        return None
    return header[max(header.rfind(mark) for mark in (*_BEGIN, *_END)) :] if "<|" in header else header


class _Body(Enum):
    NONE = "a header"
    ANSWER = "the answer"
    THINKING = "the thinking"
    CALL = "a call's arguments"


class ChannelReader:
    """Sorts messages by their headers; an answer's body may hold calls between marks, which `inner` reads."""

    def __init__(
        self, language: Language, names: frozenset[str], calls: Calls, parse: Parse | None, *, opened: str | None = None
    ) -> None:
        """`names`: of the tools on offer. `opened`: the header of the message that the prompt ends in."""
        self._calls = calls
        self._names = names if language.channels == "harmony" else frozenset[str]()
        marks = replace(language, reasoning=None, hidden=(), channels="")
        self._inner = MarkedReader(marks, calls, parse, joint="\n\n")
        self._thought = Flow("\n")
        self._body = _Body.NONE if opened is None else self._kind(opened)
        self._header = ""
        self._first = True
        self._arguments = False  # some were told
        self._unsure = ""  # they may be `null`
        self._held = ""

    @property
    def called(self) -> bool:
        return self._calls.called

    def push(self, text: str) -> Pieces:
        self._held += text
        found = _NOTHING
        while (mark := self._now.first(self._held)) is not None:
            before, self._held = self._held[: mark.start()], self._held[mark.end() :]
            found += self._take(before) + self._pass(mark[0])
        keep = self._now.held(self._held)
        ready, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return found + self._take(ready)

    def flush(self) -> Pieces:
        held, self._held = self._held, ""
        found = self._take(held if len(held) == 1 and self._body is _Body.ANSWER else "") + self._end(cut=True)
        return found + self._inner.flush()

    @property
    def _now(self) -> Marks:
        return _IN_HEADER if self._body is _Body.NONE else _IN_BODY

    def _take(self, text: str) -> Pieces:
        if not text:
            return _NOTHING
        if self._body is _Body.NONE:
            return self._headed(text)
        if self._body is _Body.THINKING:
            return Pieces(reasoning=self._thought.take(text))
        if self._body is _Body.ANSWER:
            return self._inner.push(text)
        return Pieces(calls=self._calls.more(self._argued(text)))

    def _argued(self, text: str) -> str:
        """What of a call's arguments may be told: what may become `null` is held, and is an empty object."""
        if self._arguments:
            return text
        self._unsure = (self._unsure + text).lstrip()
        if _NULL.startswith(self._unsure.rstrip()):
            return ""
        text, self._unsure, self._arguments = self._unsure, "", True
        return text

    def _headed(self, text: str) -> Pieces:
        """A header grows; an answer that begins without one is an answer."""
        self._header += text
        begun = self._header.lstrip()
        plain = bool(begun) and not any(word.startswith(begun) or begun.startswith(word) for word in _HEADER_WORDS)
        if not (self._first and plain):
            return _NOTHING
        text, self._header, self._body = self._header, "", _Body.ANSWER
        return self._inner.push(text)

    def _pass(self, mark: str) -> Pieces:
        self._first = False
        if self._body is _Body.NONE and mark != _MESSAGE:
            self._header = "" if mark == "<|start|>" else self._header + mark
            return _NOTHING
        if self._body is _Body.NONE:
            self._body, header, self._header = self._kind(self._header), self._header, ""
            return Pieces(calls=self._begin(header))
        if mark in (_MESSAGE, "<|constrain|>"):
            return _NOTHING
        ended, self._header, self._body = self._end(), mark if mark == "<|channel|>" else "", _Body.NONE
        return ended

    def _begin(self, header: str) -> tuple[CallDelta, ...]:
        recipient = _RECIPIENT.search(header)
        if self._body is not _Body.CALL or recipient is None:
            return ()
        self._arguments, self._unsure = False, ""
        return self._calls.begin(recipient[1].removeprefix(_FUNCTIONS))

    def _kind(self, header: str) -> _Body:
        channel, recipient = _CHANNEL.search(header), _RECIPIENT.search(header)
        if recipient is not None and self._is_tool(recipient[1]):
            return _Body.CALL
        of = recipient[1] if recipient is not None and channel is None else channel[1] if channel is not None else ""
        foreign = recipient is not None and channel is not None  # a tool that nobody offers here
        return _Body.THINKING if of in _THINKING or foreign else _Body.ANSWER

    def _is_tool(self, recipient: str) -> bool:
        """One of the client's, also one that it does not offer: that is the client's to see, as with other families."""
        return bool(self._names) and (recipient in self._names or recipient.startswith(_FUNCTIONS))

    def _end(self, *, cut: bool = False) -> Pieces:
        """The message is over; a call without arguments has none."""
        self._thought.pause()
        self._inner.pause()
        if self._body is not _Body.CALL or self._arguments or cut:
            return _NOTHING
        self._arguments = True
        return Pieces(calls=self._calls.more("{}"))
