"""Calls of custom tools in chat's answers: their functions' arguments as the one text, whole and in streams. Pure."""

from __future__ import annotations

from collections.abc import Collection

from src.api.openai.custom_input import CustomInput, whole_input
from src.api.openai.schemas import CustomDelta, CustomOut, FunctionDelta, FunctionOut, ToolCallDelta, ToolCallOut
from src.ipc.messages.chat import CallDelta, ToolCall


def whole_call(call: ToolCall, customs: Collection[str]) -> ToolCallOut:
    """`customs`: the names of custom tools; all others are functions."""
    if call.name in customs:
        return ToolCallOut(call.id, custom=CustomOut(call.name, whole_input(call.arguments)), type="custom")
    return ToolCallOut(call.id, FunctionOut(call.name, call.arguments))


class CallStream:
    """The calls of one stream, of all its choices."""

    def __init__(self, customs: Collection[str]) -> None:
        self._customs = customs
        self._inputs: dict[tuple[int, int], CustomInput] = {}

    def delta(self, choice: int, piece: CallDelta) -> ToolCallDelta | None:
        """What of a call is known now: id and name first, then what is called with, as it grows."""
        if piece.id is not None and piece.name in self._customs:
            self._inputs[choice, piece.index] = CustomInput()
        reader = self._inputs.get((choice, piece.index))
        if reader is None:
            function = FunctionDelta(piece.name, piece.arguments)
            return ToolCallDelta(piece.index, piece.id, "function" if piece.id else None, function)
        text = reader.feed(piece.arguments)
        if piece.id is not None:
            return ToolCallDelta(piece.index, piece.id, "custom", custom=CustomDelta(piece.name, text))
        return ToolCallDelta(piece.index, custom=CustomDelta(input=text)) if text else None

    def rest(self, choice: int) -> list[ToolCallDelta]:
        """What of a choice's inputs is known only at its end."""
        late = [(at, self._inputs.pop((of, at)).finish()) for of, at in sorted(self._inputs) if of == choice]
        return [ToolCallDelta(at, custom=CustomDelta(input=text)) for at, text in late if text]
