"""The `mlx` engine for embedding models and rerankers: a `Backend` that makes vectors and generates nothing."""

from __future__ import annotations

from typing import Any, NoReturn

from src.engine.backend import Step
from src.engine.mlx.device import read_memory
from src.engine.mlx.encoders import loading
from src.engine.mlx.encoders.loading import LoadedEncoder
from src.engine.mlx.encoders.passes import Encoder
from src.engine.mlx.weights import clean, give_back
from src.engine.progress import LoadMeter
from src.ipc.messages.status import KvReading, MemoryReading, PrefixReading
from src.settings import Settings


class EncoderBackend:
    """A loaded encoder. Its requests are `EmbedRequest`s; the server refuses all others before they come here."""

    name = "mlx"
    kv_room = None
    scorer = None

    def __init__(self, module: Any, loaded: LoadedEncoder) -> None:
        self._loaded = loaded
        self.info, self.device, self.tokenizer = loaded.info, loaded.device, loaded.tokenizer
        self.embedder: Encoder | None = loaded.checkpoint.build(module)
        self.end_tokens: frozenset[int] = frozenset()

    def cached_prefix_length(self, prompt: list[int], salt: str) -> int | None:
        del prompt, salt
        return None

    def load_prefix(self, prompt: list[int], salt: str, seconds: float) -> bool:
        del prompt, salt, seconds
        return False

    def insert(self, *_: object, **__: object) -> NoReturn:
        raise RuntimeError("an embedding model generates nothing")

    def step(self, prefill: int | None = None) -> Step:
        del prefill
        return Step()

    def remove(self, uids: list[int]) -> None:
        """There are no sequences."""

    def tidy(self) -> None:
        clean()

    def trim(self) -> None:
        clean()

    def to_host(self) -> None:
        """Drop the arrays: their files stay in the system's page cache, from where they come back fast."""
        self.embedder = None
        clean()
        give_back()

    def to_device(self) -> None:
        self.embedder = self._loaded.checkpoint.build(self._loaded.reload())

    def memory(self) -> MemoryReading:
        return read_memory()

    def caches(self) -> tuple[KvReading | None, PrefixReading | None]:
        return None, None

    def close(self) -> None:
        """Nothing is open."""


def load_encoder(model: str, settings: Settings, blas: str | None, progress: LoadMeter) -> EncoderBackend:
    """Load a checkpoint; raises as `loading.load`."""
    return EncoderBackend(*loading.load(model, settings, blas, progress))
