"""From our requests to the bodies of an OpenAI server's. Pure."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from src.documents import kinds
from src.engine.upstream import calls
from src.engine.upstream.dialects import Dialect, ServerFacts, is_resumable
from src.ipc.messages.chat import ChatMessage, GenerateRequest, ImagePart, Sampling, Tool

CHAT = "/v1/chat/completions"
RAW = "/v1/completions"


def path(request: GenerateRequest) -> str:
    return CHAT if request.raw_prompt is None else RAW


def body(request: GenerateRequest, facts: ServerFacts, max_tokens: int | None, *, stream: bool = True) -> bytes:
    """The whole request; `max_tokens` None leaves the length to the server."""
    dialect = facts.dialect
    fields: dict[str, Any] = {
        "model": facts.model,
        **prompt(request, dialect),
        **dialect.always,
        "stream": stream,
        "stream_options": dialect.usage if stream else None,
        "max_tokens": max_tokens,
        **_sampling(request.sampling, dialect),
        **_scores(request, dialect),
        **(dialect.token_ids if is_resumable(request, dialect) else {}),
        "stop": list(request.stop) or None,
        "n": len(request.choices) if len(request.choices) > 1 else None,
        **_form(request, dialect),
        **({} if not request.salt else dialect.apart(request.salt)),
    }
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None})


def prompt(request: GenerateRequest, dialect: Dialect) -> dict[str, Any]:
    """What the answer goes on from: also what its tokens are counted by."""
    raw = request.raw_prompt
    if raw is not None:
        return {"prompt": list(raw.tokens) or raw.text or ""}
    switches = dict(request.template_options)
    if request.thinking is not None:
        switches["enable_thinking"] = request.thinking
    return {
        "messages": [_message(turn) for turn in request.messages],
        **_tools(request, dialect),
        "chat_template_kwargs": switches or None,
        "reasoning_effort": request.reasoning_effort,
        **(dialect.continues if request.continue_final else {}),
    }


def _message(turn: ChatMessage) -> dict[str, Any]:
    called = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in turn.tool_calls
    ]
    fields = {
        "role": turn.role,
        "content": list(map(_part, turn.parts)) or turn.content,
        "name": turn.name,
        "tool_calls": called or None,
        "tool_call_id": turn.tool_call_id,
        "reasoning_content": turn.reasoning,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _part(part: str | ImagePart) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return {"type": "image_url", "image_url": {"url": _url(part.data)}}


def _url(picture: bytes) -> str:
    """A picture as a data: URL: a PDF's page and what was fetched are files."""
    if (kind := kinds.kind(picture[: kinds.HEAD_BYTES])) is not None:
        return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
    text = picture.decode()
    if text[:5].lower() == "data:":
        return f"data:{text[5:]}"
    return f"data:image/png;base64,{text}"  # its first bytes tell the format


def _tools(request: GenerateRequest, dialect: Dialect) -> dict[str, Any]:
    choice = request.tool_choice
    if not request.tools:
        return {}
    tool_choice: Any = choice.mode
    if calls.is_forced(request) and not dialect.forces_tools:
        tool_choice = "none"  # the template still shows them; the answer's form is the call (`_form`)
    elif choice.mode == "named":
        tool_choice = {"type": "function", "function": {"name": choice.name}}
    parallel = None if choice.parallel else False
    return {
        "tools": [_tool(tool) for tool in request.tools],
        "tool_choice": tool_choice,
        "parallel_tool_calls": parallel,
    }


def _tool(tool: Tool) -> dict[str, Any]:
    parameters = msgspec.Raw(tool.parameters.encode())
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description or "", "parameters": parameters},
    }


def _sampling(sampling: Sampling, dialect: Dialect) -> dict[str, Any]:
    greedy = sampling.top_p == 0  # OpenAI's word for the likeliest token alone; some servers refuse it
    return {
        "temperature": 0.0 if greedy else sampling.temperature,
        "top_p": None if greedy else sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "frequency_penalty": sampling.frequency_penalty or None,
        "presence_penalty": sampling.presence_penalty or None,
        **({} if sampling.repetition_penalty is None else {dialect.repetition_penalty: sampling.repetition_penalty}),
        "logit_bias": {str(token): bias for token, bias in sampling.logit_bias.items()} or None,
        "seed": sampling.seed % dialect.seeds if sampling.seeded else None,
        "ignore_eos": sampling.ignore_eos or None,
    }


def _scores(request: GenerateRequest, dialect: Dialect) -> dict[str, Any]:
    asked = request.sampling.logprobs
    if asked is None:
        return {}
    top = max(asked, dialect.least_logprobs)
    return {"logprobs": top} if request.raw_prompt is not None else {"logprobs": True, "top_logprobs": top}


def _form(request: GenerateRequest, dialect: Dialect) -> dict[str, Any]:
    if calls.is_forced(request) and not dialect.forces_tools:
        schema = calls.schema(request)
    elif request.json_schema is not None:
        schema = msgspec.Raw(request.json_schema.encode())
    else:
        return (dialect.form(request.answer_form) if request.answer_form is not None else None) or {}
    if request.raw_prompt is not None and not dialect.raw_schema:
        return {"json_schema": schema}
    if dialect.name == "llama_cpp.server":
        return {"response_format": {"type": "json_object", "schema": schema}}
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}}
