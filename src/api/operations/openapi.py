"""The description of our HTTP API, made from the same schemas that check and encode it. Pure; built once by `pages`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from src.api.anthropic import schemas as schemas_messages
from src.api.batches import schemas as schemas_batches
from src.api.edge import auth
from src.api.files import schemas as schemas_files
from src.api.ocr import schemas as ocr_schemas
from src.api.ollama import schemas as schemas_ollama
from src.api.openai import (
    schemas,
    schemas_completions,
    schemas_conversations,
    schemas_embeddings,
    schemas_rerank,
    schemas_responses,
)
from src.api.operations import field_classes, logs, schemas_usage, system
from src.api.wire import ErrorEnvelope, PlainError, Wire
from src.settings import VERSION

_ABOUT = f"An OpenAI-compatible chat and OCR server. {field_classes.ABOUT}"
_REF = "#/components/schemas/{name}"
# one server-sent event; what its data holds is the endpoint's own
_EVENT = {"type": "object", "properties": {"event": {"type": "string"}, "data": {"type": "string"}}}
_PYDANTIC_REF = "#/components/schemas/{model}"
ERRORS = {
    "400": "The request is wrong; `param` names the field.",
    "401": "The API key is missing or wrong.",
    "403": "The key's role does not allow this route.",
    "404": "No such model, object or route.",
    "405": "Another method; `Allow` names those there are.",
    "413": "The body exceeds MAX_BODY_MB.",
    "415": "Another content type.",
    "429": "Too many requests; `Retry-After` says when to try again.",
    "500": "Ours; the log has the details under the request id.",
    "503": "The back end is (re)starting; `Retry-After` says when to try again.",
    "504": "The time budget is over.",
}


_ACCESS: dict[auth.Access, str] = {
    "open": "Needs no key.",
    "user": "Needs the role `user` or `admin`.",
    "metrics": "Needs the role `metrics` or `admin`.",
    "admin": "Needs the role `admin`.",
}


@dataclass(frozen=True)
class DocumentedRoute:
    """One operation. A `stream` answers with server-sent events when the body asks for it, `lines` with lines of JSON;
    `error` is the shape of its errors."""

    method: str
    path: str
    summary: str
    answer: type[Wire] | None = None
    body: type[BaseModel] | None = None
    stream: bool = False
    lines: bool = False
    error: type[Wire] = ErrorEnvelope


_ollama = partial(DocumentedRoute, error=PlainError)

ROUTES = (
    DocumentedRoute(
        "post",
        "/v1/chat/completions",
        "An answer in a conversation.",
        schemas.ChatCompletion,
        schemas.ChatCompletionRequest,
        stream=True,
    ),
    DocumentedRoute(
        "post",
        "/v1/completions",
        "A text goes on.",
        schemas_completions.Completion,
        schemas_completions.CompletionRequest,
        stream=True,
    ),
    DocumentedRoute(
        "post",
        "/v1/responses",
        "OpenAI's newer form of chat.",
        schemas_responses.ResponseOut,
        schemas_responses.ResponsesRequest,
        stream=True,
    ),
    DocumentedRoute("get", "/v1/responses/{response_id}", "A response that was kept.", schemas_responses.ResponseOut),
    DocumentedRoute(
        "post",
        "/v1/responses/{response_id}/cancel",
        "End a background response early.",
        schemas_responses.ResponseOut,
    ),
    DocumentedRoute("delete", "/v1/responses/{response_id}", "Forget a response.", schemas_responses.Deleted),
    DocumentedRoute("get", "/v1/responses/{response_id}/input_items", "What it answered.", schemas_responses.ItemList),
    DocumentedRoute(
        "post",
        "/v1/responses/input_tokens",
        "How long a prompt would be.",
        schemas_responses.InputTokens,
        schemas_responses.ResponsesRequest,
    ),
    DocumentedRoute(
        "post",
        "/v1/responses/compact",
        "A conversation, made shorter.",
        schemas_responses.Compacted,
        schemas_responses.ResponsesRequest,
    ),
    DocumentedRoute(
        "post",
        "/v1/conversations",
        "Keep items for responses that go on from them.",
        schemas_conversations.ConversationOut,
        schemas_conversations.ConversationRequest,
    ),
    DocumentedRoute(
        "get",
        "/v1/conversations/{conversation_id}",
        "A conversation.",
        schemas_conversations.ConversationOut,
    ),
    DocumentedRoute(
        "post",
        "/v1/conversations/{conversation_id}",
        "Replace its metadata.",
        schemas_conversations.ConversationOut,
        schemas_conversations.ConversationUpdate,
    ),
    DocumentedRoute(
        "delete",
        "/v1/conversations/{conversation_id}",
        "Forget a conversation and its items.",
        schemas_conversations.ConversationDeleted,
    ),
    DocumentedRoute(
        "post",
        "/v1/conversations/{conversation_id}/items",
        "Add items.",
        schemas_responses.ItemList,
        schemas_conversations.ItemsRequest,
    ),
    DocumentedRoute(
        "get", "/v1/conversations/{conversation_id}/items", "Its items, by page.", schemas_responses.ItemList
    ),
    DocumentedRoute("get", "/v1/conversations/{conversation_id}/items/{item_id}", "An item.", Wire),
    DocumentedRoute(
        "delete",
        "/v1/conversations/{conversation_id}/items/{item_id}",
        "Forget an item.",
        schemas_conversations.ConversationOut,
    ),
    DocumentedRoute(
        "post",
        "/v1/messages",
        "Anthropic's form of chat.",
        schemas_messages.MessageOutput,
        schemas_messages.MessagesRequest,
        stream=True,
    ),
    DocumentedRoute(
        "post",
        "/v1/messages/count_tokens",
        "How long a prompt would be.",
        schemas_messages.TokenCount,
        schemas_messages.CountRequest,
    ),
    DocumentedRoute(
        "post",
        "/tokenize",
        "The tokens of a text or conversation.",
        schemas_completions.TokenizeOut,
        schemas_completions.TokenizeBody,
    ),
    DocumentedRoute(
        "post",
        "/detokenize",
        "The text of tokens.",
        schemas_completions.DetokenizeOut,
        schemas_completions.DetokenizeBody,
    ),
    DocumentedRoute(
        "post",
        "/v1/embeddings",
        "Vectors of texts.",
        schemas_embeddings.EmbeddingsOut,
        schemas_embeddings.EmbeddingsRequest,
    ),
    *(
        DocumentedRoute(
            "post", route, "Documents by closeness to a query.", schemas_rerank.RerankOut, schemas_rerank.RerankRequest
        )
        for route in ("/v1/rerank", "/v2/rerank", "/rerank")
    ),
    DocumentedRoute(
        "post", "/v1/ocr", "The text of a document (its shape: docs/ocr.md).", None, ocr_schemas.OcrJsonRequest
    ),
    DocumentedRoute("post", "/v1/ocr/jobs", "A document as a job: 202.", None, ocr_schemas.OcrJsonRequest),
    DocumentedRoute("get", "/v1/ocr/jobs", "The key's jobs, by page (docs/api.md)."),
    DocumentedRoute("get", "/v1/ocr/jobs/{name}", "A job's state and pages."),
    DocumentedRoute("get", "/v1/ocr/jobs/{name}/result", "A finished job's document, in the asked format."),
    DocumentedRoute("delete", "/v1/ocr/jobs/{name}", "Cancels a job."),
    DocumentedRoute("get", "/v1/ocr/jobs/{name}/events", "A job's pages as they come, as server-sent events."),
    DocumentedRoute("post", "/v1/files", "Keep a file (multipart/form-data: purpose, file).", schemas_files.FileOut),
    DocumentedRoute("get", "/v1/files", "The files that are kept, by page.", schemas_files.FileList),
    DocumentedRoute("get", "/v1/files/{file_id}", "What is known of a file.", schemas_files.FileOut),
    DocumentedRoute("get", "/v1/files/{file_id}/content", "A file's content."),
    DocumentedRoute("get", "/v1/files/{file_id}/url", "A file's address, for OCR.", schemas_files.FileUrl),
    DocumentedRoute("delete", "/v1/files/{file_id}", "Delete a file.", schemas_files.FileDeleted),
    DocumentedRoute(
        "post",
        "/v1/batches",
        "Answer a file of requests when the machine is idle.",
        schemas_batches.BatchOut,
        schemas_batches.BatchRequest,
    ),
    DocumentedRoute("get", "/v1/batches", "The batches, by page.", schemas_batches.BatchList),
    DocumentedRoute("get", "/v1/batches/{batch_id}", "How far a batch is.", schemas_batches.BatchOut),
    DocumentedRoute("post", "/v1/batches/{batch_id}/cancel", "End a batch early.", schemas_batches.BatchOut),
    _ollama(
        "post", "/api/chat", "Ollama's chat.", schemas_ollama.OllamaResponse, schemas_ollama.ChatRequest, lines=True
    ),
    _ollama(
        "post",
        "/api/generate",
        "Ollama's form of completions.",
        schemas_ollama.OllamaResponse,
        schemas_ollama.GenerateBody,
        lines=True,
    ),
    _ollama(
        "post", "/api/embed", "Ollama's vectors of texts.", schemas_ollama.OllamaEmbeddings, schemas_ollama.EmbedBody
    ),
    _ollama(
        "post",
        "/api/embeddings",
        "Its older form, of one text.",
        schemas_ollama.OllamaEmbedding,
        schemas_ollama.EmbeddingsBody,
    ),
    _ollama("get", "/api/tags", "The models as Ollama lists them.", schemas_ollama.Models),
    _ollama("get", "/api/ps", "Those that are loaded.", schemas_ollama.RunningModels),
    _ollama("post", "/api/show", "One of them.", schemas_ollama.Shown, schemas_ollama.NamedModel),
    _ollama("post", "/api/pull", "Fetch a model.", schemas_ollama.OllamaStatus, schemas_ollama.NamedModel, lines=True),
    _ollama("delete", "/api/delete", "Remove a model.", None, schemas_ollama.NamedModel),
    _ollama("get", "/api/version", "Of Ollama's API.", schemas_ollama.OllamaVersion),
    DocumentedRoute("get", "/v1/usage", "What keys have used, by day, key and model.", schemas_usage.UsageList),
    DocumentedRoute("get", "/v1/models", "The models that are served.", schemas.ModelList),
    DocumentedRoute("get", "/v1/models/{name}", "One model.", schemas.ModelCard),
    DocumentedRoute("post", "/v1/models/load", "Bring a model to the device.", schemas.ModelCard, schemas.ModelBody),
    DocumentedRoute("post", "/v1/models/unload", "End a model's process.", schemas.ModelCard, schemas.ModelBody),
    DocumentedRoute("get", "/api/gpu/status", "Where each model is, by name."),
    DocumentedRoute("post", "/api/gpu/offload", "Have one model, or all, leave the device.", None, schemas.ModelsBody),
    DocumentedRoute("post", "/api/gpu/release", "Unload one model, or all.", None, schemas.ModelsBody),
    DocumentedRoute(
        "post", "/api/gpu/timeout", "Another GPU_IDLE_TIMEOUT, until a restart.", None, schemas.TimeoutBody
    ),
    DocumentedRoute("post", "/api/gpu/pause", "Let no more background requests begin."),
    DocumentedRoute("post", "/api/gpu/resume", "Let background requests begin again."),
    DocumentedRoute("get", "/health", "200 when chat and OCR can be served."),
    DocumentedRoute("get", "/readyz", "The same."),
    DocumentedRoute("get", "/livez", "200 while the web process answers."),
    DocumentedRoute("get", "/api/gpu-status", "Device, memory, BLAS, loaded models."),
    DocumentedRoute("get", "/v1/system/status", "Every process: state, restarts, load, memory."),
    DocumentedRoute("get", "/v1/system/events", "The same once a second, as server-sent events."),
    DocumentedRoute("get", "/v1/system/logs", "The newest lines of a log file.", logs.LogLines),
    DocumentedRoute("get", "/v1/system/settings", "The settings in effect and their sources.", system.SettingsOut),
    DocumentedRoute("get", "/version", "The version of this service."),
    DocumentedRoute("get", "/metrics", "For Prometheus."),
    DocumentedRoute("get", "/openapi.json", "This description."),
    DocumentedRoute("get", "/docs", "A page of documentation."),
    DocumentedRoute("get", "/", "The console, for browsers (CONSOLE)."),
    DocumentedRoute("get", "/favicon.ico", "Its icon."),
    DocumentedRoute("get", "/console/{digest}/{name}", "Its files."),
)


def access_text(route: DocumentedRoute) -> str:
    """Who may ask for it."""
    return _ACCESS[_needed(route)]


def _needed(route: DocumentedRoute) -> auth.Access:
    return auth.ROUTES.get((route.method.upper(), route.path), "admin")


def document() -> dict[str, Any]:
    """The whole description, OpenAPI 3.1."""
    answers = [route.answer for route in ROUTES if route.answer is not None]
    _, components = msgspec.json.schema_components([*answers, ErrorEnvelope, PlainError], ref_template=_REF)
    bodies = [(route.body, "validation") for route in ROUTES if route.body is not None]
    _, defined = models_json_schema(bodies, ref_template=_PYDANTIC_REF)  # type: ignore[arg-type]  # a literal widens
    requests = defined.get("$defs", {})
    field_classes.classify(requests)
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Stoker", "version": VERSION, "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": {**components, **requests},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: DocumentedRoute) -> dict[str, Any]:
    needed = _needed(route)
    operation: dict[str, Any] = {
        "summary": route.summary,
        "description": _ACCESS[needed],
        "x-role": needed,
        "security": [] if needed == "open" else [{"key": []}],
        "responses": {"200": _good(route), **_bad(route)},
    }
    parameters = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    if parameters:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in parameters
        ]
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": _json(route.body)}
    return operation


def _good(route: DocumentedRoute) -> dict[str, Any]:
    content: dict[str, Any] = {} if route.answer is None else _json(route.answer)
    if route.stream:
        content["text/event-stream"] = {"schema": _EVENT}
    if route.lines:
        content["application/x-ndjson"] = {"schema": {"type": "string"}}
    return {"description": route.summary, **({"content": content} if content else {})}


def _bad(route: DocumentedRoute) -> dict[str, Any]:
    if route.answer is None and route.body is None and "{" not in route.path:
        return {"503": {"description": ERRORS["503"]}}
    shapes = {status: ErrorEnvelope if status in ("401", "403") else route.error for status in ERRORS}
    return {status: {"description": text, "content": _json(shapes[status])} for status, text in ERRORS.items()}


def _json(kind: type) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(name=kind.__name__)}}}
