"""What an engine must be able to do, whatever runs beneath; `load` picks one.

All methods of a `Backend` are called on the engine's owner thread; those of its `Tokenizer` on the tokenizer thread,
`Detokenizer`s on the owner thread again. Only the modules of this package import MLX.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass, field
from typing import Protocol

from src.errors import ModelLoadFailed
from src.gpu import blas
from src.ipc.messages import ChatMessage, DeviceReading, FinishReason, MemoryReading, ModelInfo, Sampling
from src.settings import Settings


@dataclass(frozen=True)
class Token:
    """One new token of one sequence. `finish` marks its last; a `stop` token is the end mark, not text."""

    uid: int
    token: int
    finish: FinishReason | None = None


@dataclass(frozen=True)
class Step:
    """What one step did: new tokens, and how many prompt tokens are left to compute per sequence still in prefill."""

    tokens: list[Token] = field(default_factory=list)
    prefill_left: dict[int, int] = field(default_factory=dict)


class Detokenizer(Protocol):
    """Turns token ids into text as they come; never gives half a character."""

    def add(self, token: int) -> str: ...

    def flush(self) -> str: ...


class Tokenizer(Protocol):
    """Text to token ids and back."""

    def encode_chat(self, messages: Seq[ChatMessage]) -> list[int]:
        """The conversation through the model's chat template, ready for the answer.

        Raises:
            InvalidRequest: when the template refuses the conversation.
        """
        ...

    def detokenizer(self) -> Detokenizer: ...


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
    def end_tokens(self) -> frozenset[int]:
        """Tokens that end an answer."""
        ...

    def insert(self, prompt: list[int], max_tokens: int, sampling: Sampling, prefix: int = 0) -> int:
        """Take a sequence in; its uid. Nothing is computed yet.

        The last `prefix` tokens of the prompt are an answer's beginning; `max_tokens` more may follow.
        """
        ...

    def step(self) -> Step:
        """One decode step for all, and one chunk of prefill."""
        ...

    def remove(self, uids: list[int]) -> None:
        """Forget sequences before their end."""
        ...

    def trim(self) -> None:
        """Give back memory that is only cached."""
        ...

    def memory(self) -> MemoryReading:
        """Safe to call from any thread."""
        ...

    def close(self) -> None: ...


def choose(settings: Settings) -> tuple[str, str]:
    """The engine `INFERENCE_ENGINE` means here, and why."""
    if settings.inference_engine != "auto":
        return settings.inference_engine, "INFERENCE_ENGINE names it"
    return "mlx", "the only engine for models in MLX format"


def load(model: str, settings: Settings) -> Backend:
    """Load a model with the engine of the settings.

    Raises:
        ModelLoadFailed: with a reason that can be shown.
    """
    name, _ = choose(settings)
    if name == "fake":
        from src.engine.backends.fake import FakeBackend  # noqa: PLC0415  # engines are imported only where they run

        return FakeBackend(model, settings)
    try:
        library = blas.preload(settings.blas_library)  # before MLX is imported: the first definition of a symbol wins
    except OSError as error:
        raise ModelLoadFailed(f"BLAS_LIBRARY cannot be loaded: {error}") from None
    from src.engine.backends.lm import load_lm  # noqa: PLC0415

    return load_lm(model, settings, library)
