"""Hyper-parameters in a GGUF file's metadata, by the names of its architecture; a missing one is one clear line."""

from __future__ import annotations

from dataclasses import dataclass

from src.engine.mlx.gguf.metadata import Gguf, Value
from src.errors import ModelLoadFailed

_MOST = 1 << 31  # no hyper-parameter is larger


@dataclass(frozen=True)
class HyperParameters:
    """Reads `ARCHITECTURE.KEY`."""

    file: Gguf
    architecture: str

    def integer(self, key: str, default: int | None = None) -> int:
        """A positive one; an array of equal numbers (one a layer) is that number."""
        value = self._value(key, default)
        if isinstance(value, list) and value and all(one == value[0] for one in value):
            value = value[0]
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < _MOST:
            raise self._failure(key, value)
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < float("inf"):
            raise self._failure(key, value)
        return float(value)

    def text(self, key: str, default: str) -> str:
        return str(self._value(key, default))

    def __contains__(self, key: str) -> bool:
        return f"{self.architecture}.{key}" in self.file.metadata

    def _value(self, key: str, default: Value | None) -> Value:
        value = self.file.metadata.get(f"{self.architecture}.{key}", default)
        if value is None:
            raise ModelLoadFailed(f"{self.file.name} lacks {self.architecture}.{key} in its metadata.")
        return value

    def _failure(self, key: str, value: Value) -> ModelLoadFailed:
        shown = f"{value!r:.60}"
        return ModelLoadFailed(f"{self.file.name} has {self.architecture}.{key} = {shown}, which cannot be served.")
