"""The sequences of a request: one, or one per choice (`n`), which share the outcome. Runs on the tokenizer thread."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from src.engine import prompt
from src.engine.backend import Backend, Grammar
from src.engine.sequence import ChoiceGroup, Sequence
from src.errors import InvalidRequest
from src.ipc.messages.chat import (
    Choice,
    Detokenized,
    DetokenizeRequest,
    GenerateRequest,
    Sampling,
    Tokenized,
    TokenizeRequest,
)
from src.settings import EngineSettings

_SPREAD = 0x9E3779B97F4A7C15


def make_sequences(
    request: GenerateRequest,
    backend: Backend,
    settings: EngineSettings,
    clock: Callable[[], float],
    seconds_per_token: float | None,
    grammar: Grammar | None = None,
) -> list[Sequence]:
    """Tokenise once for all choices, and check; raises as `prompt.encode` and `prompt.prepare`."""
    backend.tokenizer.check(request.sampling)
    encoded = prompt.encode(request, backend, clock)
    group = ChoiceGroup(len(request.choices)) if len(request.choices) > 1 else None
    sequences = []
    for choice in request.choices or (None,):
        mine = request if choice is None else request_for_choice(request, choice)
        sequence = prompt.prepare(mine, encoded, backend, settings, seconds_per_token)
        sequence.index, sequence.group = choice.index if choice is not None else 0, group
        sequence.grammar = grammar
        sequences.append(sequence)
    return sequences


def request_for_choice(request: GenerateRequest, choice: Choice) -> GenerateRequest:
    """The request for one of its choices: its own tokens so far, and a seed of its own, so that samples differ."""
    seed = (request.sampling.seed + choice.index * _SPREAD) % (1 << 63)
    return replace(request, choices=(), prefix=choice.prefix, sampling=replace(request.sampling, seed=seed))


def tokenize_or_detokenize(message: TokenizeRequest | DetokenizeRequest, backend: Backend) -> Tokenized | Detokenized:
    """The tokens of a prompt, or the text of tokens; raises as `Tokenizer.encode`."""
    if isinstance(message, TokenizeRequest):
        return Tokenized(tuple(backend.tokenizer.encode(message.request)), backend.info.context_length)
    _check_ids(message.tokens, backend)
    return Detokenized(backend.tokenizer.decode(message.tokens))


def _check_ids(tokens: tuple[int, ...], backend: Backend) -> None:
    try:
        backend.tokenizer.check(Sampling(logit_bias=dict.fromkeys(tokens, 0.0)))
    except InvalidRequest as error:
        raise InvalidRequest(error.message, param="tokens") from None
