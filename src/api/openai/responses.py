"""/v1/responses and what it keeps: a translation onto chat, with a bounded store of finished responses."""

from __future__ import annotations

import re
import time
from typing import Any

import msgspec
from flask import Blueprint, Response, request
from pydantic import TypeAdapter, ValidationError

from src.api.edge import auth
from src.api.generation.streaming import collect
from src.api.openai import background, item_spellings, response_input, response_tools, response_turns, translation
from src.api.openai import schemas_responses as shapes
from src.api.openai.response_builder import ResponseBuilder, ResponseWriter, first_response, usage
from src.api.openai.response_store import Stored
from src.api.openai.schemas import ChatCompletionRequest
from src.api.openai.schemas_responses import ResponsesRequest
from src.api.page_size import page_size
from src.api.service import json_response
from src.api.state.responses import ResponseWork
from src.errors import InvalidRequest, NotFound
from src.ipc.messages.chat import Delta, Finished, GenerateRequest

blueprint = Blueprint("responses", __name__)

_NAMES = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
}
_TOOLS = TypeAdapter(list[shapes.ResponseTool])
_MOST_LISTED = 100
_PAGE = 20
_EVENT_NUMBER = re.compile("-?[0-9]{1,15}")
_SUMMARISE = (
    "Summarise this conversation for whoever goes on with it: what is asked for, what was decided and done, the facts,"
    " names and paths that matter, and what is left to do. Answer with the summary alone."
)


@blueprint.post("/v1/responses")
def create() -> Response:
    given = response_input.read()
    own, items = given.own, given.items
    with translation.own_names(_NAMES):
        background.check(own)
        body, generate = _accept(own, items)
        first, tools = first_response(generate, own, body), _all_tools(own, items)
        if own.background:
            work = _work(body, generate, tools, len(given.added))
            return background.begin(first, work, items, stream=bool(body.stream))
        form = ResponseBuilder(first, response_tools.offered(tools), given.keeper(), progress=generate.progress)
        writer = ResponseWriter(form) if body.stream else None
        return translation.respond(translation.open_generation(generate), writer, form.whole)


def _work(
    body: ChatCompletionRequest, generate: GenerateRequest, tools: list[shapes.ResponseTool], added: int
) -> ResponseWork:
    """Nobody waits for it, unless its client says that somebody does."""
    asked = body.priority is not None or "X-Priority" in request.headers
    quiet = msgspec.structs.replace(generate, priority=generate.priority if asked else "background", progress=False)
    return ResponseWork(quiet, [tool.model_dump(exclude_unset=True) for tool in tools], added)


@blueprint.post("/v1/responses/input_tokens")
def count() -> Response:
    """How long the prompt of such a request is; nothing is generated."""
    given = response_input.read()
    own, items = given.own, given.items
    with translation.own_names(_NAMES):
        _, generate = _accept(own, items)
    return json_response(shapes.InputTokens(len(translation.tokens_of(generate).tokens)))


@blueprint.post("/v1/responses/compact")
def compact() -> Response:
    """The conversation, made shorter: its users' turns, and a summary of all the rest by the model."""
    given = response_input.read()
    own, items = given.own, given.items
    asked = shapes.MessageItem(role="user", content=_SUMMARISE)
    with translation.own_names(_NAMES):
        _, generate = _accept(own.model_copy(update={"tools": None, "tool_choice": None, "stream": None}), items, asked)
        events = collect(translation.open_generation(generate))
    finished = next(event for event in events if isinstance(event, Finished))
    summary = "".join(event.text for event in events if isinstance(event, Delta))
    made = {
        "id": f"cmp_{generate.id}",
        "type": "compaction",
        "encrypted_content": response_turns.compaction(summary),
    }
    users = [item for item in items if item.get("type", "message") == "message" and item.get("role") == "user"]
    return json_response(
        shapes.Compacted(f"resp_{generate.id}", (*users, made), usage(finished.usage, 0), int(time.time()))
    )


@blueprint.get("/v1/responses/<response_id>")
def show(response_id: str) -> Response:
    stored = _stored(response_id)
    if request.args.get("stream") not in ("true", "1"):
        return json_response(stored.response)
    if not stored.response.background:
        raise InvalidRequest("Only a background response can be streamed again.", param="stream")
    return background.read_stream(response_id, _starting_after())


def _starting_after() -> int:
    """The last event a client has; all are sent without one."""
    given = request.args.get("starting_after", "-1")
    if _EVENT_NUMBER.fullmatch(given) is None:
        raise InvalidRequest("starting_after must be an event's sequence_number.", param="starting_after")
    return int(given)


@blueprint.post("/v1/responses/<response_id>/cancel")
def cancel(response_id: str) -> Response:
    """End a background response; one that has ended is shown as it is."""
    if not _stored(response_id).response.background:
        raise InvalidRequest("Only a background response can be cancelled.", param="response_id")
    return json_response(background.cancel(auth.visible_owner(), response_id))


@blueprint.delete("/v1/responses/<response_id>")
def delete(response_id: str) -> Response:
    if _stored(response_id).response.background:
        background.delete(auth.visible_owner(), response_id)
    else:
        response_input.foreground().delete(_visible_owner(response_id), response_id)
    return json_response(shapes.Deleted(response_id))


@blueprint.get("/v1/responses/<response_id>/input_items")
def input_items(response_id: str) -> Response:
    """What the response answered, newest first, or in the `order` of `asc`; `limit` of them, `after` an id."""
    items = _stored(response_id).items
    order, after = request.args.get("order", "desc"), request.args.get("after")
    if order not in ("asc", "desc"):
        raise InvalidRequest("order must be asc or desc.", param="order")
    listed = items if order == "asc" else items[::-1]
    if after is not None:
        at = next((at for at, item in enumerate(listed) if item["id"] == after), None)
        if at is None:
            raise InvalidRequest("after must be the id of an item.", param="after")
        listed = listed[at + 1 :]
    page = listed[: page_size(request.args.get("limit"), _PAGE, _MOST_LISTED)]
    first, last = (page[0]["id"], page[-1]["id"]) if page else (None, None)
    return json_response(shapes.ItemList(tuple(page), first, last, has_more=len(page) < len(listed)))


def _visible_owner(response_id: str) -> str:
    """Whose response is meant: the caller's own; an admin sees those of all keys."""
    found = response_input.foreground().owner_of(response_id) if auth.sees_all() else None
    return auth.owner() if found is None else found


def _stored(response_id: str) -> Stored:
    """On disk, where those made in the background are, or among those of the foreground."""
    stored = background.find(auth.visible_owner(), response_id) or response_input.foreground().get(
        _visible_owner(response_id), response_id
    )
    if stored is None:
        raise NotFound("No such response is kept here.", param="response_id")
    return stored


# ---- in


def _accept(
    own: ResponsesRequest, items: list[dict[str, Any]], *more: shapes.Item
) -> tuple[ChatCompletionRequest, GenerateRequest]:
    """The request in chat's form, checked as chat's are."""
    turns = response_turns.turns_of([*response_turns.kept_items(items), *more])
    tools = _all_tools(own, items)
    body, generate = translation.accept(_as_chat(own, turns, tools))
    progress = bool(body.stream and own.stream_options is not None and own.stream_options.include_progress)
    formed = response_tools.with_formats(generate.tools, tools)
    return body, msgspec.structs.replace(generate, tools=formed, progress=progress)


def _all_tools(own: ResponsesRequest, items: list[dict[str, Any]]) -> list[shapes.ResponseTool]:
    """The request's tools, and those that a search of an earlier turn found; what cannot be read is left out."""
    tools = list(own.tools or ())
    for raw in response_turns.searched_tools(items):
        try:
            (found,) = _TOOLS.validate_python(item_spellings.known_tools([raw])[0])
        except ValidationError:
            continue
        if not response_tools.offered([found]).keys() & response_tools.offered(tools).keys():
            tools.append(found)
    return tools


def _as_chat(own: ResponsesRequest, turns: list[dict[str, Any]], tools: list[shapes.ResponseTool]) -> dict[str, Any]:
    extra = own.model_extra or {}
    first = [] if own.instructions is None else [{"role": "system", "content": own.instructions}]
    choice, offers = response_tools.choice(own, response_tools.functions(tools))
    chosen = {
        "model": own.model,
        "messages": [*first, *turns],
        "max_tokens": own.max_output_tokens,
        "tools": offers or None,
        "tool_choice": choice,
        "response_format": _format(own),
        "reasoning_effort": own.reasoning.effort if own.reasoning is not None else None,
    }
    return {**extra, **{name: value for name, value in chosen.items() if value is not None}}


def _format(own: ResponsesRequest) -> dict[str, Any] | None:
    wish = own.text.format if own.text is not None else None
    if wish is None or wish.type == "text":
        return None
    if wish.type == "json_object":
        return {"type": "json_object"}
    schema = {"name": wish.name or "", "schema": wish.schema_, "strict": wish.strict}
    return {"type": "json_schema", "json_schema": schema}
