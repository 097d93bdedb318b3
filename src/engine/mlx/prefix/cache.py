"""Prefix caching: keys and values of earlier prompts and answers, by their tokens.

Of layers that keep every token (mlx-lm's KVCache) any part can be used again. Of those that keep a window or a running
state (RotatingKVCache, ArraysCache) only what they were at one place can: that is kept where a prompt and an answer
end, and where prompts were seen to part. A model with any other kind of layer has no prefix cache. Owner thread.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import mlx.core as mx
from mlx_lm.models import cache as lm

from src import logs
from src.engine.mlx import device
from src.engine.mlx.kv import leaves
from src.engine.mlx.lm_batches import end_of, set_window
from src.engine.mlx.prefix import blocks
from src.engine.mlx.prefix.blockfile import BLOCK, names
from src.engine.mlx.prefix.disk import Disk
from src.engine.mlx.prefix.radix import Node, RadixTree
from src.ipc.messages.status import PrefixReading

Cache = list[Any]
LEAST = 16  # tokens for which looking up and copying is worth it
_STATES = (lm.RotatingKVCache, lm.ArraysCache)


@dataclass(frozen=True)
class KvSpan:
    """Keys and values of an edge's tokens by layer, and what the other layers were at its end, where that was kept."""

    kv: blocks.Kv
    states: Cache | None = None

    @property
    def nbytes(self) -> int:
        states = sum(state.nbytes for state in self.states or ())
        return sum(keys.nbytes + values.nbytes for keys, values in self.kv) + int(states)


@dataclass(frozen=True)
class Found:
    """A cache for a prompt's first `tokens` tokens. States are worth keeping at `branch_point`."""

    cache: Cache | None
    tokens: int
    branch_point: int


class PrefixCache:
    """One per model. A limit of 0 bytes turns it off. `disk` has what memory does not."""

    def __init__(self, model: Any, limit_bytes: int, disk: Disk | None = None) -> None:
        self._model = model
        self._layers = list(leaves(lm.make_prompt_cache(model)))
        self.on = limit_bytes > 0 and layers_reusable(self._layers)
        if limit_bytes > 0 and not self.on:
            logs.model.warning("prefix cache off: this model's layers cannot share prefixes")
        self._by_state = any(type(layer) is not lm.KVCache for layer in self._layers)
        self._tree: RadixTree[KvSpan] = RadixTree(limit_bytes if self.on else 0, cut)
        self._requests = self._hits = self._tokens = self._saved = self._from_disk = 0
        self._disk = disk if self.on and not self._by_state else None
        if disk is not None and self._disk is None:
            disk.close()
            logs.model.warning(
                "PREFIX_CACHE_DIR: nothing is written; the prefix cache is off, or this model's layers keep a state"
            )

    def cached_prefix_length(self, salt: str, prompt: list[int]) -> int | None:
        """Tokens of a prompt that are cached; the last one is always computed. None when the cache is off.

        Only rank 0 of several asks: it must not change what is evicted.
        """
        return _length(self._usable(salt, prompt, used=False)[0]) if self.on else None

    def find(self, salt: str, prompt: list[int]) -> Found:
        """A cache to begin a prompt with."""
        if not self.on:
            return Found(None, 0, 0)
        path, branch_point = self._usable(salt, prompt)
        tokens = _length(path)
        self._requests += 1
        self._tokens += len(prompt)
        self._hits += tokens > 0
        self._saved += tokens
        return Found(self._assemble(path) if tokens else None, tokens, branch_point if self._by_state else tokens)

    def load_prefix(self, salt: str, prompt: list[int], seconds: float) -> bool:
        """Read what the disk has of a prompt beyond what is known, for so long; whether that was anything.

        One block at least, and then there may be more: ask again. What memory cannot hold beside the cached part
        of the prompt stays on disk: a waiting request would have it read at every turn.
        """
        if self._disk is None:
            return False
        until = time.monotonic() + seconds
        path = self._tree.find(salt, prompt[:-1])
        known = _length(path)
        room = self._tree.limit_bytes - sum(node.nbytes for node, _ in path)
        found: list[tuple[blocks.Kv, int]] = []
        for arrays in self._disk.read(islice(names(salt, prompt[:-1]), known // BLOCK, None)):
            room -= sum(len(each.data) for each in arrays.values())
            if room < 0:
                break
            found.append((blocks.from_bytes(arrays), BLOCK))
            if time.monotonic() >= until:
                break
        first = known - known % BLOCK
        stop = first + len(found) * BLOCK
        if stop > known:
            self._tree.add(salt, prompt[:stop], lambda start: _span(found, start - first, stop - first))
        fetched = max(0, _length(self._tree.find(salt, prompt[:-1])) - known)
        self._from_disk += fetched
        return fetched > 0

    def insert(self, salt: str, tokens: list[int], cache: Cache, row: int, *, end: bool) -> None:
        """Insert what row `row` of a batch's cache holds, which is `tokens`; states only at an `end`."""
        if not self.on or len(tokens) < LEAST or (self._by_state and not end):
            return
        layers = list(leaves(cache))
        kv = [layer for layer in layers if _is_kv(layer)]

        def make(start: int) -> KvSpan:
            span = KvSpan([_tail(layer, row, len(tokens) - start) for layer in kv])
            device.start(span.kv)  # else it would hold the whole batch's memory
            return span

        if not self._by_state:
            self._tree.add(salt, tokens, make, exact=False)
            self._store(salt, tokens, end)
        elif (node := self._tree.add(salt, tokens, make)) is not None and node.span and node.span.states is None:
            states = [_state(layer, row) for layer in layers if not _is_kv(layer)]
            device.start([state.state for state in states])  # as above
            self._tree.replace(node, KvSpan(node.span.kv, states))

    def evict(self) -> None:
        """Memory is short: evict the least recently used half."""
        self._tree.evict(self._tree.nbytes // 2)

    def reading(self) -> PrefixReading | None:
        """What it holds and has saved; None when it is off."""
        if not self.on:
            return None
        tree, disk = self._tree, self._disk
        on_disk = {} if disk is None else {"disk_bytes": disk.nbytes, "disk_limit_bytes": disk.limit_bytes}
        counts = (self._requests, self._hits, self._tokens, self._saved, self._from_disk)
        return PrefixReading(tree.nbytes, tree.limit_bytes, *counts, **on_disk)

    def close(self) -> None:
        """What is on its way to the disk is written, as far as that goes quickly."""
        if self._disk is not None:
            self._disk.close()

    def _store(self, salt: str, tokens: list[int], end: bool) -> None:
        """Have the blocks written that are not on disk yet. What it cannot take now is offered with the next chunk."""
        if self._disk is None:
            return
        known = list(names(salt, tokens))
        missing = [at for at, name in enumerate(known) if not self._disk.has(name)]
        path = self._tree.find(salt, tokens) if missing else []
        pieces = [(node.span.kv, same) for node, same in path if node.span is not None]
        for at in missing:
            block = blocks.between(pieces, at * BLOCK, (at + 1) * BLOCK)
            if block is None or not self._disk.write(known[at], partial(blocks.to_bytes, block)):
                break
        if end:
            self._disk.used(known)

    def _usable(self, salt: str, prompt: list[int], *, used: bool = True) -> tuple[list[tuple[Node[KvSpan], int]], int]:
        """The part of the known path that can be used, and where the known path ends."""
        path = self._tree.find(salt, prompt[:-1], used=used)
        known = _length(path)
        while self._by_state and path and not _has_states(*path[-1]):
            path.pop()
        return (path if _length(path) >= LEAST else []), known

    def _assemble(self, path: list[tuple[Node[KvSpan], int]]) -> Cache:
        """A cache of mlx-lm's own kind. Nothing writes to its arrays: a batch copies them when it takes it in."""
        spans = [(node.span, same) for node, same in path if node.span is not None]
        states = iter(spans[-1][0].states or ())
        found: Cache = []
        at = 0
        for layer in self._layers:
            if _is_kv(layer):
                found.append(_joined([(*span.kv[at], same) for span, same in spans]))
                at += 1
            else:
                found.append(copy.copy(next(states)))
        return _rebuilt(lm.make_prompt_cache(self._model), iter(found))


def _length(path: list[tuple[Node[KvSpan], int]]) -> int:
    """How many tokens a path through the tree has in common with who asked for it."""
    return sum(same for _, same in path)


def _span(pieces: list[tuple[blocks.Kv, int]], start: int, stop: int) -> KvSpan:
    """Of what was read, the tokens from `start` to `stop`."""
    kv = blocks.between(pieces, start, stop)
    if kv is None:
        raise ValueError(f"blocks of the prefix cache do not reach from token {start} to {stop}")
    mx.eval(kv)
    return KvSpan(kv)


def layers_reusable(layers: Cache) -> bool:
    """Whether every layer's cache is of a kind that can be put into a batch with what it holds."""
    return all(type(layer) is lm.KVCache or isinstance(layer, _STATES) for layer in layers)


def cut(span: KvSpan, at: int) -> tuple[KvSpan, KvSpan]:
    """Divide a span after `at` tokens. What the other layers were belongs to its end."""
    left = KvSpan([(_copied(keys[..., :at, :]), _copied(values[..., :at, :])) for keys, values in span.kv])
    right = [(_copied(keys[..., at:, :]), _copied(values[..., at:, :])) for keys, values in span.kv]
    mx.eval(left.kv, right)
    return left, KvSpan(right, span.states)


def _has_states(node: Node[KvSpan], same: int) -> bool:
    return same == len(node.tokens) and node.span is not None and node.span.states is not None


def _is_kv(layer: Any) -> bool:
    return type(layer) in (lm.KVCache, lm.BatchKVCache)


def _copied(array: mx.array) -> mx.array:
    """An array of its own: a slice would hold the memory of the whole."""
    return mx.contiguous(array)


def _tail(layer: Any, row: int, count: int) -> tuple[mx.array, mx.array]:
    """Keys and values of a row's last `count` tokens; rows end together."""
    end = end_of(layer)
    part = (slice(row, row + 1), slice(None), slice(end - count, end))
    return _copied(layer.keys[part]), _copied(layer.values[part])


def _state(layer: Any, row: int) -> Any:
    """What a layer is now, for one row."""
    state = layer.extract(row) if hasattr(layer, "extract") else copy.copy(layer)
    if isinstance(state, lm.ArraysCache):
        state.cache = [None if array is None else _copied(array) for array in state.cache]
    else:
        keys, values = state.keys[..., -state.max_size :, :], state.values[..., -state.max_size :, :]
        set_window(state, _copied(keys), _copied(values))
    return state


def _joined(pieces: list[tuple[mx.array, mx.array, int]]) -> Any:
    """One layer's cache from its pieces, of each the first so many tokens."""
    joined = lm.KVCache()
    joined.keys = mx.concatenate([keys[..., :count, :] for keys, _, count in pieces], axis=2)
    joined.values = mx.concatenate([values[..., :count, :] for _, values, count in pieces], axis=2)
    joined.offset = joined.keys.shape[2]
    return joined


def _rebuilt(cache: Cache, layers: Iterator[Any]) -> Cache:
    """`layers` in the order of `leaves`, in the form of `cache`, which is a new one."""
    for at, layer in enumerate(cache):
        if isinstance(layer, lm.CacheList):
            layer.caches = tuple(_rebuilt(list(layer.caches), layers))
        else:
            cache[at] = next(layers)
    return cache
