"""Shapes of /v1/completions, /tokenize and /detokenize. What they share with chat is chat's."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from src.api.openai.schemas import PromptProgressOut, UsageOut, Whole
from src.api.wire import Wire

TokenIds = Annotated[list[Annotated[int, Field(ge=0, lt=1 << 31)]], Field(min_length=1, max_length=1_000_000)]
MAX_PROMPTS = 64
Prompts = Annotated[list[TokenIds], Field(min_length=1, max_length=MAX_PROMPTS)]


class CompletionRequest(BaseModel):
    """Fields of POST /v1/completions that chat has not; the others are checked as chat's."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    prompt: str | TokenIds | Annotated[list[str], Field(min_length=1, max_length=MAX_PROMPTS)] | Prompts
    echo: bool | None = None
    max_tokens: Whole | None = Field(None, ge=0, le=10_000_000)
    logprobs: Whole | None = Field(None, ge=0, le=20)
    best_of: Whole | None = Field(None, ge=1, le=128)
    suffix: str | None = Field(None, max_length=1 << 22)


class CompletionLogprobs(Wire, frozen=True):
    """One entry per token of the answer; with `echo`, of the prompt before it, whose first has none."""

    tokens: tuple[str, ...]
    token_logprobs: tuple[float | None, ...]
    top_logprobs: tuple[dict[str, float] | None, ...]
    text_offset: tuple[int, ...]


class CompletionChoice(Wire, frozen=True):
    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: str | None = None


class Completion(Wire, frozen=True):
    """An answer, or a chunk of one: they look alike."""

    id: str
    created: int
    model: str
    choices: tuple[CompletionChoice, ...]
    usage: UsageOut | None = None
    object: str = "text_completion"
    system_fingerprint: str | None = None
    prompt_progress: PromptProgressOut | msgspec.UnsetType = msgspec.UNSET


class TokenizeBody(BaseModel):
    """A text, or what a chat request would be made of."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    model: str | None = Field(None, max_length=512)
    prompt: str | None = None
    messages: list[Any] | None = None
    tools: list[Any] | None = None


class DetokenizeBody(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    model: str | None = Field(None, max_length=512)
    tokens: list[Annotated[int, Field(ge=0, lt=1 << 31)]] = Field(max_length=1_000_000)


class TokenizeOut(Wire, frozen=True):
    tokens: tuple[int, ...]
    count: int
    max_model_len: int


class DetokenizeOut(Wire, frozen=True):
    prompt: str
