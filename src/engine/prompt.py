"""From a request to a sequence: chat template, token ids, the length check. Runs on the tokenizer thread."""

from __future__ import annotations

from collections.abc import Callable

from src.engine.backends import Backend
from src.engine.sequence import Sequence
from src.engine.text import TextStream
from src.errors import ContextLengthExceeded, InvalidRequest
from src.ipc.messages import GenerateRequest
from src.settings import EngineSettings


def prepare(
    request: GenerateRequest, backend: Backend, settings: EngineSettings, clock: Callable[[], float]
) -> Sequence:
    """Tokenise and check.

    Raises:
        InvalidRequest: for a conversation the template refuses or that is empty.
        ContextLengthExceeded: when prompt and answer do not fit the model.
    """
    arrived = clock()
    prompt = backend.tokenizer.encode(request)
    if not prompt:
        raise InvalidRequest("The conversation is empty after the model's chat template.", param="messages")
    max_tokens = answer_budget(len(prompt), request.max_tokens, settings.default_max_tokens, context_length(backend))
    text = TextStream(backend.tokenizer.detokenizer(), request.stop, backend.tokenizer.reader(request, prompt))
    return Sequence(request, prompt, max_tokens, text, arrived, prefill_left=len(prompt))


def context_length(backend: Backend) -> int:
    return backend.info.context_length


def answer_budget(prompt: int, asked: int | None, default: int, context: int) -> int:
    """Tokens the answer may take: what was asked, if it fits; without a wish, the default or what is left.

    Raises:
        ContextLengthExceeded: naming the numbers.
    """
    left = context - prompt
    if left < 1:
        raise ContextLengthExceeded(
            f"The prompt has {prompt} tokens; the model's context is {context}, and an answer needs at least one.",
            param="messages",
        )
    if asked is None:
        return min(default, left)
    if asked > left:
        raise ContextLengthExceeded(
            f"The prompt has {prompt} tokens and max_tokens asks for {asked}; the model's context is {context}.",
            param="max_tokens",
        )
    return asked
