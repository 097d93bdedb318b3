"""What form an answer must have: OpenAI's `response_format`, or what vLLM's and llama.cpp's clients say. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from src.api.openai.schemas import ChatCompletionRequest
from src.errors import InvalidRequest
from src.ipc.messages.chat import AnswerForm

# {} would be any JSON value; json_object promises an object
_ANY_OBJECT = '{"type":"object"}'
# what asks for nothing
_NOTHING: tuple[object, ...] = (None, "", [])
_META = re.compile(r"[\\.+*?()|\[\]{}^$#&\-~/]")

Form = tuple[str, str, Any]  # the field that asks for it, its kind, what it is


def json_schema(body: ChatCompletionRequest) -> str | None:
    """The schema the answer must follow, as text; raises as `_form`."""
    form = _form(body)
    if form is None or form[1] != "json":
        return None
    return form[2] if isinstance(form[2], str) else json.dumps(form[2])


def answer_form(body: ChatCompletionRequest) -> AnswerForm | None:
    """The form of an answer that is no JSON; raises as `_form`."""
    form = _form(body)
    if form is None or form[1] == "json":
        return None
    param, kind, value = form
    if kind == "choice":
        return AnswerForm("regex", "|".join(map(_escaped, value)), param)
    return AnswerForm("regex" if kind == "regex" else "lark", value, param)


def names(body: ChatCompletionRequest) -> dict[str, str]:
    """How errors about a schema name the field that has it (`translation.own_names`)."""
    param = param_of(body)
    return {} if param in (None, "response_format") else {"response_format": str(param)}


def param_of(body: ChatCompletionRequest) -> str | None:
    """The field that asks for a form; raises as `_form`."""
    form = _form(body)
    return None if form is None else form[0]


def _form(body: ChatCompletionRequest) -> Form | None:
    """The one form that is asked for.

    Raises:
        InvalidRequest: for a format without its schema, several forms, or one that cannot be kept with the rest.
    """
    found = list(_asked(body))
    if not found:
        return None
    if len(found) > 1:
        raise InvalidRequest(f"{found[0][0]} and {found[1][0]} exclude each other.", param=found[1][0])
    if body.ignore_eos:
        raise InvalidRequest(f"ignore_eos and {found[0][0]} exclude each other.", param="ignore_eos")
    return found[0]


def _asked(body: ChatCompletionRequest) -> Iterator[Form]:
    wish = body.response_format
    if wish is not None and wish.type != "text":
        yield "response_format", "json", _wished(body)
    for name in ("json", "regex", "choice", "grammar"):
        if (value := getattr(body, f"guided_{name}")) not in _NOTHING:
            yield f"guided_{name}", name, _parsed(value, f"guided_{name}") if name == "json" else value
    if body.grammar:
        yield "grammar", "grammar", body.grammar
    if body.json_schema not in _NOTHING:
        yield "json_schema", "json", _parsed(body.json_schema, "json_schema")
    yield from _structured(body)


def _structured(body: ChatCompletionRequest) -> Iterator[Form]:
    asked = body.structured_outputs
    if asked is None:
        return
    if asked.json_object:
        yield "structured_outputs.json_object", "json", _ANY_OBJECT
    for name in ("json", "regex", "choice", "grammar"):
        if (value := getattr(asked, "json_" if name == "json" else name)) not in _NOTHING:
            param = f"structured_outputs.{name}"
            yield param, name, _parsed(value, param) if name == "json" else value


def _wished(body: ChatCompletionRequest) -> Any:
    wish = body.response_format
    if wish is None or wish.type == "json_object":
        return _ANY_OBJECT
    if wish.json_schema is None:
        raise InvalidRequest("response_format.json_schema is missing.", param="response_format.json_schema")
    return wish.json_schema.schema_ if wish.json_schema.schema_ is not None else {"type": "object"}


def _parsed(value: str | dict[str, Any] | None, param: str) -> Any:
    """A schema, which clients also send as text."""
    if isinstance(value, dict):
        return value
    try:
        found = json.loads(value or "")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidRequest(f"{param} is no JSON schema.", param=param)
    return found


def _escaped(text: str) -> str:
    """A text as a regular expression of Rust's and of Lark's."""
    return _META.sub(r"\\\g<0>", text).replace("\n", r"\n").replace("\r", r"\r").replace("\t", r"\t")
