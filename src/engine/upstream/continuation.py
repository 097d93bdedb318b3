"""Requests that go on at a fresh server behind the tokens they have: what that is asked. For `server`."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from src.engine.upstream import tokens
from src.engine.upstream.client import Client
from src.engine.upstream.dialects import ServerFacts, is_resumable
from src.errors import EngineCrashed
from src.ipc.messages.chat import GenerateRequest, RawPrompt

_LONGEST_CHARACTER = 4  # tokens: a byte each


@dataclass(frozen=True)
class Continuation:
    """What a server is asked: `request` as it came, or the ids of its prompt and of its answer so far.

    `kept` tokens of that answer are in it; of the first `dropped` ones that it makes, the client has the ids already.
    """

    request: GenerateRequest
    prompt_tokens: int = 0
    kept: int = 0
    dropped: int = 0


async def continuation(request: GenerateRequest, client: Client, facts: ServerFacts) -> Continuation:
    """Of a request with a `prefix`. Its `max_tokens` is what is left for the rest.

    Raises:
        ServiceError: the server cannot tokenize it.
        EngineCrashed: the rest would not be the same.
    """
    if not is_resumable(request, facts.dialect):
        text = f"The answer had begun, and the engine ({facts.dialect.name}) cannot go on with it. Send it again."
        raise EngineCrashed(text, retry_after_s=1.0)
    prompt = await tokens.prompt_ids(replace(request, prefix=()), client, facts)
    kept = await _whole_characters(request.prefix, client, facts)
    raw = RawPrompt(tokens=(*prompt, *kept))
    left = _left(request, facts, len(prompt), len(kept))
    asked = replace(request, messages=(), raw_prompt=raw, prefix=(), max_tokens=left, continue_final=False)
    return Continuation(asked, len(prompt), len(kept), len(request.prefix) - len(kept))


def _left(request: GenerateRequest, facts: ServerFacts, prompt: int, kept: int) -> int | None:
    """Tokens; None leaves it to the server."""
    room = [facts.context_length - prompt - kept] if facts.context_length else []
    wanted = [request.max_tokens - kept] if request.max_tokens else []  # 0: a server that does not tell its context
    return min(room + wanted, default=None)


async def _whole_characters(prefix: tuple[int, ...], client: Client, facts: ServerFacts) -> tuple[int, ...]:
    """Without the tokens of a character that is not whole: its text has not been sent."""
    for cut in range(_LONGEST_CHARACTER):
        kept = prefix[: max(0, len(prefix) - cut)]
        if not kept or not (await tokens.text_of(kept, client, facts)).endswith("\ufffd"):
            return kept
    return prefix  # it says U+FFFD
