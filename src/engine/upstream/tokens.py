"""Text to token ids and back, where the upstream server has a route for it."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from src.engine.upstream import errors
from src.engine.upstream import request as request_body
from src.engine.upstream.client import Client, UpstreamResponse
from src.engine.upstream.dialects import LLAMA_CPP_PYTHON, LLAMA_SERVER, ServerFacts, fit
from src.errors import ContextLengthExceeded, ServiceError, UnsupportedValue
from src.ipc.messages.chat import Detokenized, DetokenizeRequest, GenerateRequest, Tokenized, TokenizeRequest


class _Reply(msgspec.Struct):
    """`prompt` is what llama-server's template makes of messages, and vLLM's text; others say `content`, `text`."""

    tokens: list[int] = []
    max_model_len: int | None = None
    prompt: str = ""
    content: str = ""
    text: str = ""


async def tokenize_or_detokenize(
    message: TokenizeRequest | DetokenizeRequest, client: Client, facts: ServerFacts
) -> Tokenized | Detokenized:
    """The response to either request; raises ServiceError, by name when the server has no such route."""
    if isinstance(message, TokenizeRequest):
        reply = await _tokens(message.request, client, facts)
        return Tokenized(tuple(reply.tokens), reply.max_model_len or facts.context_length)
    return Detokenized(await text_of(message.tokens, client, facts))


async def text_of(ids: tuple[int, ...], client: Client, facts: ServerFacts) -> str:
    """Raises as above."""
    path = facts.dialect.tokens.replace("tokenize", "detokenize")
    reply = await _ask(client, path, {"model": facts.model, "tokens": list(ids)})
    return reply.prompt or reply.content or reply.text


async def prompt_ids(request: GenerateRequest, client: Client, facts: ServerFacts) -> tuple[int, ...]:
    """What it is answered from. Raises as above."""
    given = request.raw_prompt.tokens if request.raw_prompt is not None else ()
    return given or tuple((await _tokens(request, client, facts)).tokens)


async def _tokens(request: GenerateRequest, client: Client, facts: ServerFacts) -> _Reply:
    given = request_body.prompt(fit(replace(request, strict=False), facts)[0], facts.dialect)
    if facts.dialect is LLAMA_SERVER:
        text = given["prompt"] if request.raw_prompt else (await _ask(client, "/apply-template", given)).prompt
        return await _ask(client, "/tokenize", {"content": text, "add_special": True, "parse_special": True})
    if facts.dialect is LLAMA_CPP_PYTHON:
        if request.raw_prompt is None:
            raise UnsupportedValue(
                "This server counts the tokens of a prompt alone, not of messages.", param="messages"
            )
        return await _ask(client, "/extras/tokenize", {"input": given["prompt"]})
    return await _ask(client, "/tokenize", {"model": facts.model, **given})


async def _ask(client: Client, path: str, fields: dict[str, Any]) -> _Reply:
    body = msgspec.json.encode({name: value for name, value in fields.items() if value is not None})
    reply = await client.post(path, body)
    if reply.status != 200:
        raise _refused(reply, path)
    return msgspec.json.decode(reply.body, type=_Reply)


def _refused(reply: UpstreamResponse, path: str) -> ServiceError:
    if reply.status in (404, 405, 501):
        return UnsupportedValue(f"The upstream server has no {path}.", param="model")
    error = errors.from_status(reply.status, reply.body, reply.retry_after)
    return error if not isinstance(error, ContextLengthExceeded) else UnsupportedValue(error.message, param="messages")
