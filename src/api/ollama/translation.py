"""Ollama's requests in chat's words. Pure."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Container
from typing import Any

from src.api.ollama.schemas import ChatRequest, GenerateBody, OllamaMessage, Options
from src.errors import InvalidRequest

# chat's fields under the names they have here, for errors and for what is set aside
NAMES = {
    "max_tokens": "options.num_predict",
    "response_format": "format",
    "reasoning_effort": "think",
    "chat_template_kwargs": "think",
    "repetition_penalty": "options.repeat_penalty",
    **{name: f"options.{name}" for name in ("temperature", "top_p", "top_k", "min_p", "seed", "stop")},
    **{name: f"options.{name}" for name in ("presence_penalty", "frequency_penalty")},
}
_LATEST = ":latest"
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "seed", "stop", "presence_penalty", "frequency_penalty")


def model_name(name: str, known: Container[str]) -> str:
    """A model's name without the tag that Ollama's clients give every name; `known` has those that are served."""
    return name if name in known else name.removesuffix(_LATEST)


def chat(body: ChatRequest) -> dict[str, Any]:
    return {**_common(body), "messages": turns(body.messages), **({"tools": body.tools} if body.tools else {})}


def generate(body: GenerateBody) -> dict[str, Any]:
    """A prompt as a conversation of one turn."""
    if body.raw and (body.images or body.system):
        raise InvalidRequest("raw takes a prompt alone: no system, no images.", param="raw")
    system = [OllamaMessage(role="system", content=body.system)] if body.system else []
    return {
        **_common(body),
        "messages": turns([*system, OllamaMessage(role="user", content=body.prompt, images=body.images)]),
    }


def _common(body: ChatRequest | GenerateBody) -> dict[str, Any]:
    fields = {
        "model": body.model,
        "stream": body.stream,
        "response_format": _format(body.format),
        "logprobs": body.logprobs,
        "top_logprobs": body.top_logprobs or None,
        **_thinking(body.think),
        **_sampling(body.options or Options()),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _format(wish: str | dict[str, Any] | None) -> dict[str, Any] | None:
    if not wish:
        return None
    if wish == "json":
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "format", "schema": wish}}


def _thinking(wish: bool | str | None) -> dict[str, Any]:
    if wish is None:
        return {}
    return {"reasoning_effort": wish} if isinstance(wish, str) else {"chat_template_kwargs": {"enable_thinking": wish}}


def _sampling(options: Options) -> dict[str, Any]:
    """Negative numbers of tokens ask for as many as there is room for, a negative seed for chance."""
    taken = {name: getattr(options, name) for name in _SAMPLING}
    if isinstance(options.stop, list):
        taken["stop"] = options.stop or None
    if options.seed is not None and options.seed < 0:
        taken["seed"] = None
    limit = options.num_predict if options.num_predict is not None and options.num_predict >= 0 else None
    return {**taken, "max_tokens": limit, "repetition_penalty": options.repeat_penalty}


def turns(messages: list[OllamaMessage]) -> list[dict[str, Any]]:
    """Messages as chat's turns. Calls have ids there, and results name their call: here the order, or a name, does."""
    made: list[dict[str, Any]] = []
    open_calls: deque[tuple[str, str]] = deque()  # name, id
    for at, message in enumerate(messages):
        turn: dict[str, Any] = {"role": message.role, "content": _content(message)}
        if message.thinking and message.role == "assistant":
            turn["reasoning_content"] = message.thinking
        if message.tool_calls:
            turn["tool_calls"] = _calls(message, at)
            open_calls.extend((call["function"]["name"], call["id"]) for call in turn["tool_calls"])
        if message.role == "tool":
            turn["tool_call_id"] = message.tool_call_id or _answered(open_calls, message.tool_name)
        made.append(turn)
    return made


def _calls(message: OllamaMessage, at: int) -> list[dict[str, Any]]:
    return [
        {
            "id": call.id or f"call_{at}_{number}",
            "type": "function",
            "function": {"name": call.function.name, "arguments": _arguments(call.function.arguments)},
        }
        for number, call in enumerate(message.tool_calls or ())
    ]


def _arguments(given: dict[str, Any] | str) -> str:
    return given if isinstance(given, str) else json.dumps(given)


def _answered(open_calls: deque[tuple[str, str]], name: str | None) -> str:
    """Which call a result belongs to: the first open one of its name, or the first at all."""
    found = next((call for call in open_calls if call[0] == name), None) or next(iter(open_calls), None)
    if found is None:
        return f"call_{name or 'unknown'}"
    open_calls.remove(found)
    return found[1]


def _content(message: OllamaMessage) -> str | list[dict[str, Any]]:
    if not message.images:
        return message.content
    text = [{"type": "text", "text": message.content}] if message.content else []
    return [*text, *({"type": "image_url", "image_url": {"url": _url(image)}} for image in message.images)]


def _url(image: str) -> str:
    """Plain base64; what kind of picture it is, its first bytes say."""
    return image if image.startswith("data:") else f"data:image/unknown;base64,{image}"
