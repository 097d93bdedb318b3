"""Shapes of /v1/rerank."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from src.api.openai.schemas import Labels, Whole
from src.api.openai.schemas_embeddings import Text
from src.api.wire import Wire
from src.ipc.messages.base import Priority

MAX_DOCUMENTS = 1000


class DocumentIn(BaseModel):
    """A document as an object; only its text is compared."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    text: Text


class RerankRequest(Labels):
    """Body of POST /v1/rerank. `top_n` (Voyage: `top_k`): so many results; all unless given.

    `max_tokens_per_doc` (Cohere), `truncate_prompt_tokens` (vLLM; -1: the context) and `truncation` (Jina, Voyage) cut
    documents that are too long; without them they are refused. `instruction`: what makes a document relevant, for
    rerankers that are told it in words (Qwen3-Reranker).
    """

    model: str | None = Field(None, max_length=512)
    query: Text
    documents: list[Text | DocumentIn] = Field(min_length=1, max_length=MAX_DOCUMENTS)
    top_n: Whole | None = Field(None, ge=1)
    top_k: Whole | None = Field(None, ge=1)
    return_documents: bool | None = None
    max_tokens_per_doc: Whole | None = Field(None, ge=1, le=10_000_000)
    truncate_prompt_tokens: Whole | None = Field(None, ge=-1, le=10_000_000)
    truncation: bool | None = None
    instruction: Text | None = None
    priority: Priority | None = None
    timeout: float | None = Field(None, gt=0, le=86400, allow_inf_nan=False)


class RerankDocument(Wire, frozen=True):
    text: str


class RerankedOut(Wire, frozen=True, omit_defaults=True):
    """One document: its place in the request, and how close it is to the query: from 0 to 1 by a reranker, from -1 to 1
    by a cosine."""

    index: int
    relevance_score: float
    document: RerankDocument | None = None


class RerankUsage(Wire, frozen=True):
    prompt_tokens: int
    total_tokens: int


class RerankOut(Wire, frozen=True):
    """Best first. `method`: what gave the scores."""

    id: str
    model: str
    results: tuple[RerankedOut, ...]
    usage: RerankUsage
    object: str = "list"
    method: str = ""
