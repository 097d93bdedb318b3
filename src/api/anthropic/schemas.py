"""Shapes of Anthropic's POST /v1/messages."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

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


class ToolUseBlock(_OpenModel):
    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class ToolResultBlock(_OpenModel):
    type: Literal["tool_result"]
    tool_use_id: str
    content: str | list[TextBlock] = ""
    is_error: bool | None = None


Block = Annotated[TextBlock | ImageBlock | ThinkingBlock | ToolUseBlock | ToolResultBlock, Field(discriminator="type")]


class AnthropicTurn(_OpenModel):
    role: Literal["user", "assistant"]
    content: str | list[Block]


class AnthropicTool(_OpenModel):
    """A tool of the client's; Anthropic's own have another type."""

    name: str
    description: str | None = None
    input_schema: dict[str, Any]
    type: Literal["custom"] | None = None


class AnthropicChoice(_OpenModel):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingSwitch(_OpenModel):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int | None = None


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
    max_tokens: int = Field(ge=1, le=10_000_000)
    messages: list[AnthropicTurn] = Field(min_length=1)
    system: str | list[TextBlock] | None = None
    stop_sequences: list[Annotated[str, Field(min_length=1, max_length=1024)]] | None = Field(None, max_length=4)
    stream: bool | None = None
    temperature: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    top_p: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    top_k: int | None = Field(None, ge=0, le=10_000_000)
    tools: list[AnthropicTool] | None = None
    tool_choice: AnthropicChoice | None = None
    thinking: ThinkingSwitch | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None


class CountRequest(MessagesRequest):
    """Body of POST /v1/messages/count_tokens: the same, without an answer's length."""

    max_tokens: int = 1


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


class ErrorOut(Wire, frozen=True):
    type: str
    message: str


class ErrorEvent(Wire, frozen=True):
    error: ErrorOut
    type: str = "error"
