"""What an engine must be able to do, whatever runs beneath: `loading` picks one, the scheduler drives it.

All methods of a `Backend` are called on the engine's owner thread; those of its `Tokenizer` on the tokenizer thread,
`Detokenizer`s on the owner thread again. Protocols and data only.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from src.ipc.messages.chat import (
    CallDelta,
    ChatMessage,
    EmbedRequest,
    FinishReason,
    GenerateRequest,
    PredictionUsage,
    RawPrompt,
    Sampling,
    TokenLogprob,
)
from src.ipc.messages.status import (
    DeviceReading,
    KvReading,
    MemoryReading,
    ModelInfo,
    PrefixReading,
    SpeculationReading,
)


class Token(msgspec.Struct, frozen=True):
    """One new token of one sequence. `finish` marks its last; a `stop` token is the end mark, not text."""

    uid: int
    token: int
    finish: FinishReason | None = None
    logprob: TokenLogprob | None = None


@dataclass(frozen=True)
class Step:
    """What one step did: new tokens, and how many prompt tokens are left to compute per sequence still in prefill.

    `failed` sequences cannot go on, for a reason of their own; the backend has forgotten them. `times`: seconds by what
    they were spent on (`step_times.PHASES`). `speculation`: what was guessed; None when nothing is. `predictions`: how
    much of that is from requests' predictions, by sequence.
    """

    tokens: list[Token] = field(default_factory=list)
    prefill_left: dict[int, int] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    speculation: SpeculationReading | None = None
    predictions: dict[int, PredictionUsage] = field(default_factory=dict)


@dataclass(frozen=True)
class KvRoom:
    """Memory for keys and values: of all sequences together, of one token of one sequence, of a sequence besides."""

    limit_bytes: int
    token_bytes: int
    row_bytes: int = 0


@dataclass(frozen=True)
class Pieces:
    """What new text turned out to be: the answer's, its thinking's, or pieces of tool calls."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[CallDelta, ...] = ()

    def __add__(self, other: Pieces) -> Pieces:
        return Pieces(self.text + other.text, self.reasoning + other.reasoning, self.calls + other.calls)


class OutputParser(Protocol):
    """Sorts an answer's text as it comes; of one answer, and replayed with it."""

    @property
    def called(self) -> bool:
        """Whether a tool was called."""
        ...

    def push(self, text: str) -> Pieces: ...

    def flush(self) -> Pieces:
        """The answer is over: what was held back."""
        ...


class Grammar(Protocol):
    """What an answer must follow; only the backend that compiled it can use it."""

    def start(self, prompt: Seq[int], prefix: int = 0) -> object:
        """For one answer, behind the tokens it already has: the last `prefix` of the prompt."""
        ...


class Detokenizer(Protocol):
    """Turns token ids into text as they come; never gives half a character."""

    def add(self, token: int) -> str: ...

    def flush(self) -> str: ...


class PromptMedia(Protocol):
    """What of a request is no text, as its backend takes it."""

    @property
    def kept_tokens(self) -> int:
        """How many tokens take the memory that it does beside its prompt's."""
        ...


class Tokenizer(Protocol):
    """Text to token ids and back."""

    def encode_chat(self, messages: Seq[ChatMessage]) -> list[int]:
        """The conversation through the model's chat template, ready for the answer.

        Raises:
            InvalidRequest: when the template refuses the conversation.
        """
        ...

    def encode(self, request: GenerateRequest) -> list[int]:
        """A request's prompt: its conversation with its tools, or its raw prompt; raises as `encode_chat`."""
        ...

    def encode_text(self, text: str) -> list[int]:
        """Text that may stand in an answer, as the token ids that it would have there."""
        ...

    def text(self, request: GenerateRequest) -> str:
        """The text that `encode` makes token ids of; raises as it."""
        ...

    def count(self, text: str) -> int:
        """Tokens of a text, or of a piece of one."""
        ...

    @property
    def longest(self) -> int:
        """Bytes of the longest vocabulary entry. The first call may take long."""
        ...

    def set_aside(self, request: GenerateRequest, prompt: list[int]) -> tuple[str, ...]:
        """Fields of a request that was encoded which this model has no use for, by chat's names."""
        ...

    def media(self, request: GenerateRequest) -> PromptMedia | None:
        """What of the request that was just encoded is no text, as the backend takes it."""
        ...

    def decode(self, tokens: Seq[int]) -> str:
        """The text of tokens, their marks included."""
        ...

    def detokenizer(self, *, continues: bool = False) -> Detokenizer:
        """Of a new text; of one that goes on with another, whose first space stands between them."""
        ...

    def reader(self, request: GenerateRequest, prompt: list[int]) -> OutputParser | None:
        """What sorts the answer's text; None when all of it is the answer."""
        ...

    def grammar(self, request: GenerateRequest) -> Grammar | None:
        """What the answer must follow, compiled; may take long, called on a thread of its own.

        Raises:
            InvalidRequest: for a schema that cannot be followed.
        """
        ...

    def check(self, sampling: Sampling) -> None:
        """Raise `InvalidRequest` for a token id that is none of this vocabulary's."""
        ...


@runtime_checkable
class TextReader(Protocol):
    """What the `Tokenizer` of an embedding model or a reranker is besides."""

    def read(self, raw: RawPrompt, request: EmbedRequest, index: int) -> list[int]:
        """The token ids of one of a request's texts, with its prompt or its query, cut where the request asks for it.

        Raises:
            InvalidRequest: for ids that are none, or a prompt that the model does not have.
        """
        ...


@runtime_checkable
class Pass(Protocol):
    """Some texts on their way through the model, as many columns of their tokens at a time as are asked for."""

    @property
    def left(self) -> int:
        """Columns that are still to be computed."""
        ...

    def compute(self, columns: int) -> None: ...

    def vectors(self) -> NDArray[np.float32]:
        """A row for each text, of any length, when nothing is left."""
        ...


class Embedder(Protocol):
    """Makes vectors of texts."""

    @property
    def size(self) -> int:
        """How many numbers a vector has."""
        ...

    def begin(self, texts: Seq[Seq[int]]) -> Pass:
        """A pass over these texts, none empty. Nothing is computed yet."""
        ...


@dataclass(frozen=True)
class TextScores:
    """A text's tokens and their log-probabilities, as a `Scored` has them."""

    tokens: tuple[TokenLogprob, ...]
    following: TokenLogprob | None = None
    ends: bool = False


class ScorePass(Protocol):
    """As a `Pass`, but for the log-probabilities of the texts' own tokens."""

    @property
    def left(self) -> int: ...

    def compute(self, columns: int) -> None: ...

    def scores(self) -> list[TextScores]:
        """Of each text, when nothing is left."""
        ...


class Scorer(Protocol):
    """Tells how likely texts are. No prefix cache is used, and nothing is guessed: every token is computed."""

    def begin(self, texts: Seq[Seq[int]], top: int) -> ScorePass:
        """A pass over these texts, none empty, with `top` alternatives for each token. Nothing is computed yet."""
        ...


class Backend(Protocol):
    """A loaded model that computes many sequences together."""

    @property
    def name(self) -> str: ...

    @property
    def info(self) -> ModelInfo: ...

    @property
    def device(self) -> DeviceReading: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def embedder(self) -> Embedder | None:
        """None when this model makes no embeddings."""
        ...

    @property
    def scorer(self) -> Scorer | None:
        """None when this model does not tell the log-probabilities of a prompt."""
        ...

    @property
    def end_tokens(self) -> frozenset[int]:
        """Tokens that end an answer."""
        ...

    @property
    def kv_room(self) -> KvRoom | None:
        """None when it is unknown, or unlimited."""
        ...

    def cached_prefix_length(self, prompt: list[int], salt: str) -> int | None:
        """Tokens of this prompt whose KV cache is there already; None when there is no prefix cache."""
        ...

    def load_prefix(self, prompt: list[int], salt: str, seconds: float) -> bool:
        """Load more of this prompt's prefix from disk, for about so long; False when there is no more."""
        ...

    def insert(
        self,
        prompt: list[int],
        max_tokens: int,
        sampling: Sampling,
        prefix: int = 0,
        grammar: Grammar | None = None,
        salt: str = "",
        media: object | None = None,
        prediction: Seq[int] = (),
    ) -> int:
        """Add a sequence; its uid. Nothing is computed yet.

        The last `prefix` tokens of the prompt are an answer's beginning; `max_tokens` more may follow. The prefix
        cache of the same `salt` is used. `media`: its pictures, from `Tokenizer.media`. `prediction`: tokens that its
        answer may have, where `ModelInfo.uses_predictions`.
        """
        ...

    def step(self, prefill: int | None = None) -> Step:
        """One decode step for all, and one chunk of `prefill` prompt tokens (PREFILL_STEP_SIZE), padding included.

        A sequence gets a token, or several where they were guessed.
        """
        ...

    def remove(self, uids: list[int]) -> None:
        """Remove sequences before their end; those that have finished are removed already."""
        ...

    def tidy(self) -> None:
        """Free memory that nothing refers to any more."""
        ...

    def trim(self) -> None:
        """As `tidy`, and evict half of the prefix cache."""
        ...

    def to_host(self) -> None:
        """Free the device; nothing is being computed. The weights' files stay warm in the host's memory."""
        ...

    def to_device(self) -> None:
        """Come back from the host."""
        ...

    def memory(self) -> MemoryReading:
        """Safe to call from any thread."""
        ...

    def caches(self) -> tuple[KvReading | None, PrefixReading | None]:
        """Safe to call from any thread."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class PictureReader(Protocol):
    """What the `Backend` of a vision model is besides."""

    def picture_sample(self) -> tuple[list[int], object | None]:
        """A prompt with a picture, and its media.

        Raises:
            ModelLoadFailed: when the model's own template or processor refuses a plain picture.
        """
        ...


def has_formed_tools(request: GenerateRequest) -> bool:
    """Whether the model may call a tool whose input has a form of its own, or must keep to its schema."""
    formed = any(tool.input_format is not None or tool.strict for tool in request.tools)
    return request.tool_choice.mode == "auto" and formed


# what is set aside where a chosen call cannot be held to the form of its tool's input
INPUT_FORM = "tools.format"


def chooses_formed_inputs(request: GenerateRequest) -> bool:
    """Whether the model may call a tool whose input has a form of its own."""
    return request.tool_choice.mode == "auto" and any(tool.input_format is not None for tool in request.tools)


def has_form(request: GenerateRequest) -> bool:
    """Whether the answer itself must have a form."""
    return request.json_schema is not None or request.answer_form is not None


def is_constrained(request: GenerateRequest) -> bool:
    """Whether the answer must have a form: a grammar has to be compiled before it can begin."""
    return has_form(request) or request.tool_choice.mode in ("required", "named")
