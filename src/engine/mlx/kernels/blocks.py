"""Whole transformer blocks: one product between the attentions of two, so one wait for MLX a layer. Owner thread.

mlx-lm's attention module stays, with its rotation, norms and cache: its queries, keys and values are given to it, and
its output goes on unprojected. For the block classes listed here, of which this is all they do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
from mlx import nn
from mlx_lm.models import llama, qwen2, qwen3

from src.engine.mlx.kernels import products
from src.engine.mlx.kernels.matrices import Matrix, matrix_of, supported
from src.engine.mlx.kernels.modules import Int8Module, run
from src.engine.mlx.kernels.products import Norm, Product
from src.engine.progress import LoadMeter

_BLOCKS = (llama.TransformerBlock, qwen2.TransformerBlock, qwen3.TransformerBlock)
Heads = tuple[Norm, list[Matrix]]
_HEADS, _MLP = ("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj", "down_proj")


class _Given(Int8Module):
    """In the place of a projection that is computed elsewhere."""

    kernel_bytes = kernel_parameters = 0

    def __init__(self) -> None:
        super().__init__()
        self._found: mx.array | None = None

    def give(self, found: mx.array) -> None:
        object.__setattr__(self, "_found", found)  # no parameter of the model

    def __call__(self, x: mx.array) -> mx.array:
        found = self._found
        object.__setattr__(self, "_found", None)
        return x if found is None else found


@dataclass
class _Part:
    """A block's products. `entry`: the first block's queries, keys and values; those of others come before."""

    rest: Product
    entry: Product | None
    following: _Part | None
    ready: tuple[mx.array, list[mx.array]] | None = None

    def heads(self, x: mx.array) -> list[mx.array]:
        if self.entry is not None:
            return run(self.entry, x)
        ready, self.ready = self.ready, None
        if ready is None or ready[0] is not x:
            raise RuntimeError("The input of a block is not the output of the block before it.")
        return ready[1]

    def output(self, attended: mx.array, x: mx.array) -> mx.array:
        out, *heads = run(self.rest, attended, x)
        if self.following is not None:
            self.following.ready = (out, heads)
        return out


class FusedBlock(nn.Module):  # type: ignore[misc]  # MLX's stub says Any
    """Put before the class of a block; `link` makes one of it."""

    part: _Part
    kernel_bytes: int
    kernel_parameters: int

    def __call__(self, x: mx.array, mask: Any = None, cache: Any = None) -> mx.array:
        for name, found in zip(_HEADS, self.part.heads(x), strict=True):
            self.self_attn[name].give(found)
        return self.part.output(self.self_attn(x, mask, cache), x)


def link(blocks: list[Any], progress: LoadMeter) -> int:
    """Fuse the blocks of a model, which follow each other; the number of matrices, 0 where they cannot be."""
    if not fit(blocks):
        return 0
    following: _Part | None = None
    later: Heads | None = None
    for block in reversed(blocks):
        heads = _heads(block)
        entry = products.normed(*heads) if block is blocks[0] else None
        following = _Part(_rest(block, later), entry, following)
        _fuse(block, following)
        later = heads
        progress.step()
    return len(blocks) * (len(_HEADS) + 1 + len(_MLP))


def fit(blocks: list[Any]) -> bool:
    """Whether `link` can fuse them."""
    return all(map(_fits, blocks))


def _fits(block: Any) -> bool:
    if type(block) not in _BLOCKS:
        return False
    layers = [block.self_attn[name] for name in (*_HEADS, "o_proj")] + [block.mlp[name] for name in _MLP]
    return all(isinstance(layer, nn.QuantizedLinear) and supported(layer) for layer in layers)


def _heads(block: Any) -> Heads:
    return _norm(block.input_layernorm), [matrix_of(block.self_attn[name]) for name in _HEADS]


def _norm(module: nn.RMSNorm) -> Norm:
    return Norm(np.array(module.weight.astype(mx.float32)), module.eps)


def _rest(block: Any, later: Heads | None) -> Product:
    output, mlp = matrix_of(block.self_attn.o_proj), [matrix_of(block.mlp[name]) for name in _MLP]
    return products.block(output, _norm(block.post_attention_layernorm), mlp, later)


def _fuse(block: Any, part: _Part) -> None:
    """Take from a block what its products hold."""
    norms = 2 * block.input_layernorm.weight.size
    own = type(block)
    block.__class__ = type(f"Fused{own.__name__}", (FusedBlock, own), {"__module__": own.__module__})
    for name in (*_HEADS, "o_proj"):
        setattr(block.self_attn, name, _Given())
    for name in ("mlp", "input_layernorm", "post_attention_layernorm"):
        block.pop(name)
    made = [product for product in (part.rest, part.entry) if product is not None]
    block.part = part
    block.kernel_bytes = sum(product.nbytes for product in made) + 4 * norms
    block.kernel_parameters = sum(product.parameters for product in made) + norms
