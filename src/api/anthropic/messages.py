"""POST /v1/messages, Anthropic's API, as a translation onto chat."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from flask import Blueprint, Response

from src.api import anthropic_errors
from src.api.anthropic import schemas as shapes
from src.api.anthropic import tools
from src.api.anthropic.conversation import Conversation, pictures, prefill
from src.api.anthropic.schemas import CountRequest, MessageOutput, MessagesRequest
from src.api.generation import streaming
from src.api.generation.streaming import Event
from src.api.openai import body_spellings, convert, disclosure, translation
from src.api.openai.result_pictures import ResultPictures
from src.api.service import json_body, json_response, service
from src.api.wire import Wire
from src.errors import InvalidRequest, ServiceError, ThreadsUnsupported
from src.ipc.messages.chat import CallDelta, Delta, Finished, GenerateRequest, PromptProgress, Usage

blueprint = Blueprint("messages", __name__)

_STOP_REASONS = {"length": "max_tokens", "tool_calls": "tool_use"}
_NAMES = {"stop": "stop_sequences", "response_format": "output_config.format"}
_INSIDE = {"output_config": frozenset(shapes.OutputConfig.model_fields)}
_TOOL = frozenset(shapes.AnthropicTool.model_fields)
_NO_INPUT = msgspec.Raw(b"{}")


@blueprint.post("/v1/messages")
def create() -> Response:
    own = _read(MessagesRequest)
    fields = as_chat(own)
    with _own_names(own):
        _, generate = translation.accept(fields)
        form = _MessageBuilder(generate)
        writer = MessageWriter(form) if own.stream else None
        return translation.respond(translation.open_generation(generate), writer, form.whole)


@blueprint.post("/v1/messages/count_tokens")
def count() -> Response:
    own = _read(CountRequest)
    fields = as_chat(own)
    with _own_names(own):
        _, generate = translation.accept(fields)
    return json_response(shapes.TokenCount(len(translation.tokens_of(generate).tokens)))


@contextmanager
def _own_names(own: MessagesRequest) -> Iterator[None]:
    """Thinking is chosen in two places here: what is said about it names the one that the client used."""
    thought = _asked_for_thought(own) or ("thinking",)
    with translation.own_names(_NAMES | {"reasoning_effort": thought[0]}):
        disclosure.rename(reasoning_effort=thought)
        yield


def _read(shape: type[MessagesRequest]) -> MessagesRequest:
    """The body, without what is set aside.

    Raises:
        ThreadsUnsupported: it goes on with a history that was never sent.
    """
    body = json_body()
    if body.get("thread") is not None:
        raise ThreadsUnsupported("Threads are not kept here: send the whole history.", param="thread")
    disclosure.settle("messages", body)
    disclosure.note(*body_spellings.unknown_inside(body, _INSIDE))
    disclosure.note(*body_spellings.unknown_of_each(body.get("tools"), _TOOL, "tools"))
    return shape.model_validate(body)


def as_chat(own: MessagesRequest) -> dict[str, Any]:
    """The same request in chat's words."""
    turns, begun = _turns(own)
    fields = {
        "model": own.model,
        "messages": turns,
        "continue_final_message": begun or None,
        "max_tokens": own.max_tokens,
        "stop": own.stop_sequences,
        "stream": own.stream,
        "temperature": own.temperature,
        "top_p": own.top_p,
        "top_k": own.top_k,
        "tools": None if own.tools is None else [tools.function(tool, at) for at, tool in enumerate(own.tools)],
        **_choice(own.tool_choice),
        **_output(own),
    }
    if own.thinking is not None and own.thinking.type != "adaptive":
        fields["chat_template_kwargs"] = {"enable_thinking": own.thinking.type == "enabled"}
    return {**(own.model_extra or {}), **{name: value for name, value in fields.items() if value is not None}}


def _turns(own: MessagesRequest) -> tuple[list[dict[str, Any]], bool]:
    """The conversation, and whether its last turn is the answer's beginning."""
    settings, backends = service().settings, service().backends
    entry = backends.check_model(own.model or settings.default_model)
    shown = pictures(own.messages)
    sees = not shown or backends.reads_images(entry) is not False
    results = ResultPictures(disclosure.note, sees=sees, too_many=shown - settings.max_images)
    conversation = Conversation(results, disclosure.note)
    turns = [] if own.system is None else [{"role": "system", "content": _text(own.system)}]
    for at, turn in enumerate(own.messages):
        turns += conversation.turns(turn, at)
    return turns, prefill(turns)


def _asked_for_thought(own: MessagesRequest) -> tuple[str, ...]:
    """The fields by which this request chooses how much is thought."""
    effort = own.output_config is not None and own.output_config.effort is not None
    switch = own.thinking is not None and own.thinking.type != "adaptive"
    return (*(("thinking",) if switch else ()), *(("output_config.effort",) if effort else ()))


def _output(own: MessagesRequest) -> dict[str, Any]:
    """The answer's form, and how much thought goes into it."""
    config = own.output_config or shapes.OutputConfig()
    wish = config.format or own.output_format
    fields: dict[str, Any] = {"reasoning_effort": "xhigh" if config.effort == "max" else config.effort}
    if wish is not None:
        fields["response_format"] = {"type": "json_schema", "json_schema": {"name": "output", "schema": wish.schema_}}
    return fields


def _text(content: str | list[shapes.TextBlock]) -> str:
    return content if isinstance(content, str) else "\n\n".join(block.text for block in content)


def _choice(choice: shapes.AnthropicChoice | None) -> dict[str, Any]:
    if choice is None:
        return {}
    if choice.type == "tool" and choice.name is None:
        raise InvalidRequest("tool_choice of type tool needs a name.", param="tool_choice.name")
    named = {"type": "function", "function": {"name": choice.name}}
    wish = {"auto": "auto", "any": "required", "none": "none", "tool": named}[choice.type]
    return {"tool_choice": wish, "parallel_tool_calls": not choice.disable_parallel_tool_use}


class _MessageBuilder:
    """How this request's answer looks."""

    def __init__(self, generate: GenerateRequest) -> None:
        self._id, self._model = f"msg_{generate.id}", generate.model
        self._forced = generate.tool_choice.mode == "named"

    def start(self, prompt_tokens: int) -> MessageOutput:
        return MessageOutput(self._id, self._model, (), None, None, shapes.AnthropicUsage(prompt_tokens, 0))

    def whole(self, events: list[Event]) -> MessageOutput:
        deltas = [event for event in events if isinstance(event, Delta)]
        finished = next(event for event in reversed(events) if isinstance(event, Finished))
        thought = "".join(delta.reasoning for delta in deltas)
        text = "".join(delta.text for delta in deltas)
        calls = convert.whole_calls([call for delta in deltas for call in delta.calls])
        content: list[shapes.TextOut | shapes.ThinkingOut | shapes.ToolUseOut] = []
        if thought:
            content.append(shapes.ThinkingOut(thought))
        if text.strip() or not calls:
            content.append(shapes.TextOut(text))
        content += [shapes.ToolUseOut(call.id, call.name, _input(call.arguments)) for call in calls]
        stop = self.stop(finished)
        return MessageOutput(
            self._id, self._model, tuple(content), stop.stop_reason, stop.stop_sequence, usage(finished.usage)
        )

    def stop(self, finished: Finished) -> shapes.StopDelta:
        if finished.stop is not None:
            return shapes.StopDelta("stop_sequence", finished.stop)
        reason = "tool_use" if self._forced and finished.reason == "stop" else _STOP_REASONS.get(finished.reason)
        return shapes.StopDelta(reason or "end_turn", None)


def usage(counts: Usage) -> shapes.AnthropicUsage:
    return shapes.AnthropicUsage(
        counts.prompt_tokens - counts.cached_tokens, counts.completion_tokens, counts.cached_tokens
    )


def _input(arguments: str) -> msgspec.Raw:
    """A call's arguments as the object they are; one that max_tokens cut is no object any more."""
    try:
        msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return _NO_INPUT
    return msgspec.Raw(arguments.encode())


class MessageWriter:
    """A stream of blocks: thinking, text and calls follow each other, each begun and ended."""

    def __init__(self, form: _MessageBuilder) -> None:
        self._form = form
        self._index = -1
        self._kind: object = None
        self._begun = False
        self._space = ""  # held until it is clear that text follows: no block is opened for it alone

    def begin(self, prompt_tokens: int) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return _event(shapes.MessageStart(self._form.start(prompt_tokens)))

    def keep_alive(self, progress: PromptProgress | None) -> bytes:  # noqa: ARG002  # its clients know one ping
        """The message begins with the first silence: nothing may come before it."""
        return self.begin(0) + _event(shapes.PingEvent())

    def progress(self, progress: PromptProgress) -> bytes:  # noqa: ARG002  # there is no way to ask for it
        return b""

    def event(self, event: Event) -> bytes:
        if isinstance(event, Delta):
            return self._delta(event)
        if not isinstance(event, Finished):
            return b""
        last = shapes.MessageDelta(self._form.stop(event), usage(event.usage))
        return (b"" if self._index >= 0 else self._text(self._space)) + self._close() + _event(last)

    def _delta(self, delta: Delta) -> bytes:
        made = b""
        if delta.reasoning:
            made += self._open("thinking", shapes.ThinkingOut("")) + self._piece(shapes.ThinkingPiece(delta.reasoning))
        if delta.text and (self._kind == "text" or (self._space + delta.text).strip()):
            made += self._text(self._space + delta.text)
        elif delta.text:
            self._space += delta.text
        return made + b"".join(map(self._call, delta.calls))

    def _text(self, text: str) -> bytes:
        self._space = ""
        return self._open("text", shapes.TextOut("")) + (self._piece(shapes.TextPiece(text)) if text else b"")

    def _call(self, call: CallDelta) -> bytes:
        opened, self._space = b"", ""
        if call.id is not None:
            opened = self._open(("call", call.index), shapes.ToolUseOut(call.id, call.name or "", _NO_INPUT))
        return opened + (self._piece(shapes.JsonPiece(call.arguments)) if call.arguments else b"")

    def _open(self, kind: object, block: shapes.TextOut | shapes.ThinkingOut | shapes.ToolUseOut) -> bytes:
        if kind == self._kind:
            return b""
        closed = self._close()
        self._kind, self._index = kind, self._index + 1
        return closed + _event(shapes.BlockStart(self._index, block))

    def _close(self) -> bytes:
        return b"" if self._kind is None else _event(shapes.BlockStop(self._index))

    def _piece(self, piece: shapes.TextPiece | shapes.ThinkingPiece | shapes.JsonPiece) -> bytes:
        return _event(shapes.BlockDelta(self._index, piece))

    def failed(self, error: ServiceError) -> bytes:
        return _event(anthropic_errors.envelope(error))

    def end(self) -> bytes:
        return _event(shapes.MessageStop())


def _event(data: Wire) -> bytes:
    return streaming.named_sse(str(getattr(data, "type")), data)  # noqa: B009  # every event has one, their base has none
