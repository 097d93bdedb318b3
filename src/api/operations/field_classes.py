"""The class of each field in the API's description, from the one table `openai.fields`. Pure; asked by `openapi`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from src.api.anthropic import schemas as schemas_messages
from src.api.ollama import schemas as schemas_ollama
from src.api.openai import (
    fields,
    schemas,
    schemas_completions,
    schemas_embeddings,
    schemas_rerank,
    schemas_responses,
)
from src.api.openai.fields import Field, WireName

CLASS = "x-stoker-class"
ALL = "x-stoker-fields"
ENGINES = "x-stoker-engines"
ABOUT = (
    "Each property of a request has a class (`x-stoker-class`): *honoured*; *translated*, honoured under another name; "
    "*advisory*, set aside and named in `X-Ignored-Fields`, a 400 under STRICT_FIELDS; *refused*, a 400 that names it. "
    "`x-stoker-fields` lists also those inside other properties, `x-stoker-engines` what an engine does otherwise. "
    "Fields that nobody knows are advisory."
)
WIRE_OF: dict[type[BaseModel], WireName] = {
    schemas.ChatCompletionRequest: "chat",
    schemas_completions.CompletionRequest: "completions",
    schemas_responses.ResponsesRequest: "responses",
    schemas_messages.MessagesRequest: "messages",
    schemas_messages.CountRequest: "messages",
    schemas_embeddings.EmbeddingsRequest: "embeddings",
    schemas_rerank.RerankRequest: "rerank",
    schemas_ollama.ChatRequest: "ollama",
    schemas_ollama.GenerateBody: "ollama",
    schemas_ollama.EmbedBody: "ollama",
    schemas_ollama.EmbeddingsBody: "ollama",
}
_SENTENCES = {
    "honoured": "Honoured",
    "translated": "Translated",
    "advisory": "Advisory: set aside and disclosed",
    "refused": "Refused by name",
}


def classify(components: dict[str, dict[str, Any]]) -> None:
    """Give each request's schema the classes of its wire's fields."""
    for model, wire in WIRE_OF.items():
        _classify(components[model.__name__], wire)


def _classify(schema: dict[str, Any], wire: WireName) -> None:
    properties: dict[str, Any] = schema.setdefault("properties", {})
    rows = fields.of_wire(wire)
    for row in rows:
        if row.name in properties or (row.places == (row.name,) and "." not in row.name and _is_set_aside(row)):
            properties[row.name] = _described(properties.get(row.name) or _unread(row), row, wire)
    schema[ALL] = {place: row.kind for row in rows for place in row.places if _is_shown(place, properties)}


def _is_set_aside(row: Field) -> bool:
    return row.kind in ("advisory", "refused")


def _is_shown(place: str, properties: dict[str, Any]) -> bool:
    return place.partition(".")[0].removesuffix("[]") in properties


def _unread(row: Field) -> dict[str, Any]:
    """The schema of a field that no model reads: any value, or none but those that ask for nothing."""
    return {} if row.kind == "advisory" else {"enum": [None, *row.neutral]}


def _described(found: dict[str, Any], row: Field, wire: WireName) -> dict[str, Any]:
    taken = ", ".join(f"`{value}`" for value in row.taken)
    notes = "".join((f"; {row.why}" if row.why else "", f"; {taken}: honoured" if taken else ""))
    text = f"{found['description']} " if found.get("description") else ""
    described = {**found, "description": f"{text}{_SENTENCES[row.kind]}{notes}.", CLASS: row.kind}
    engines = _engines(row.name) if wire == "chat" else {}
    return described | ({ENGINES: engines} if engines else {})


def _engines(name: str) -> dict[str, str]:
    """What engines do otherwise with chat's fields."""
    said = {
        engine: [
            f"{kind} {table[engine][name]}"
            for kind, table in (("refused", fields.REFUSES), ("advisory", fields.SETS_ASIDE))
            if name in table[engine]
        ]
        for engine in fields.REFUSES
    }
    return {engine: "; ".join(parts) for engine, parts in said.items() if parts}
