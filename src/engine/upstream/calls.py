"""Tools that must be called, at a server that knows no such thing for every model: the call is the answer's JSON.

A named tool's answer is its arguments; a required one's names the tool, too, and is read when it is whole. Pure.
"""

from __future__ import annotations

import msgspec

from src.engine.backend import OutputParser, Pieces
from src.engine.families.forced import NamedReader, new_call_id
from src.ipc.messages.chat import CallDelta, GenerateRequest


def is_forced(request: GenerateRequest) -> bool:
    return request.tool_choice.mode in ("required", "named")


def schema(request: GenerateRequest) -> msgspec.Raw:
    """The form of the answer that is the call."""
    named = request.tool_choice.name
    if named is not None:
        return next(msgspec.Raw(tool.parameters.encode()) for tool in request.tools if tool.name == named)
    forms = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": msgspec.Raw(tool.parameters.encode())},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in request.tools
    ]
    return msgspec.Raw(msgspec.json.encode({"anyOf": forms}))


def reader(request: GenerateRequest) -> OutputParser:
    """What turns that answer back into a call."""
    name = request.tool_choice.name
    return WholeCall() if name is None else NamedReader(name, new_call_id)


class _Written(msgspec.Struct):
    name: str
    arguments: msgspec.Raw


class WholeCall:
    """One call, with its name; shown as the text it was when the answer was cut short."""

    def __init__(self) -> None:
        self._text = ""
        self.called = False

    def push(self, text: str) -> Pieces:
        self._text += text
        return Pieces()

    def flush(self) -> Pieces:
        try:
            written = msgspec.json.decode(self._text, type=_Written)
        except msgspec.DecodeError:
            return Pieces(text=self._text)
        self.called = True
        arguments = bytes(written.arguments).decode()
        return Pieces(calls=(CallDelta(0, new_call_id(), written.name), CallDelta(0, arguments=arguments)))
