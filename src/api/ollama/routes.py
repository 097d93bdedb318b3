"""The routes of Ollama's API: /api/chat, generate, embed, tags, show, ps, version."""

from __future__ import annotations

import hashlib
import time
from functools import partial
from typing import Any, TypeVar

import msgspec
from flask import Blueprint, Response

from src import catalog
from src.api.edge import auth
from src.api.ollama import answers, translation
from src.api.ollama import schemas as shapes
from src.api.ollama.schemas import ChatRequest, EmbedBody, EmbeddingsBody, GenerateBody, NamedModel, Options
from src.api.openai import disclosure, embeddings, model_cards
from src.api.openai import translation as chat_translation
from src.api.openai.embeddings import EmbedSettings
from src.api.openai.schemas import ModelCard
from src.api.service import Service, json_body, json_response, service, watch_client
from src.errors import PermissionDenied
from src.ipc.messages.chat import RawPrompt, TextReading
from src.ipc.messages.control import MoveModel
from src.settings import VERSION

blueprint = Blueprint("ollama", __name__)

Body = TypeVar("Body", ChatRequest, GenerateBody, EmbedBody, EmbeddingsBody)

# of the API that is spoken here
_API_VERSION = "0.12.0"
_NS = 1_000_000_000
_LOADED = ("gpu", "cpu", "offloading", "restoring")
_FOR_EVER_S = 10 * 365 * 86400.0


@blueprint.post("/api/chat")
def chat() -> Response:
    body = _named(ChatRequest.model_validate(_body()))
    if not body.messages:
        return _moved(body, answers.Form(body.model, chat=True))
    return _answered(translation.chat(body), body, chat=True)


@blueprint.post("/api/generate")
def generate() -> Response:
    body = _named(GenerateBody.model_validate(_body()))
    if not body.prompt and not body.images:
        return _moved(body, answers.Form(body.model, chat=False))
    return _answered(translation.generate(body), body, chat=False)


def _answered(fields: dict[str, Any], body: ChatRequest | GenerateBody, *, chat: bool) -> Response:
    with chat_translation.own_names(translation.NAMES):
        _, request = chat_translation.accept(fields)
        if isinstance(body, GenerateBody) and body.raw:
            request = msgspec.structs.replace(request, raw_prompt=RawPrompt(text=body.prompt))
        if body.keep_alive is not None and not auth.is_admin():
            disclosure.note("keep_alive")
        form = answers.Form(request.model, chat=chat)
        writer = answers.LineWriter(form) if body.stream else None
        response = answers.as_lines(
            chat_translation.respond(chat_translation.open_generation(request), writer, form.whole)
        )
    if body.keep_alive is not None and auth.is_admin():
        response.call_on_close(partial(_release, service(), request.model))
    return response


def _moved(body: ChatRequest | GenerateBody, form: answers.Form) -> Response:
    """Nothing to answer: the model is loaded, or unloaded when it shall be kept for no time.

    A user's is an ordinary request for the model: it does not pass a circuit breaker, as an admin's load does.
    """
    name = body.model
    service().backends.check_model(name)
    if body.keep_alive is not None:
        if not auth.is_admin():
            raise PermissionDenied("Unloading a model needs the role 'admin' (docs/security.md).")
        _release(service(), name)
        model_cards.settled((name,), {"unloaded", "failed"})
        return _line(form.piece("", done=True, done_reason="unload"))
    with watch_client() as waiting:
        service().backends.load(name, waiting.check, retry=auth.is_admin())
    return _line(form.piece("", done=True, done_reason="load"))


def _line(answer: shapes.OllamaResponse) -> Response:
    return Response(answers.line(answer), mimetype=answers.MIMETYPE)


def _release(shared: Service, name: str) -> None:
    """A model that shall be kept for no time is unloaded once its requests have ended. Another time to keep it is set
    aside (`fields`): that is GPU_IDLE_TIMEOUT's to say."""
    shared.backends.order(MoveModel("unloaded", name))


@blueprint.post("/api/embed")
def embed() -> Response:
    began = time.monotonic()
    body = _named(EmbedBody.model_validate(_body("truncate")))
    texts = [body.input] if isinstance(body.input, str) else body.input
    reading = TextReading(truncate=0 if body.truncate else None)
    found = embeddings.vectors_of(body.model, texts, EmbedSettings(reading, body.dimensions))
    took = int((time.monotonic() - began) * _NS)
    return json_response(shapes.OllamaEmbeddings(body.model, tuple(found.numbers()), took, found.tokens))


@blueprint.post("/api/embeddings")
def embed_one() -> Response:
    body = _named(EmbeddingsBody.model_validate(_body()))
    (vector,) = embeddings.vectors_of(body.model, [body.prompt], EmbedSettings(TextReading(truncate=0))).numbers()
    return json_response(shapes.OllamaEmbedding(vector))


# ---- models


@blueprint.get("/api/version")
def version() -> Response:
    return json_response(shapes.OllamaVersion(_API_VERSION, VERSION))


@blueprint.get("/api/tags")
def tags() -> Response:
    return json_response(
        shapes.Models(
            tuple(_entry(card) for card in model_cards.cards() if {"chat", "embeddings"} & {*card.capabilities})
        )
    )


@blueprint.get("/api/ps")
def running() -> Response:
    return json_response(shapes.RunningModels(tuple(_running(c) for c in model_cards.cards() if c.state in _LOADED)))


@blueprint.post("/api/show")
def show() -> Response:
    asked = NamedModel.model_validate(_body())
    entry = service().backends.check_model(_known(asked.model or asked.name or service().settings.default_model))
    card = next(card for card in model_cards.cards() if card.id == entry.name)
    family = _details(card).family
    info = {
        "general.architecture": family,
        "general.basename": card.id,
        "general.parameter_count": card.parameters,
        f"{family}.context_length": card.context_length,
    }
    known = {key: value for key, value in info.items() if value is not None}
    return json_response(shapes.Shown(_details(card), known, _capabilities(card), _modified(card)))


def _entry(card: ModelCard) -> shapes.Model:
    return shapes.Model(card.id, card.id, _modified(card), card.size_bytes or 0, _digest(card), _details(card))


def _running(card: ModelCard) -> shapes.RunningModel:
    """`expires_at`: when nobody asks for it any more; far away for one that stays."""
    left = model_cards.seconds_left(card.id)
    size = card.size_bytes or 0
    return shapes.RunningModel(
        card.id,
        card.id,
        size,
        _digest(card),
        _details(card),
        answers.stamp(time.time() + (_FOR_EVER_S if left is None else left)),
        size if card.state == "gpu" else 0,
        card.context_length or 0,
    )


def _capabilities(card: ModelCard) -> tuple[str, ...]:
    vision = ("vision",) if "vision" in card.capabilities else ()
    vectors = ("embedding",) if card.embeddings is not None or "embeddings" in card.capabilities else ()
    thoughts = ("thinking",) if card.reasoning is not None else ()
    return (*(("completion", "tools") if "chat" in card.capabilities else ()), *vision, *thoughts, *vectors)


def _details(card: ModelCard) -> shapes.Details:
    entry = service().backends.catalog().get(card.id)
    facts = catalog.facts(entry) if entry is not None else catalog.ModelFacts()
    family = facts.family or "unknown"
    size = f"{card.parameters / 1e9:.1f}B" if card.parameters else ""
    return shapes.Details(facts.format, family, (family,), size, facts.quantization)


def _modified(card: ModelCard) -> str:
    entry = service().backends.catalog().get(card.id)
    folder = entry.folder if entry is not None else None
    try:
        return answers.stamp(folder.stat().st_mtime if folder is not None else card.created)
    except OSError:
        return answers.stamp(card.created)


def _digest(card: ModelCard) -> str:
    return hashlib.sha256(f"{card.id} {card.size_bytes}".encode()).hexdigest()


# ---- bodies


def _body(*own: str) -> dict[str, Any]:
    """What is sent; `own` fields are honoured on this route alone."""
    given = json_body(loose=True)
    kept = {name: given.pop(name) for name in own if name in given}
    body = disclosure.settle("ollama", given) | kept
    options = body.get("options")
    if isinstance(options, dict):
        disclosure.note(*(f"options.{name}" for name in sorted(map(str, options)) if name not in Options.model_fields))
    return body


def _named(body: Body) -> Body:
    return body.model_copy(update={"model": _known(body.model)})


def _known(name: str) -> str:
    return translation.model_name(name, service().backends.models)
