"""OpenAI's shapes, in and out. Requests are strict pydantic models; responses are msgspec structs, quick to encode.

Every field of a request is honoured, refused by name, or on the list of those without effect.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from src.errors import UnsupportedValue
from src.ipc.messages import Priority

# fields that cannot change the answer here: taken and set aside
NO_EFFECT = frozenset({"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"})

# fields of the API this engine does not honour, with the values that ask for nothing
UNSUPPORTED: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "seed": (),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "frequency_penalty": (0, 0.0),
    "presence_penalty": (0, 0.0),
    "repetition_penalty": (1, 1.0),
    "top_k": (0, -1),
    "min_p": (0, 0.0),
    "response_format": ({"type": "text"},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": (),
    "web_search_options": (),
    "ignore_eos": (False,),
}


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class TextPart(_Strict):
    """A content part; text is the only kind a text model takes."""

    type: Literal["text"]
    text: str


class Turn(_Strict):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart] | None = None
    name: str | None = None


class StreamOptions(_Strict):
    include_usage: bool = False
    include_obfuscation: bool = False


class ChatCompletionRequest(_Strict):
    """Body of POST /v1/chat/completions. Bounds are OpenAI's."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    model: str | None = Field(None, max_length=512)
    messages: list[Turn] = Field(min_length=1, max_length=2048)
    max_tokens: int | None = Field(None, ge=1, le=10_000_000)
    max_completion_tokens: int | None = Field(None, ge=1, le=10_000_000)
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    stop: (
        Annotated[str, Field(min_length=1, max_length=1024)]
        | Annotated[list[Annotated[str, Field(min_length=1, max_length=1024)]], Field(max_length=4)]
        | None
    ) = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    priority: Priority | None = None

    known: ClassVar[frozenset[str]] = NO_EFFECT | frozenset(UNSUPPORTED)

    def refuse_unsupported(self) -> None:
        """Raise `UnsupportedValue` for the first field that asks for what this engine cannot do."""
        for name, value in self.extra.items():
            if name in UNSUPPORTED and value is not None and value not in UNSUPPORTED[name]:
                raise UnsupportedValue(f"{name!r} with this value is not supported by this engine.", param=name)

    @property
    def extra(self) -> dict[str, Any]:
        return self.model_extra or {}

    @property
    def ignored(self) -> list[str]:
        """Fields nobody knows, to be named in the response's header."""
        return sorted(set(self.extra) - self.known)


# ---- responses


class Wire(msgspec.Struct, frozen=True):
    """Base of what is sent."""


class MessageOut(Wire, frozen=True):
    role: str
    content: str
    refusal: None = None


class ChoiceOut(Wire, frozen=True):
    index: int
    message: MessageOut
    finish_reason: str
    logprobs: None = None


class PromptDetails(Wire, frozen=True):
    cached_tokens: int = 0


class UsageOut(Wire, frozen=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(Wire, frozen=True):
    id: str
    created: int
    model: str
    choices: tuple[ChoiceOut, ...]
    usage: UsageOut
    object: str = "chat.completion"
    system_fingerprint: str | None = None


class DeltaOut(Wire, frozen=True, omit_defaults=True):
    role: str | None = None
    content: str | None = None


class ChunkChoice(Wire, frozen=True):
    index: int
    delta: DeltaOut
    finish_reason: str | None = None
    logprobs: None = None


class ChatCompletionChunk(Wire, frozen=True):
    id: str
    created: int
    model: str
    choices: tuple[ChunkChoice, ...]
    usage: UsageOut | None | msgspec.UnsetType = msgspec.UNSET
    object: str = "chat.completion.chunk"
    system_fingerprint: str | None = None


class ErrorBody(Wire, frozen=True):
    message: str
    type: str
    param: str | None
    code: str


class ErrorEnvelope(Wire, frozen=True):
    error: ErrorBody
    request_id: str | None = None


class ModelCard(Wire, frozen=True):
    """An entry of /v1/models; the fields after `owned_by` are ours, null while the engine does not tell."""

    id: str
    created: int
    object: str = "model"
    owned_by: str = "stoker"
    state: str = "unknown"
    context_length: int | None = None
    parameters: int | None = None
    engine: str | None = None


class ModelList(Wire, frozen=True):
    data: tuple[ModelCard, ...]
    object: str = "list"
