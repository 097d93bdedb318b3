"""A response's output, item by item, while the engine's events come: thinking, text and calls. Pure.

`feed` and `finish` return the events of a stream; a whole answer takes the items alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import UNSET, UnsetType

from src.api.openai.schemas_responses import (
    CallOutItem,
    MessageOutItem,
    OutItem,
    OutputText,
    ReasoningOutItem,
    ReasoningText,
    ResponseEvent,
)
from src.ipc.messages.chat import CallDelta, Delta

_EVENTS = {"message": "output_text", "reasoning": "reasoning_text", "function_call": "function_call_arguments"}
_PREFIX = {"message": "msg", "reasoning": "rs", "function_call": "fc"}


@dataclass
class _Item:
    """An item that grows; `key` tells one from the next."""

    key: object
    kind: str
    id: str
    call_id: str = ""
    name: str = ""
    text: list[str] = field(default_factory=list)

    def shown(self, status: str) -> OutItem:
        text = "".join(self.text)
        if self.kind == "function_call":
            return CallOutItem(self.id, self.call_id, self.name, text, status)
        done = status != "in_progress"
        if self.kind == "reasoning":
            return ReasoningOutItem(self.id, (ReasoningText(text),) if done else (), status)
        return MessageOutItem(self.id, (OutputText(text),) if done else (), status)


class Items:
    """The output of one response."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
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
            item = _Item(key, "function_call", self._id("function_call"), call.id, call.name or "")
            events += self._end() + self._begin(item)
        return events + (self._more(key, "function_call", call.arguments) if call.arguments else [])

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
        if item.kind == "function_call":
            return [added]
        part: OutputText | ReasoningText = OutputText("") if item.kind == "message" else ReasoningText("")
        return [added, self._part(item, "added", part)]

    def _end(self) -> list[ResponseEvent]:
        item, at = self._open, len(self.done)
        if item is None:
            return []
        self._open = None
        text, shown = "".join(item.text), item.shown(self._status)
        if item.kind == "function_call":
            events = [self._event(item, "done", arguments=text)]
        else:
            part: OutputText | ReasoningText = OutputText(text) if item.kind == "message" else ReasoningText(text)
            events = [self._event(item, "done", text=text), self._part(item, "done", part)]
        self.done.append(shown)
        return [*events, ResponseEvent("response.output_item.done", output_index=at, item=shown)]

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
    ) -> ResponseEvent:
        call = item.kind == "function_call"
        return ResponseEvent(
            f"response.{_EVENTS[item.kind]}.{what}",
            output_index=len(self.done),
            item_id=item.id,
            content_index=UNSET if call else 0,
            delta=delta,
            text=text,
            arguments=arguments,
            name=item.name if call and what == "done" else UNSET,
            logprobs=() if item.kind == "message" else UNSET,
        )

    def _id(self, kind: str) -> str:
        return f"{_PREFIX[kind]}_{self._request_id}_{len(self.done)}"
