"""Keys and values in 8 or 4 bits (`KV_BITS`), for every row of a batch.

mlx-lm's `QuantizedKVCache` has no batch. Here a layer's cache is three of mlx-lm's own, of the packed words, their
scales and their biases: what a batch does to rows (join, leave, pad, roll), what prompts share and what memory is
counted works on each of them as on any other. Owner thread, from load on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mlx.core as mx
from loguru import logger
from mlx_lm.models import cache as lm

from src import logs
from src.engine.mlx import kv
from src.settings import EngineSettings

# for more new tokens of a row than these, unpacking what it has costs less than computing with packed words (measured)
_FEW_TOKENS = 4
# what architectures, and MLX for sizes it cannot divide, say of keys and values they cannot use
_COMPLAINTS = (TypeError, ValueError, AttributeError, LookupError)


@dataclass(frozen=True)
class Packing:
    """Bits of a number, and how many numbers along a head share a scale and a bias."""

    bits: int
    group_size: int

    @classmethod
    def of(cls, settings: EngineSettings) -> Packing | None:
        """As the settings say; None when they want none."""
        return None if settings.kv_bits == "off" else cls(int(settings.kv_bits), int(settings.kv_group_size))

    def apply(self, model: Any) -> None:
        """Make the model's caches packed: mlx-lm asks `make_cache` for them."""
        make = getattr(model, "make_cache", lambda: [lm.KVCache() for _ in model.layers])
        model.make_cache = lambda: [self._packed(layer) for layer in make()]

    def _packed(self, layer: Any) -> Any:
        """Sliding windows and recurrent states stay as they are: they do not grow."""
        if type(layer) is lm.KVCache:
            return PackedKV(self, *(lm.KVCache() for _ in range(3)))
        if type(layer) is lm.CacheList:
            return lm.CacheList(*map(self._packed, layer.caches))
        return layer


def pack(model: Any, packing: Packing | None) -> Packing | None:
    """Quantize a model's KV cache, if its attention can use it so; the packing that is in effect."""
    if packing is None:
        return None
    before = kv.measure(model)
    packing.apply(model)
    try:
        after = kv.measure(model)
    except _COMPLAINTS as error:
        del model.make_cache
        why = str(error).partition("\n")[0]
        logs.model.warning("KV_BITS={}: this model's keys and values stay as they are: {}", packing.bits, why)
        return None
    logger.info("KV_BITS={}: {} bytes a token in place of {}", packing.bits, after.token_bytes, before.token_bytes)
    logs.model.warning(
        "KV_BITS={}: a sampled answer depends on what else is computed, and may go on with other words after this"
        " engine's death; at temperature 0 it does not (docs/reliability.md)",
        packing.bits,
    )
    return packing


class PackedKV(lm.CacheList):  # type: ignore[misc]  # mlx-lm has no types
    """One layer's keys and values: words, scales and biases."""

    def __init__(self, packing: Packing, *parts: Any) -> None:
        super().__init__(*parts)
        self.packing = packing
        self._few = True

    @property
    def bits(self) -> int:
        """mlx-lm's attention computes with packed words if a cache has this; there is none when they were unpacked."""
        if not self._few:
            raise AttributeError("bits")
        return self.packing.bits

    @property
    def group_size(self) -> int:
        return self.packing.group_size

    @property
    def offset(self) -> Any:
        return self.caches[0].offset

    def make_mask(self, *args: Any, **options: Any) -> Any:
        return self.caches[0].make_mask(*args, **options)

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[Any, Any]:
        """New tokens see each other packed too, so that a text does not depend on how its prompt was divided."""
        self._few = keys.shape[2] <= _FEW_TOKENS
        parts = zip(self._quantized(keys), self._quantized(values), strict=True)
        for cache, part in zip(self.caches, parts, strict=True):
            cache.update_and_fetch(*part)
            cache.offset = self.offset  # the same number; only the one that is read is ever computed
        return self.keys_and_values()

    def keys_and_values(self) -> tuple[Any, Any]:
        """What attention takes: packed, or plain after many new tokens."""
        keys, values = zip(*(cache.keys_and_values() for cache in self.caches), strict=True)
        return (keys, values) if self._few else (self._plain(keys), self._plain(values))

    @classmethod
    def merge(cls, caches: list[PackedKV]) -> PackedKV:
        parts = zip(*(cache.caches for cache in caches), strict=True)
        return cls(caches[0].packing, *(part[0].merge(list(part)) for part in parts))

    def extract(self, idx: int) -> PackedKV:
        return PackedKV(self.packing, *(cache.extract(idx) for cache in self.caches))

    def _quantized(self, array: mx.array) -> Any:
        return mx.quantize(array, group_size=self.packing.group_size, bits=self.packing.bits)

    def _plain(self, parts: Any) -> mx.array:
        words, scales, biases = parts
        return mx.dequantize(words, scales, biases, self.packing.group_size, self.packing.bits)
