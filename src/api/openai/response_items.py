"""A response's output, item by item, while the engine's events come: thinking, text and calls. Pure.

`feed` and `finish` return the events of a stream; a whole answer takes the items alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import UNSET, UnsetType

from src.api.openai.custom_input import CustomInput
from src.api.openai.response_tools import Offered
from src.api.openai.schemas_responses import (
    CallOutItem,
    CustomCallOutItem,
    MessageOutItem,
    OutItem,
    OutputText,
    ReasoningOutItem,
    ReasoningText,
    ResponseEvent,
)
from src.ipc.messages.chat import CallDelta, Delta

_EVENTS = {
    "message": "output_text",
    "reasoning": "reasoning_text",
    "function_call": "function_call_arguments",
    "custom_tool_call": "custom_tool_call_input",
}
_PREFIX = {"message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc"}
_CALLS = ("function_call", "custom_tool_call")
_NO_TOOL = Offered("")


@dataclass
class _Item:
    """An item that grows; `key` tells one from the next."""

    key: object
    kind: str
    id: str
    call_id: str = ""
    tool: Offered = _NO_TOOL
    text: list[str] = field(default_factory=list)
    input: CustomInput = field(default_factory=CustomInput)

    def shown(self, status: str) -> OutItem:
        text = "".join(self.text)
        if self.kind in _CALLS:
            shape = CallOutItem if self.kind == "function_call" else CustomCallOutItem
            return shape(self.id, self.call_id, self.tool.name, text, status, self.tool.namespace or UNSET)
        done = status != "in_progress"
        if self.kind == "reasoning":
            return ReasoningOutItem(self.id, (ReasoningText(text),) if done else (), status)
        return MessageOutItem(self.id, (OutputText(text),) if done else (), status)


class Items:
    """The output of one response. `offered`: the client's tools, by the names the model knows."""

    def __init__(self, request_id: str, offered: Mapping[str, Offered] | None = None) -> None:
        self._request_id = request_id
        self._offered = offered or {}
        self._open: _Item | None = None
        self._status = "completed"
        self.reasoning_tokens = 0
        self.done: list[OutItem] = []

    def feed(self, delta: Delta) -> list[ResponseEvent]:
        events: list[ResponseEvent] = []
        if delta.reasoning:
            self.reasoning_tokens += delta.count
            events += self._more("reasoning", "reasoning", delta.reasoning)
        if delta.text:
            events += self._more("message", "message", delta.text)
        for call in delta.calls:
            events += self._call(call)
        return events

    def finish(self, *, complete: bool) -> list[ResponseEvent]:
        """The end: whatever is open is done, or incomplete."""
        events = [] if self._open or self.done else self._begin(_Item("message", "message", self._id("message")))
        self._status = "completed" if complete else "incomplete"
        return events + self._end()

    def _call(self, call: CallDelta) -> list[ResponseEvent]:
        key = ("call", call.index)
        events: list[ResponseEvent] = []
        if call.id is not None:
            tool = self._offered.get(call.name or "", Offered(call.name or ""))
            kind = "custom_tool_call" if tool.custom else "function_call"
            events += self._end() + self._begin(_Item(key, kind, self._id(kind), call.id, tool))
        return events + self._arguments(key, call.arguments)

    def _arguments(self, key: object, text: str) -> list[ResponseEvent]:
        item = self._open
        if item is not None and item.kind == "custom_tool_call":
            text = item.input.feed(text)
        return self._more(key, "function_call", text) if text else []

    def _more(self, key: object, kind: str, text: str) -> list[ResponseEvent]:
        events: list[ResponseEvent] = []
        if self._open is None or self._open.key != key:
            events += self._end() + self._begin(_Item(key, kind, self._id(kind)))
        assert self._open is not None  # noqa: S101  # begun above
        self._open.text.append(text)
        return [*events, self._event(self._open, "delta", delta=text)]

    def _begin(self, item: _Item) -> list[ResponseEvent]:
        self._open = item
        at = len(self.done)
        added = ResponseEvent("response.output_item.added", output_index=at, item=item.shown("in_progress"))
        if item.kind in _CALLS:
            return [added]
        part: OutputText | ReasoningText = OutputText("") if item.kind == "message" else ReasoningText("")
        return [added, self._part(item, "added", part)]

    def _end(self) -> list[ResponseEvent]:
        item, at = self._open, len(self.done)
        if item is None:
            return []
        late = self._late(item)
        self._open = None
        text, shown = "".join(item.text), item.shown(self._status)
        if item.kind == "function_call":
            events = [self._event(item, "done", arguments=text)]
        elif item.kind == "custom_tool_call":
            events = [*late, self._event(item, "done", input=text)]
        else:
            part: OutputText | ReasoningText = OutputText(text) if item.kind == "message" else ReasoningText(text)
            events = [self._event(item, "done", text=text), self._part(item, "done", part)]
        self.done.append(shown)
        return [*events, ResponseEvent("response.output_item.done", output_index=at, item=shown)]

    def _late(self, item: _Item) -> list[ResponseEvent]:
        """What of a custom tool's input is known only now."""
        rest = item.input.finish() if item.kind == "custom_tool_call" else ""
        return self._more(item.key, item.kind, rest) if rest else []

    def _part(self, item: _Item, what: str, part: OutputText | ReasoningText) -> ResponseEvent:
        return ResponseEvent(
            f"response.content_part.{what}", output_index=len(self.done), item_id=item.id, content_index=0, part=part
        )

    def _event(
        self,
        item: _Item,
        what: str,
        *,
        delta: str | UnsetType = UNSET,
        text: str | UnsetType = UNSET,
        arguments: str | UnsetType = UNSET,
        input: str | UnsetType = UNSET,  # noqa: A002  # the API's word
    ) -> ResponseEvent:
        call = item.kind in _CALLS
        return ResponseEvent(
            f"response.{_EVENTS[item.kind]}.{what}",
            output_index=len(self.done),
            item_id=item.id,
            content_index=UNSET if call else 0,
            delta=delta,
            text=text,
            arguments=arguments,
            input=input,
            name=item.tool.name if item.kind == "function_call" and what == "done" else UNSET,
            logprobs=() if item.kind == "message" else UNSET,
        )

    def _id(self, kind: str) -> str:
        return f"{_PREFIX[kind]}_{self._request_id}_{len(self.done)}"
