"""Shapes of /v1/embeddings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from src.api.openai.schemas import Labels, Whole
from src.api.openai.schemas_completions import TokenIds
from src.api.wire import Wire
from src.ipc.messages.base import Priority

MAX_INPUTS = 2048
EmbeddingRole = Literal[
    "query", "document", "passage", "search_query", "search_document", "classification", "clustering"
]
Text = Annotated[str, Field(min_length=1)]


MAX_PROMPT_NAME = 64


class EmbeddingsRequest(Labels):
    """Body of POST /v1/embeddings. Bounds are OpenAI's.

    `input_type` (Cohere, Voyage) and `prompt_name` (sentence-transformers, TEI) choose what an embedding model puts
    before each text. `truncate` (Cohere, TEI), `truncation` (Voyage) and `truncate_prompt_tokens` (vLLM; -1: the
    context) cut texts that are too long; without them they are refused. `normalize`: as the model does unless given.
    """

    model: str | None = Field(None, max_length=512)
    input: (
        Text
        | TokenIds
        | Annotated[list[Text], Field(min_length=1, max_length=MAX_INPUTS)]
        | Annotated[list[TokenIds], Field(min_length=1, max_length=MAX_INPUTS)]
    )
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Whole | None = Field(None, ge=1, le=1_000_000)
    input_type: EmbeddingRole | None = None
    prompt_name: str | None = Field(None, min_length=1, max_length=MAX_PROMPT_NAME)
    truncate: bool | Literal["NONE", "END", "START"] | None = None
    truncation: bool | None = None
    truncate_prompt_tokens: Whole | None = Field(None, ge=-1, le=10_000_000)
    normalize: bool | None = None
    priority: Priority | None = None
    timeout: float | None = Field(None, gt=0, le=86400, allow_inf_nan=False)


class EmbeddingOut(Wire, frozen=True):
    """One vector: numbers, or the base64 of little-endian float32."""

    index: int
    embedding: str | list[float]
    object: str = "embedding"


class EmbeddingUsage(Wire, frozen=True):
    prompt_tokens: int
    total_tokens: int


class EmbeddingsOut(Wire, frozen=True):
    data: tuple[EmbeddingOut, ...]
    model: str
    usage: EmbeddingUsage
    object: str = "list"
