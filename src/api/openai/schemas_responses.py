"""Shapes of OpenAI's /v1/responses."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from src.api.openai.schemas import ReasoningEffort
from src.api.wire import Wire


class _Open(BaseModel):
    """Items are sent back as they came (ids, states): what has no effect is not looked at."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class ContentPart(_Open):
    type: Literal["input_text", "output_text", "text", "reasoning_text", "summary_text", "refusal"]
    text: str = ""
    refusal: str = ""


class InputImage(_Open):
    type: Literal["input_image"]
    image_url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class MessageItem(_Open):
    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[ContentPart | InputImage]


class CallItem(_Open):
    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str


class CallOutputItem(_Open):
    type: Literal["function_call_output"]
    call_id: str
    output: str | list[ContentPart | InputImage]


class ReasoningItem(_Open):
    type: Literal["reasoning"]
    content: list[ContentPart] | None = None


Item = MessageItem | CallItem | CallOutputItem | ReasoningItem


class ResponseTool(BaseModel):
    """A function of the client's; OpenAI's own tools have another type."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    type: Literal["function"]
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class NamedTool(_Open):
    type: Literal["function"]
    name: str


class TextFormat(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, populate_by_name=True)

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class TextOptions(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    format: TextFormat | None = None
    verbosity: Literal["medium"] | None = None


class ReasoningOptions(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    effort: ReasoningEffort | None = None
    summary: None = None
    generate_summary: None = None


class ResponseStreamOptions(BaseModel):
    """Padding against eavesdroppers, which a loopback or TLS of one's own does not need."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    include_obfuscation: bool | None = None


class ResponsesRequest(BaseModel):
    """Body of POST /v1/responses."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    model: str | None = Field(None, max_length=512)
    input: str | Annotated[list[Item], Field(min_length=1)]
    instructions: str | None = None
    max_output_tokens: int | None = Field(None, ge=1, le=10_000_000)
    tools: list[ResponseTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    previous_response_id: str | None = Field(None, max_length=256)
    store: bool | None = None
    truncation: Literal["disabled"] | None = None
    background: Literal[False] | None = None
    include: list[Literal["reasoning.encrypted_content"]] | None = None
    metadata: dict[str, str] | None = Field(None, max_length=16)
    stream_options: ResponseStreamOptions | None = None


# ---- what is sent


class OutputText(Wire, frozen=True):
    text: str
    annotations: tuple[()] = ()
    logprobs: tuple[()] = ()
    type: str = "output_text"


class ReasoningText(Wire, frozen=True):
    text: str
    type: str = "reasoning_text"


class MessageOutItem(Wire, frozen=True, tag_field="type", tag="message"):
    id: str
    content: tuple[OutputText, ...]
    status: str
    role: str = "assistant"


class ReasoningOutItem(Wire, frozen=True, tag_field="type", tag="reasoning"):
    id: str
    content: tuple[ReasoningText, ...]
    status: str
    summary: tuple[()] = ()


class CallOutItem(Wire, frozen=True, tag_field="type", tag="function_call"):
    id: str
    call_id: str
    name: str
    arguments: str
    status: str


OutItem = MessageOutItem | ReasoningOutItem | CallOutItem


class InputDetails(Wire, frozen=True):
    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputDetails(Wire, frozen=True):
    reasoning_tokens: int = 0


class ResponseUsage(Wire, frozen=True):
    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: InputDetails
    output_tokens_details: OutputDetails


class Incomplete(Wire, frozen=True):
    reason: str


class ResponseError(Wire, frozen=True):
    code: str
    message: str


class ResponseOut(Wire, frozen=True):
    """A response, finished or on its way; what was asked for is repeated."""

    id: str
    created_at: int
    model: str
    status: str
    output: tuple[OutItem, ...]
    parallel_tool_calls: bool
    tool_choice: Any
    tools: tuple[Any, ...]
    text: Any
    object: str = "response"
    error: ResponseError | None = None
    incomplete_details: Incomplete | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    metadata: dict[str, str] | None = None
    previous_response_id: str | None = None
    reasoning: Any = None
    store: bool = True
    temperature: float | None = None
    top_p: float | None = None
    truncation: str = "disabled"
    usage: ResponseUsage | None = None


class Deleted(Wire, frozen=True):
    id: str
    object: str = "response"
    deleted: bool = True


class ResponseEvent(Wire, frozen=True, omit_defaults=True):
    """One event of a stream: `type` says which of the others there are."""

    type: str
    sequence_number: int | msgspec.UnsetType = msgspec.UNSET
    response: ResponseOut | msgspec.UnsetType = msgspec.UNSET
    output_index: int | msgspec.UnsetType = msgspec.UNSET
    item: OutItem | msgspec.UnsetType = msgspec.UNSET
    item_id: str | msgspec.UnsetType = msgspec.UNSET
    content_index: int | msgspec.UnsetType = msgspec.UNSET
    part: OutputText | ReasoningText | msgspec.UnsetType = msgspec.UNSET
    delta: str | msgspec.UnsetType = msgspec.UNSET
    text: str | msgspec.UnsetType = msgspec.UNSET
    name: str | msgspec.UnsetType = msgspec.UNSET
    arguments: str | msgspec.UnsetType = msgspec.UNSET
    logprobs: tuple[()] | msgspec.UnsetType = msgspec.UNSET
