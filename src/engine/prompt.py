"""From a request to its sequences: chat template, token ids, length checks, time budget; one sequence for each choice
(`n`). Runs on the tokenizer thread; what needs no model (`TextBound`) also before it, and in engines over a server.

A token stands for no more bytes than the longest vocabulary entry, so a longer text is refused unread. What may fit is
counted piece by piece until it is clear that it does not: encoding is never much more work than a full context is. The
choices of a request share one `Prompt`. A resumed answer is replayed: its tokens go behind the prompt, and its text
stream is brought to where it was.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

from msgspec.structs import replace

from src.engine.backend import Backend, Grammar, PromptMedia
from src.engine.deadlines import budget
from src.engine.sequence import ChoiceGroup, Sequence
from src.engine.text import TextStream
from src.errors import ContextLengthExceeded, InvalidRequest, UnsupportedValue
from src.ipc.messages.chat import (
    ChatMessage,
    Choice,
    Detokenized,
    DetokenizeRequest,
    FinishReason,
    GenerateRequest,
    PredictionUsage,
    Sampling,
    Tokenized,
    TokenizeRequest,
)
from src.settings import EngineSettings

# texts of fewer bytes a token are encoded at once; most are
_USUAL_TOKEN_BYTES = 4
# a piece is one turn of the tokenizer thread: tens of milliseconds
_PIECE_CHARS = 1 << 16
# pieces have a few more tokens than the text they are cut from
_CERTAIN = 2


@dataclass(frozen=True)
class TextBound:
    """`context` in tokens; `longest` is the bytes of the longest vocabulary entry."""

    context: int
    longest: int

    def check_bytes(self, size: int, param: str) -> None:
        """Raises ContextLengthExceeded for a text that cannot fit, whatever it says."""
        if size > self.context * self.longest:
            raise ContextLengthExceeded(
                f"The text has {size} bytes; the model's context is {self.context} tokens of at most {self.longest} "
                f"bytes each, {self.context * self.longest} bytes together.",
                param=param,
            )

    def check_tokens(self, count: int, size: int, param: str) -> None:
        """Raises ContextLengthExceeded once pieces of a text of `size` bytes have more tokens than could fit."""
        if count > _CERTAIN * self.context:
            text = f"The text has {size} bytes, the first of them more than {_CERTAIN * self.context} tokens"
            raise ContextLengthExceeded(f"{text}; the model's context is {self.context}.", param=param)


def is_long(size: int, context: int) -> bool:
    """Whether a text of that many bytes is to be checked before it is encoded."""
    return size > context * _USUAL_TOKEN_BYTES


def check_ids(count: int, context: int) -> None:
    """Raises ContextLengthExceeded for more token ids, to be made text, than the model can hold."""
    if count > context:
        raise ContextLengthExceeded(f"tokens has {count} ids; the model's context is {context}.", param="tokens")


def param_of(request: GenerateRequest) -> str:
    """The field that holds a request's text."""
    return "messages" if request.raw_prompt is None else "prompt"


def text_pieces(text: str) -> Iterator[str]:
    """A text cut for counting."""
    return (text[at : at + _PIECE_CHARS] for at in range(0, len(text), _PIECE_CHARS))


def text_size(text: str) -> int:
    """Its bytes; without a copy for a text that is ASCII."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def request_size(request: GenerateRequest) -> int:
    """Bytes of all text that a request may put into its prompt, pictures apart."""
    if request.raw_prompt is not None:
        return text_size(request.raw_prompt.text or "") + text_size(request.raw_prompt.suffix)
    tools = ((tool.name, tool.description or "", tool.parameters) for tool in request.tools)
    return sum(map(text_size, chain(*map(_texts, request.messages), *tools)))


def _texts(message: ChatMessage) -> Iterator[str]:
    yield message.content
    yield message.reasoning or ""
    for call in message.tool_calls:
        yield call.name
        yield call.arguments


@dataclass(frozen=True)
class Prompt:
    """A request's token ids, and what of it is no text. `prediction`: None where no drafts come from one."""

    tokens: list[int]
    media: PromptMedia | None
    arrived: float
    prediction: list[int] | None = None


def encode(request: GenerateRequest, backend: Backend, clock: Callable[[], float]) -> Prompt:
    """Raises InvalidRequest for a conversation that the template refuses, or that is empty."""
    arrived = clock()
    tokens = backend.tokenizer.encode(request)
    if not tokens:
        raise InvalidRequest("The prompt is empty: it has no tokens.", param="messages")
    return Prompt(tokens, backend.tokenizer.media(request), arrived)


def drafts_from_prediction(request: GenerateRequest, backend: Backend, grammar: Grammar | None) -> bool:
    """Whether a request's prediction is of use: its answer is decoded with drafts, and they may come from there."""
    asked = request.sampling
    penalised = asked.frequency_penalty or asked.presence_penalty or asked.repetition_penalty not in (None, 1.0)
    drafted = not penalised and asked.logprobs is None and grammar is None
    return bool(request.prediction) and backend.info.uses_predictions and drafted


def encode_prediction(request: GenerateRequest, backend: Backend, grammar: Grammar | None) -> list[int] | None:
    """None where it is of no use. Raises ContextLengthExceeded for one that no answer could be."""
    if not drafts_from_prediction(request, backend, grammar):
        return None
    tokens, context = backend.tokenizer.encode_text(request.prediction), backend.info.context_length
    if len(tokens) > context:
        text = f"The prediction has {len(tokens)} tokens; the model's context is {context}."
        raise ContextLengthExceeded(text, param="prediction")
    return tokens


def prepare(
    request: GenerateRequest,
    prompt: Prompt,
    backend: Backend,
    settings: EngineSettings,
    seconds_per_token: float | None,
) -> Sequence:
    """The sequence of one answer; `seconds_per_token` as measured on this engine.

    Raises:
        ContextLengthExceeded: when prompt and answer do not fit the model.
    """
    context = backend.info.context_length
    asked, strict = request.max_tokens, request.strict
    max_tokens = answer_budget(len(prompt.tokens), asked, settings.default_max_tokens, context, strict=strict)
    reader = backend.tokenizer.reader(request, prompt.tokens)
    continues = request.continue_final or request.raw_prompt is not None
    text = TextStream(backend.tokenizer.detokenizer(continues=continues), request.stop, reader)
    whole = [*prompt.tokens, *request.prefix] if request.prefix else prompt.tokens
    return Sequence(
        request,
        whole,
        max_tokens,
        text,
        prompt.arrived,
        budget(request, max_tokens, settings, seconds_per_token),
        finished_on_replay=replay(request.prefix, text, max_tokens, backend.end_tokens),
        prefill_left=len(whole),
        completion_tokens=len(request.prefix),
        media=prompt.media,
        set_aside=_set_aside(request, prompt, backend, cut=asked is not None and max_tokens < asked),
        # of a longer one no more is kept than its place in memory is counted for
        prediction=(prompt.prediction or [])[: len(prompt.tokens) + max_tokens],
        predicted=None if prompt.prediction is None else PredictionUsage(),
    )


def _set_aside(request: GenerateRequest, prompt: Prompt, backend: Backend, *, cut: bool) -> tuple[str, ...]:
    """What the answer is made without; raises UnsupportedValue where nothing may be."""
    own = (("max_tokens", cut), ("prediction", bool(request.prediction) and prompt.prediction is None))
    names = (*backend.tokenizer.set_aside(request, prompt.tokens), *(name for name, aside in own if aside))
    if names and request.strict:
        raise UnsupportedValue("This model has no use for this field (STRICT_FIELDS).", param=names[0])
    return names


def replay(prefix: tuple[int, ...], text: TextStream, max_tokens: int, ends: frozenset[int]) -> FinishReason | None:
    """Bring `text` to where it was after `prefix`; the outcome, if only that was lost in the crash."""
    for token in prefix:
        if token in ends:
            return "stop"
        text.push(token)
    if text.stopped:
        return "stop"
    return "length" if len(prefix) >= max_tokens else None


def answer_budget(prompt: int, asked: int | None, default: int, context: int, *, strict: bool = False) -> int:
    """Tokens the answer may take: what was asked (or the default; 0 is all), but no more than the context has left.

    Raises:
        ContextLengthExceeded: naming the numbers; `strict`: also where an asked length would have to be cut.
    """
    left = context - prompt
    if left < 1:
        raise ContextLengthExceeded(
            f"The prompt has {prompt} tokens; the model's context is {context}, and an answer needs at least one.",
            param="messages",
        )
    if asked is not None and asked > left and strict:
        raise ContextLengthExceeded(
            f"The prompt has {prompt} tokens and max_tokens asks for {asked}; the model's context is {context}.",
            param="max_tokens",
        )
    return min((default or left) if asked is None else asked, left)


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
    encoded = encode(request, backend, clock)
    encoded = dataclasses.replace(encoded, prediction=encode_prediction(request, backend, grammar))
    group = ChoiceGroup(len(request.choices)) if len(request.choices) > 1 else None
    sequences = []
    for choice in request.choices or (None,):
        mine = request if choice is None else request_for_choice(request, choice)
        sequence = prepare(mine, encoded, backend, settings, seconds_per_token)
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
