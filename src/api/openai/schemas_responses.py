"""Shapes of OpenAI's /v1/responses."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, Tag

from src.api.openai.schemas import PromptProgressOut, ReasoningEffort, Whole, by_type
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


class InputFile(_Open):
    """A PDF: its base64 text or a `data:` URL."""

    type: Literal["input_file"]
    file_data: str
    filename: str | None = None


_TEXTS = ("input_text", "output_text", "text", "reasoning_text", "summary_text", "refusal")
Part = Annotated[
    Annotated[ContentPart, Tag("ContentPart")]
    | Annotated[InputImage, Tag("InputImage")]
    | Annotated[InputFile, Tag("InputFile")],
    by_type({**dict.fromkeys(_TEXTS, "ContentPart"), "input_image": "InputImage", "input_file": "InputFile"}),
]


class MessageItem(_Open):
    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part]


class CallItem(_Open):
    """`namespace`: where the tool's bare name belongs."""

    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str
    namespace: str | None = None


class CallOutputItem(_Open):
    type: Literal["function_call_output"]
    call_id: str
    output: str | list[Part]


class CustomCallItem(_Open):
    type: Literal["custom_tool_call"]
    call_id: str
    name: str
    input: str
    namespace: str | None = None


class CustomOutputItem(_Open):
    type: Literal["custom_tool_call_output"]
    call_id: str
    output: str | list[Part]


class SearchCallItem(_Open):
    """A search among the client's tools, of an earlier turn that another server answered."""

    type: Literal["tool_search_call"]
    call_id: str | None = None
    arguments: Any = None


class SearchOutputItem(_Open):
    type: Literal["tool_search_output"]
    call_id: str | None = None
    tools: list[dict[str, Any]] = []


class ReasoningItem(_Open):
    type: Literal["reasoning"]
    content: list[ContentPart] | None = None


class CompactionItem(_Open):
    """A summary that /v1/responses/compact made, in place of what it sums up."""

    type: Literal["compaction", "compaction_summary"]
    encrypted_content: str


Item = Annotated[
    Annotated[MessageItem, Tag("MessageItem")]
    | Annotated[CallItem, Tag("CallItem")]
    | Annotated[CallOutputItem, Tag("CallOutputItem")]
    | Annotated[CustomCallItem, Tag("CustomCallItem")]
    | Annotated[CustomOutputItem, Tag("CustomOutputItem")]
    | Annotated[SearchCallItem, Tag("SearchCallItem")]
    | Annotated[SearchOutputItem, Tag("SearchOutputItem")]
    | Annotated[ReasoningItem, Tag("ReasoningItem")]
    | Annotated[CompactionItem, Tag("CompactionItem")],
    by_type(
        {
            "message": "MessageItem",
            "function_call": "CallItem",
            "function_call_output": "CallOutputItem",
            "custom_tool_call": "CustomCallItem",
            "custom_tool_call_output": "CustomOutputItem",
            "tool_search_call": "SearchCallItem",
            "tool_search_output": "SearchOutputItem",
            "reasoning": "ReasoningItem",
            "compaction": "CompactionItem",
            "compaction_summary": "CompactionItem",
        },
        "message",
    ),
]


class _Tool(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: str
    description: str | None = None
    # tools that a search would load first: all are offered
    defer_loading: bool | None = None
    allowed_callers: list[str] | None = None


class FunctionTool(_Tool):
    type: Literal["function"]
    parameters: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    strict: bool | None = None


class CustomFormat(BaseModel):
    """What a custom tool's input must look like: any text, or a grammar."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    type: Literal["text", "grammar"]
    syntax: Literal["lark", "regex"] | None = None
    definition: str | None = None


class CustomTool(_Tool):
    """A tool that is called with one text."""

    type: Literal["custom"]
    format: CustomFormat | None = None


OwnTool = Annotated[
    Annotated[FunctionTool, Tag("FunctionTool")] | Annotated[CustomTool, Tag("CustomTool")],
    by_type({"function": "FunctionTool", "custom": "CustomTool"}),
]


class NamespaceTool(_Tool):
    type: Literal["namespace"]
    tools: list[OwnTool]


ResponseTool = Annotated[
    Annotated[FunctionTool, Tag("FunctionTool")]
    | Annotated[CustomTool, Tag("CustomTool")]
    | Annotated[NamespaceTool, Tag("NamespaceTool")],
    by_type({"function": "FunctionTool", "custom": "CustomTool", "namespace": "NamespaceTool"}),
]


class NamedTool(_Open):
    type: Literal["function", "custom"]
    name: str
    namespace: str | None = None


class AllowedTools(_Open):
    """A choice among some of the tools."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[dict[str, Any]]


ToolChoice = Literal["none", "auto", "required"] | NamedTool | AllowedTools


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
    """Padding against eavesdroppers, which a loopback or TLS of one's own does not need. `include_progress`: events
    say how much of the prompt is computed."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    include_obfuscation: bool | None = None
    include_progress: bool | None = None


# what would be shown beside an answer: reasoning is shown anyway, of the others there is nothing
Include = Literal[
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
    "web_search_call.results",
    "file_search_call.results",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "message.input_image.image_url",
]


class ConversationId(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    id: str = Field(max_length=256)


def conversation_name(given: str | ConversationId) -> str:
    return given if isinstance(given, str) else given.id


class ResponsesRequest(BaseModel):
    """Body of POST /v1/responses."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    model: str | None = Field(None, max_length=512)
    input: str | Annotated[list[Item], Field(min_length=1)]
    instructions: str | None = None
    max_output_tokens: Whole | None = Field(None, ge=1, le=10_000_000)
    tools: list[ResponseTool] | None = None
    tool_choice: ToolChoice | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    previous_response_id: str | None = Field(None, max_length=256)
    conversation: Annotated[str, Field(max_length=256)] | ConversationId | None = None
    store: bool | None = None
    truncation: Literal["disabled"] | None = None
    background: bool | None = None
    include: list[Include] | None = None
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
    namespace: str | msgspec.UnsetType = msgspec.UNSET


class CustomCallOutItem(Wire, frozen=True, tag_field="type", tag="custom_tool_call"):
    id: str
    call_id: str
    name: str
    input: str
    status: str
    namespace: str | msgspec.UnsetType = msgspec.UNSET


OutItem = MessageOutItem | ReasoningOutItem | CallOutItem | CustomCallOutItem


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


class ConversationRef(Wire, frozen=True):
    """A conversation as a response names it."""

    id: str


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
    background: bool = False
    conversation: ConversationRef | None = None


class Deleted(Wire, frozen=True):
    id: str
    object: str = "response"
    deleted: bool = True


class InputTokens(Wire, frozen=True):
    input_tokens: int
    object: str = "response.input_tokens"


class Compacted(Wire, frozen=True):
    """A shorter conversation: its items can be sent in the place of the long one's."""

    id: str
    output: tuple[Any, ...]
    usage: ResponseUsage
    created_at: int
    object: str = "response.compaction"


class ItemList(Wire, frozen=True):
    data: tuple[Any, ...]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: str = "list"


class StreamBroken(Wire, frozen=True):
    """The last event of a stream that ends before its response does: `starting_after` goes on."""

    code: str
    message: str
    sequence_number: int
    param: str | None = None
    type: str = "error"


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
    input: str | msgspec.UnsetType = msgspec.UNSET
    prompt_progress: PromptProgressOut | msgspec.UnsetType = msgspec.UNSET
    logprobs: tuple[()] | msgspec.UnsetType = msgspec.UNSET
