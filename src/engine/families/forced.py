"""Calls that had to be made (tool_choice `required` or a name): JSON of a known form, read while it is written. Pure.

A named tool's answer is its arguments alone; a required one's is `[{"name":…,"arguments":{…}}, …]`. The grammar sees to
the form, so that a reader need not look for errors.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from src.engine.backend import Pieces
from src.engine.families.braces import Braces
from src.ipc.messages.chat import CallDelta

_HEAD = re.compile(r'[\[,]?\{"name":"([^"]+)","arguments":')


def new_call_id() -> str:
    """As OpenAI's look; clients send it back with the tool's answer."""
    return f"call_{secrets.token_hex(12)}"


class NamedReader:
    """The whole text is one call's arguments."""

    def __init__(self, name: str, new_id: Callable[[], str]) -> None:
        self._name = name
        self._new_id = new_id
        self._begun = False

    @property
    def called(self) -> bool:
        """The reason of such an answer is `stop`, as OpenAI has it."""
        return False

    def push(self, text: str) -> Pieces:
        if not text:
            return Pieces()
        if self._begun:
            return Pieces(calls=(CallDelta(0, arguments=text),))
        self._begun = True
        return Pieces(calls=(CallDelta(0, self._new_id(), self._name), CallDelta(0, arguments=text)))

    def flush(self) -> Pieces:
        return Pieces()


class RequiredReader:
    """A list of calls; arguments are passed on as they come."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._held = ""
        self._index = -1
        self._braces: Braces | None = None

    @property
    def called(self) -> bool:
        return self._index >= 0

    def push(self, text: str) -> Pieces:
        self._held += text
        calls: list[CallDelta] = []
        while self._held:
            if self._braces is not None:
                taken, self._held = self._braces.take(self._held)
                calls.append(CallDelta(self._index, arguments=taken))
                self._braces = None if self._braces.closed else self._braces
            elif (head := _HEAD.search(self._held)) is not None:
                self._index, self._braces = self._index + 1, Braces()
                calls.append(CallDelta(self._index, self._new_id(), head[1]))
                self._held = self._held[head.end() :]
            else:
                break
        return Pieces(calls=tuple(calls))

    def flush(self) -> Pieces:
        return Pieces()
