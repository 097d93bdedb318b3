"""Shapes of Anthropic's POST /v1/messages."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from src.api.openai.schemas import MAX_STOPS, Whole
from src.api.wire import Wire


class _OpenModel(BaseModel):
    """Blocks carry fields without effect here (`cache_control`); they are not looked at."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class TextBlock(_OpenModel):
    type: Literal["text"]
    text: str


class ImageSource(_OpenModel):
    type: Literal["base64", "url"]
    media_type: str = "image/png"
    data: str = ""
    url: str = ""


class ImageBlock(_OpenModel):
    type: Literal["image"]
    source: ImageSource


class ThinkingBlock(_OpenModel):
    type: Literal["thinking"]
    thinking: str


class RedactedBlock(_OpenModel):
    """Thoughts that only Anthropic can read."""

    type: Literal["redacted_thinking"]


class ToolUseBlock(_OpenModel):
    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class ToolReferenceBlock(_OpenModel):
    """A tool that a search over tools has found: it is offered like all others."""

    type: Literal["tool_reference"]
    tool_name: str


class SearchResultBlock(_OpenModel):
    type: Literal["search_result"]
    source: str
    title: str
    content: list[TextBlock]


class CompactionBlock(_OpenModel):
    """A summary that stands for the turns before it."""

    type: Literal["compaction"]
    content: str | None = None


class HostedUseBlock(_OpenModel):
    """A call of a tool that Anthropic ran, in a conversation that began there."""

    type: Literal["server_tool_use", "mcp_tool_use"]
    name: str
    input: dict[str, Any] = Field(default_factory=dict)


class HostedResultBlock(_OpenModel):
    """What such a tool gave."""

    type: Literal[
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "mcp_tool_result",
    ]
    content: Any = None


InnerBlock = Annotated[TextBlock | ImageBlock | SearchResultBlock | ToolReferenceBlock, Field(discriminator="type")]


class DocumentSource(_OpenModel):
    type: Literal["text", "base64", "content", "url", "file"]
    media_type: str = "application/pdf"
    data: str | None = None
    content: str | list[InnerBlock] | None = None


class DocumentBlock(_OpenModel):
    type: Literal["document"]
    source: DocumentSource
    title: str | None = None
    context: str | None = None


ResultBlock = Annotated[
    TextBlock | ImageBlock | SearchResultBlock | ToolReferenceBlock | DocumentBlock, Field(discriminator="type")
]


class ToolResultBlock(_OpenModel):
    type: Literal["tool_result"]
    tool_use_id: str
    content: str | list[ResultBlock] | None = ""
    is_error: bool | None = None


Block = Annotated[
    TextBlock
    | ImageBlock
    | ThinkingBlock
    | RedactedBlock
    | ToolUseBlock
    | ToolResultBlock
    | ToolReferenceBlock
    | SearchResultBlock
    | DocumentBlock
    | CompactionBlock
    | HostedUseBlock
    | HostedResultBlock,
    Field(discriminator="type"),
]


class AnthropicTurn(_OpenModel):
    """System turns may stand anywhere."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class AnthropicTool(_OpenModel):
    """A tool of the client's, with its schema; or one whose schema is known by its type."""

    name: str = ""
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None
    # tools that a search would load first are offered, and inputs streamed, anyway
    defer_loading: bool | None = None
    allowed_callers: list[str] | None = None
    eager_input_streaming: bool | None = None
    display_width_px: int | None = None
    display_height_px: int | None = None


class AnthropicChoice(_OpenModel):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingSwitch(_OpenModel):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Whole | None = None


class OutputFormat(_OpenModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, populate_by_name=True)

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(_OpenModel):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: OutputFormat | None = None


class MessagesRequest(BaseModel):
    """Body of POST /v1/messages."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    model: str | None = Field(None, max_length=512)
    max_tokens: Whole = Field(ge=1, le=10_000_000)
    messages: list[AnthropicTurn] = Field(min_length=1)
    system: str | list[TextBlock] | None = None
    stop_sequences: list[Annotated[str, Field(min_length=1, max_length=1024)]] | None = Field(
        None, max_length=MAX_STOPS
    )
    stream: bool | None = None
    temperature: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    top_p: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    top_k: Whole | None = Field(None, ge=0, le=10_000_000)
    tools: list[AnthropicTool] | None = None
    tool_choice: AnthropicChoice | None = None
    thinking: ThinkingSwitch | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None


class CountRequest(MessagesRequest):
    """Body of POST /v1/messages/count_tokens: the same, without an answer's length."""

    max_tokens: Whole = 1


class TextOut(Wire, frozen=True, tag_field="type", tag="text"):
    text: str


class ThinkingOut(Wire, frozen=True, tag_field="type", tag="thinking"):
    thinking: str
    signature: str = ""


class ToolUseOut(Wire, frozen=True, tag_field="type", tag="tool_use"):
    id: str
    name: str
    input: msgspec.Raw


class AnthropicUsage(Wire, frozen=True):
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0


class MessageOutput(Wire, frozen=True):
    id: str
    model: str
    content: tuple[TextOut | ThinkingOut | ToolUseOut, ...]
    stop_reason: str | None
    stop_sequence: str | None
    usage: AnthropicUsage
    type: str = "message"
    role: str = "assistant"


class TokenCount(Wire, frozen=True):
    input_tokens: int


# ---- events of a stream


class MessageStart(Wire, frozen=True):
    message: MessageOutput
    type: str = "message_start"


class BlockStart(Wire, frozen=True):
    index: int
    content_block: TextOut | ThinkingOut | ToolUseOut
    type: str = "content_block_start"


class TextPiece(Wire, frozen=True):
    text: str
    type: str = "text_delta"


class ThinkingPiece(Wire, frozen=True):
    thinking: str
    type: str = "thinking_delta"


class JsonPiece(Wire, frozen=True):
    partial_json: str
    type: str = "input_json_delta"


class BlockDelta(Wire, frozen=True):
    index: int
    delta: TextPiece | ThinkingPiece | JsonPiece
    type: str = "content_block_delta"


class BlockStop(Wire, frozen=True):
    index: int
    type: str = "content_block_stop"


class StopDelta(Wire, frozen=True):
    stop_reason: str
    stop_sequence: str | None


class MessageDelta(Wire, frozen=True):
    delta: StopDelta
    usage: AnthropicUsage
    type: str = "message_delta"


class MessageStop(Wire, frozen=True):
    type: str = "message_stop"


class PingEvent(Wire, frozen=True):
    """Keeps a silent stream alive."""

    type: str = "ping"


# ---- models


class AnthropicModel(Wire, frozen=True):
    id: str
    display_name: str
    created_at: str
    max_input_tokens: int | None = None
    max_tokens: int | None = None
    type: str = "model"


class AnthropicModels(Wire, frozen=True):
    data: tuple[AnthropicModel, ...]
    first_id: str | None
    last_id: str | None
    has_more: bool = False
