"""How a response looks, whole and as a stream of numbered events, and when it is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace
from pydantic import BaseModel

from src.api.generation import streaming
from src.api.generation.streaming import Event
from src.api.openai import convert
from src.api.openai import schemas_responses as shapes
from src.api.openai.response_items import Items
from src.api.openai.response_tools import Offered
from src.api.openai.schemas import ChatCompletionRequest
from src.api.openai.schemas_responses import ResponseEvent, ResponseOut, ResponsesRequest
from src.errors import ServiceError
from src.ipc.messages.chat import Delta, Finished, GenerateRequest, PromptProgress, Usage

Keep = Callable[[ResponseOut], None]


def first_response(generate: GenerateRequest, own: ResponsesRequest, body: ChatCompletionRequest) -> ResponseOut:
    """How a response looks before anything of it is there."""
    return ResponseOut(
        id=f"resp_{generate.id}",
        created_at=int(time.time()),
        model=generate.model,
        status="in_progress",
        output=(),
        parallel_tool_calls=generate.tool_choice.parallel,
        tool_choice=_shown_choice(own),
        tools=tuple(tool.model_dump(exclude_unset=True) for tool in own.tools or ()),
        text=_shown_text(own),
        instructions=own.instructions,
        max_output_tokens=own.max_output_tokens,
        metadata=own.metadata or {},
        previous_response_id=own.previous_response_id,
        reasoning={"effort": own.reasoning.effort if own.reasoning is not None else None, "summary": None},
        store=own.store is not False,
        temperature=body.temperature,
        top_p=body.top_p,
        background=bool(own.background),
        conversation=_conversation(own),
    )


class ResponseBuilder:
    """One response from its first look on, and where it is kept. `offered`: its tools, by the names the model knows."""

    def __init__(
        self, first: ResponseOut, offered: Mapping[str, Offered], keep: Keep, *, progress: bool = False
    ) -> None:
        self.items = Items(first.id.removeprefix("resp_"), offered)
        self.progress = progress
        self._keep = keep
        self._base = first

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
            usage=usage(event.usage, self.items.reasoning_tokens),
        )
        self._keep(made)
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


def _conversation(own: ResponsesRequest) -> shapes.ConversationRef | None:
    return None if own.conversation is None else shapes.ConversationRef(shapes.conversation_name(own.conversation))


def _shown_choice(own: ResponsesRequest) -> object:
    choice = own.tool_choice
    return choice.model_dump(exclude_none=True) if isinstance(choice, BaseModel) else str(choice or "auto")


def _shown_text(own: ResponsesRequest) -> dict[str, Any]:
    wish = own.text.format if own.text is not None else None
    return {"format": wish.model_dump(by_alias=True, exclude_none=True) if wish is not None else {"type": "text"}}


def usage(counts: Usage, reasoning: int) -> shapes.ResponseUsage:
    shown = convert.usage(counts)
    return shapes.ResponseUsage(
        shown.prompt_tokens,
        shown.completion_tokens,
        shown.total_tokens,
        shapes.InputDetails(counts.cached_tokens),
        shapes.OutputDetails(reasoning),
    )


class ResponseWriter:
    """A stream of numbered events; `number` is its next one's."""

    def __init__(self, form: ResponseBuilder, number: int = 0) -> None:
        self._form = form
        self.number = number

    def begin(self, prompt_tokens: int) -> bytes:  # noqa: ARG002  # the usage comes at the end
        begun = self._form.begun()
        return b"".join(self.status(kind, begun) for kind in ("created", "in_progress"))

    def event(self, event: Event) -> bytes:
        return b"".join(self.events(event))

    def events(self, event: Event) -> list[bytes]:
        """One by one, as they are numbered."""
        if isinstance(event, Delta):
            return [self._event(made) for made in self._form.items.feed(event)]
        if not isinstance(event, Finished):
            return []
        complete = event.reason != "length"
        ended = [self._event(made) for made in self._form.items.finish(complete=complete)]
        return [*ended, self.status("completed" if complete else "incomplete", self._form.finished(event))]

    def status(self, status: str, response: ResponseOut) -> bytes:
        return self._event(ResponseEvent(f"response.{status}", response=response))

    def keep_alive(self, progress: PromptProgress | None) -> bytes:
        return streaming.ping(progress)

    def progress(self, progress: PromptProgress) -> bytes:
        """An event of our own, for whoever asked."""
        told = ResponseEvent("response.prompt_progress", prompt_progress=convert.progress(progress))
        return self._event(told) if self._form.progress else b""

    def failed(self, error: ServiceError) -> bytes:
        return self.status("failed", self._form.failed(error))

    def end(self) -> bytes:
        return b""

    def _event(self, event: ResponseEvent) -> bytes:
        number, self.number = self.number, self.number + 1
        return streaming.named_sse(event.type, replace(event, sequence_number=number))
