"""POST /v1/responses and what it keeps: a translation onto chat, with a bounded store of finished responses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import msgspec
from flask import Blueprint, Response, current_app
from msgspec.structs import replace

from src.api.edge import auth, body_bounds
from src.api.generation import sse
from src.api.generation.streaming import Event
from src.api.openai import convert, disclosure, translation
from src.api.openai import schemas_responses as shapes
from src.api.openai.response_items import Items
from src.api.openai.response_store import Conversations, Stored
from src.api.openai.schemas import ChatCompletionRequest
from src.api.openai.schemas_responses import ResponseEvent, ResponseOut, ResponsesRequest
from src.api.service import json_body, json_response, service
from src.errors import InvalidRequest, NotFound, ServiceError
from src.ipc.messages.chat import Delta, Finished, GenerateRequest, Usage

blueprint = Blueprint("responses", __name__)

_NAMES = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
}
_KEPT = "stoker-conversations"


def _conversations() -> Conversations:
    """Made with the first response of this application."""
    extensions = current_app.extensions
    if _KEPT not in extensions:
        extensions[_KEPT] = Conversations(service().settings.response_store_mb << 20)
    kept = extensions[_KEPT]
    assert isinstance(kept, Conversations)  # noqa: S101  # nobody else writes there
    return kept


@blueprint.post("/v1/responses")
def create() -> Response:
    given = json_body()
    body_bounds.check_items(given.get("input"), service().settings)
    own = ResponsesRequest.model_validate(disclosure.settle("responses", given))
    kept = _conversations()
    turns = _previous(own, kept, auth.owner()) + turns_of(own.input)
    fields = as_chat(own, turns)
    with translation.own_names(_NAMES):
        body, generate = translation.accept(fields)
        form = ResponseBuilder(generate, own, body, turns, partial(kept.put, auth.owner()))
        writer = ResponseWriter(form) if body.stream else None
        return translation.respond(generate, writer, form.whole)


@blueprint.get("/v1/responses/<response_id>")
def show(response_id: str) -> Response:
    return json_response(_stored(_visible_owner(response_id), response_id).response)


@blueprint.delete("/v1/responses/<response_id>")
def delete(response_id: str) -> Response:
    owner = _visible_owner(response_id)
    _stored(owner, response_id)
    _conversations().delete(owner, response_id)
    return json_response(shapes.Deleted(response_id))


def _visible_owner(response_id: str) -> str:
    """Whose response is meant: the caller's own; an admin sees those of all keys."""
    found = _conversations().owner_of(response_id) if auth.sees_all() else None
    return auth.owner() if found is None else found


def _stored(owner: str, response_id: str) -> Stored:
    stored = _conversations().get(owner, response_id)
    if stored is None:
        raise NotFound("No such response is kept here.", param="response_id")
    return stored


def _previous(own: ResponsesRequest, kept: Conversations, owner: str) -> list[dict[str, Any]]:
    if own.previous_response_id is None:
        return []
    stored = kept.get(owner, own.previous_response_id)
    if stored is None:
        raise InvalidRequest("No response with this id is kept here.", param="previous_response_id")
    return stored.turns


# ---- in


def as_chat(own: ResponsesRequest, turns: list[dict[str, Any]]) -> dict[str, Any]:
    """The same wish in chat's words."""
    extra = own.model_extra or {}
    first = [] if own.instructions is None else [{"role": "system", "content": own.instructions}]
    choice = own.tool_choice
    if isinstance(choice, shapes.NamedTool):
        named: object = {"type": "function", "function": {"name": choice.name}}
    else:
        named = choice
    fields = {
        "model": own.model,
        "messages": [*first, *turns],
        "max_tokens": own.max_output_tokens,
        "tools": None if own.tools is None else [_tool(tool) for tool in own.tools],
        "tool_choice": named,
        "response_format": _format(own),
        "reasoning_effort": own.reasoning.effort if own.reasoning is not None else None,
    }
    return {**extra, **{name: value for name, value in fields.items() if value is not None}}


def _tool(tool: shapes.ResponseTool) -> dict[str, Any]:
    return {"type": "function", "function": tool.model_dump(exclude={"type"}, exclude_none=True)}


def _format(own: ResponsesRequest) -> dict[str, Any] | None:
    wish = own.text.format if own.text is not None else None
    if wish is None or wish.type == "text":
        return None
    if wish.type == "json_object":
        return {"type": "json_object"}
    schema = {"name": wish.name or "", "schema": wish.schema_, "strict": wish.strict}
    return {"type": "json_schema", "json_schema": schema}


def turns_of(given: str | Iterable[shapes.Item]) -> list[dict[str, Any]]:
    """Items as chat's turns: calls belong to the assistant's turn before them."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    turns: list[dict[str, Any]] = []
    for item in given:
        if isinstance(item, shapes.MessageItem):
            turns.append({"role": item.role, "content": _content(item.content)})
        elif isinstance(item, shapes.CallItem):
            if not turns or turns[-1]["role"] != "assistant":
                turns.append({"role": "assistant", "content": ""})
            function = {"name": item.name, "arguments": item.arguments}
            call = {"id": item.call_id, "type": "function", "function": function}
            turns[-1].setdefault("tool_calls", []).append(call)
        elif isinstance(item, shapes.CallOutputItem):
            turns.append({"role": "tool", "tool_call_id": item.call_id, "content": _content(item.output)})
        # earlier thinking is not shown to the model again, as OpenAI does
    return turns


def _content(content: str | list[shapes.ContentPart | shapes.InputImage]) -> str | list[dict[str, Any]]:
    return content if isinstance(content, str) else translation.content_of([_part(part) for part in content])


def _part(part: shapes.ContentPart | shapes.InputImage) -> dict[str, Any]:
    if isinstance(part, shapes.InputImage):
        return {"type": "image_url", "image_url": {"url": part.image_url, "detail": part.detail}}
    return {"type": "text", "text": part.text or part.refusal}


# ---- out


Keep = Callable[[ResponseOut, list[dict[str, Any]]], None]


class ResponseBuilder:
    """How this request's response looks, and where it is kept."""

    def __init__(
        self,
        generate: GenerateRequest,
        own: ResponsesRequest,
        body: ChatCompletionRequest,
        turns: list[dict[str, Any]],
        keep: Keep,
    ) -> None:
        self.items = Items(generate.id)
        self._turns, self._keep = turns, keep
        self._base = ResponseOut(
            id=f"resp_{generate.id}",
            created_at=int(time.time()),
            model=generate.model,
            status="in_progress",
            output=(),
            parallel_tool_calls=generate.tool_choice.parallel,
            tool_choice=own.tool_choice.model_dump() if isinstance(own.tool_choice, shapes.NamedTool) else _auto(own),
            tools=tuple(tool.model_dump() for tool in own.tools or ()),
            text=_shown_text(own),
            instructions=own.instructions,
            max_output_tokens=own.max_output_tokens,
            metadata=own.metadata or {},
            previous_response_id=own.previous_response_id,
            reasoning={"effort": own.reasoning.effort if own.reasoning is not None else None, "summary": None},
            store=own.store is not False,
            temperature=body.temperature,
            top_p=body.top_p,
        )

    def begun(self) -> ResponseOut:
        return self._base

    def finished(self, event: Finished) -> ResponseOut:
        """The response as it is kept; its items must have been finished."""
        complete = event.reason != "length"
        made = replace(
            self._base,
            status="completed" if complete else "incomplete",
            incomplete_details=None if complete else shapes.Incomplete("max_output_tokens"),
            output=tuple(self.items.done),
            usage=_usage(event.usage, self.items.reasoning_tokens),
        )
        if made.store:
            self._keep(made, [*self._turns, *self._said()])
        return made

    def failed(self, error: ServiceError) -> ResponseOut:
        problem = shapes.ResponseError(error.code, error.message)
        return replace(self._base, status="failed", error=problem, output=tuple(self.items.done))

    def whole(self, events: list[Event]) -> ResponseOut:
        for event in events:
            if isinstance(event, Delta):
                self.items.feed(event)
            elif isinstance(event, Finished):
                self.items.finish(complete=event.reason != "length")
                return self.finished(event)
        return self.begun()

    def _said(self) -> list[dict[str, Any]]:
        """This response's output as turns to go on from."""
        encoded = msgspec.json.encode(tuple(self.items.done))
        items = [_item(one) for one in msgspec.json.decode(encoded)]
        return turns_of([item for item in items if item is not None])


def _item(raw: dict[str, Any]) -> shapes.Item | None:
    if raw["type"] == "message":
        return shapes.MessageItem.model_validate(raw)
    return shapes.CallItem.model_validate(raw) if raw["type"] == "function_call" else None


def _auto(own: ResponsesRequest) -> str:
    return str(own.tool_choice or "auto")


def _shown_text(own: ResponsesRequest) -> object:
    wish = own.text.format if own.text is not None else None
    return {"format": wish.model_dump(by_alias=True, exclude_none=True) if wish is not None else {"type": "text"}}


def _usage(counts: Usage, reasoning: int) -> shapes.ResponseUsage:
    shown = convert.usage(counts)
    return shapes.ResponseUsage(
        shown.prompt_tokens,
        shown.completion_tokens,
        shown.total_tokens,
        shapes.InputDetails(counts.cached_tokens),
        shapes.OutputDetails(reasoning),
    )


class ResponseWriter:
    """A stream of numbered events."""

    def __init__(self, form: ResponseBuilder) -> None:
        self._form = form
        self._number = 0

    def begin(self, prompt_tokens: int) -> bytes:  # noqa: ARG002  # the usage comes at the end
        begun = self._form.begun()
        kinds = ("response.created", "response.in_progress")
        return b"".join(self._event(ResponseEvent(kind, response=begun)) for kind in kinds)

    def event(self, event: Event) -> bytes:
        if isinstance(event, Delta):
            return b"".join(map(self._event, self._form.items.feed(event)))
        if not isinstance(event, Finished):
            return b""
        complete = event.reason != "length"
        ended = b"".join(map(self._event, self._form.items.finish(complete=complete)))
        kind = "response.completed" if complete else "response.incomplete"
        return ended + self._event(ResponseEvent(kind, response=self._form.finished(event)))

    def keep_alive(self) -> bytes:
        return sse.PING

    def failed(self, error: ServiceError) -> bytes:
        return self._event(ResponseEvent("response.failed", response=self._form.failed(error)))

    def end(self) -> bytes:
        return b""

    def _event(self, event: ResponseEvent) -> bytes:
        number, self._number = self._number, self._number + 1
        return sse.named(event.type, replace(event, sequence_number=number))
