"""Faults of mlx-vlm's processors and of what they hand to their models, mended here, each with its reason.

`of_processor` at load; `of_inputs` on the owner thread, for each prompt with pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_vlm.models.base import create_attention_mask
from mlx_vlm.models.granite4_vision import language as granite4
from mlx_vlm.models.mllama import language as mllama
from mlx_vlm.models.paligemma import language as paligemma

from src.engine.admission import in_steps

Arrays = dict[str, Any]
_MASKED = -1e8
_ADDED = "deepstack_visual_embeds"
_LOOKED_AT = "cross_attention_mask"
_PIXELS, _CROPS = "pixel_values", "images_spatial_crop"
# what a processor says of each token of the prompt, and whether tokens behind it are as its last one
_OF_TOKENS = {
    "token_type_ids": False,
    "mm_token_type_ids": False,
    "images_seq_mask": False,
    _LOOKED_AT: True,
}
_FOR_TEXTS = ("padding", "padding_side", "truncation", "max_length", "add_special_tokens", "return_mm_token_type_ids")


class PicturesOnly:
    """An image processor of transformers that is not told how to pad texts: it refuses what it does not know.

    LlavaProcessor hands all that it is given to both.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)

    def __call__(self, *images: Any, **options: Any) -> Any:
        return self._processor(*images, **{name: value for name, value in options.items() if name not in _FOR_TEXTS})


def of_processor(processor: Any) -> Any:
    """A processor as it is used here."""
    if type(processor).__name__ == "LlavaProcessor":
        processor.image_processor = PicturesOnly(processor.image_processor)
    return processor


def of_model(model: Any) -> Any:
    """A model whose batches are computed as its rows are."""
    for module in model.modules():
        if (kind := _KINDS.get(type(module))) is not None:
            module.__class__ = kind
    return model


def _whole_prompt(self: Any, inputs: mx.array, inputs_embeds: Any = None, mask: Any = None, cache: Any = None) -> Any:
    """PaliGemma reads its prompt in both directions: it is told no mask at all, and rows of a batch saw the padding of
    the shorter ones."""
    if mask is None and cache and getattr(cache[0], "left_padding", None) is not None and inputs.shape[1] == 1:
        mask = cache[0].make_mask(1, return_array=True)
    return paligemma.GemmaModel.__call__(self, inputs, inputs_embeds, mask, cache)


def _own_places(self: Any, x: mx.array, mask: Any = None, cache: Any = None) -> Any:
    """Llama 3.2 Vision's attention: each row of a batch stands where its own tokens end, not where the longest's do."""
    if cache is None or isinstance(cache.offset, int):
        return mllama.MllamaTextSelfAttention.__call__(self, x, mask, cache)
    queries, keys, values = (_heads(part(x), self.head_dim) for part in (self.q_proj, self.k_proj, self.v_proj))
    placed = self.rope(queries, offset=cache.offset), self.rope(keys, offset=cache.offset)
    kept = cache.update_and_fetch(placed[1], values)
    found = mx.fast.scaled_dot_product_attention(placed[0], *kept, scale=self.scale, mask=mask)
    return self.o_proj(found.transpose(0, 2, 1, 3).reshape(*x.shape[:2], -1))


def _kept_picture(
    self: Any,
    hidden_states: mx.array,
    cross_attention_states: Any = None,
    attention_mask: Any = None,
    cache: Any = None,
) -> Any:
    """Llama 3.2 Vision's look at a picture, whose keys and values it keeps: mlx-vlm's kept none, and every token of an
    answer but the first looked at itself in its place."""
    if (seen := cross_attention_states) is not None:
        if cache is not None and cache.keys is None:
            keys, values = (_heads(part(seen), self.head_dim) for part in (self.k_proj, self.v_proj))
            cache.update_and_fetch(self.k_norm(keys), values)
        return mllama.MllamaTextCrossAttention.__call__(self, hidden_states, seen, attention_mask, cache)
    queries = self.q_norm(_heads(self.q_proj(hidden_states), self.head_dim))
    kept = cache.keys[..., : cache.size(), :], cache.values[..., : cache.size(), :]
    found = mx.fast.scaled_dot_product_attention(queries, *kept, scale=self.scale, mask=attention_mask)
    return self.o_proj(found.transpose(0, 2, 1, 3).reshape(*hidden_states.shape[:2], -1))


def _passed_by(
    self: Any,
    hidden_states: mx.array,
    cross_attention_states: Any = None,
    attention_mask: Any = None,
    full_text_row_masked_out_mask: Any = None,
    cache: Any = None,
) -> Any:
    """The layer around it: rows without a picture pass it by, alone and in a batch."""
    look = mllama.MllamaCrossAttentionDecoderLayer.__call__
    if cross_attention_states is not None:
        given = cross_attention_states, attention_mask, full_text_row_masked_out_mask, cache
        return look(self, hidden_states, *given)
    if cache is None or cache.keys is None:
        return hidden_states
    padding = getattr(cache, "left_padding", mx.zeros(1, mx.int32))
    blind = (padding >= cache.size())[:, None, None]
    columns = mx.arange(cache.size())
    seen = (columns >= padding[:, None])[:, None, None] | blind[:, None]  # a row of nothing would be no number
    return mx.where(blind, hidden_states, look(self, hidden_states, None, seen, None, cache))


def _added_where_shown(
    self: Any,
    inputs: mx.array,
    inputs_embeds: Any = None,
    mask: Any = None,
    cache: Any = None,
    deepstack_visual_embeds: Any = None,
    visual_pos_masks: Any = None,
    **others: Any,
) -> Any:
    """Granite 4 Vision adds what it sees to some layers: mlx-vlm's batch cuts that for a chunk of a prompt, and the
    model cut it again, by a number that a batch has none of."""
    if deepstack_visual_embeds is None:
        return granite4.Granite.__call__(self, inputs, inputs_embeds, mask, cache, **others)
    hidden = inputs_embeds * self.embedding_multiplier
    mask = create_attention_mask(hidden, cache[0]) if mask is None else mask
    for at, (layer, kept) in enumerate(zip(self.layers, cache, strict=True)):
        for number, target in enumerate(self._deepstack_target_layers):
            if at == target:
                hidden = mx.where(visual_pos_masks[..., None], hidden + deepstack_visual_embeds[:, :, number], hidden)
        hidden = layer(hidden, mask, kept)
    return self.norm(hidden)


def _heads(projected: mx.array, size: int) -> mx.array:
    rows, length, _ = projected.shape
    return projected.reshape(rows, length, -1, size).transpose(0, 2, 1, 3)


def _kind(base: Any, call: Callable[..., Any]) -> type:
    return type(f"Mended{base.__name__}", (base,), {"__call__": call})


_KINDS: dict[type, type] = {
    base: _kind(base, call)
    for base, call in (
        (granite4.Granite, _added_where_shown),
        (paligemma.GemmaModel, _whole_prompt),
        (mllama.MllamaTextSelfAttention, _own_places),
        (mllama.MllamaTextCrossAttention, _kept_picture),
        (mllama.MllamaCrossAttentionDecoderLayer, _passed_by),
    )
}


def of_embedded(arrays: Arrays) -> Arrays:
    """What a prompt's pictures became, in a form that chunks and rows of a batch can be cut from."""
    return _rows_first(_only_what_is_seen(arrays))


def _only_what_is_seen(arrays: Arrays) -> Arrays:
    """What Llama 3.2 Vision's decode steps see: without a mask, they looked at tiles that a picture does not fill."""
    states, mask = arrays.get("cross_attention_states"), arrays.get(_LOOKED_AT)
    rows = arrays.get("full_text_row_masked_out_mask")
    if not isinstance(states, mx.array) or not isinstance(mask, mx.array) or not isinstance(rows, mx.array):
        return arrays
    looked_at: Any = mx.any((mask > _MASKED) & (rows > 0), axis=(0, 1, 2)).tolist()
    kept = mx.array([at for at, seen in enumerate(looked_at) if seen], mx.int32)
    return arrays | {"cross_attention_states": states[:, kept], _LOOKED_AT: mask[..., kept]}


def _rows_first(arrays: Arrays) -> Arrays:
    """What Granite 4 Vision adds to layers: mlx-vlm took the layers for rows, and kept the first."""
    seen, shown = arrays.get(_ADDED), arrays.get("visual_pos_masks")
    if not isinstance(seen, mx.array) or not isinstance(shown, mx.array) or seen.shape[1:2] != shown.shape[1:2]:
        return arrays
    return arrays | {_ADDED: mx.moveaxis(seen, 0, 1)[None]}


def kept_tokens(inputs: Arrays, config: Any) -> int:
    """How many tokens take the memory of what Llama 3.2 Vision keeps of the pictures: layers of their own hold it."""
    if inputs.get(_LOOKED_AT) is None:
        return 0
    eyes, text = config.vision_config, config.text_config
    looking, layers = len(text.cross_attention_layers), int(text.num_hidden_layers)
    tiles = int(np.count_nonzero(np.any(np.array(inputs[_LOOKED_AT]), axis=1)))
    tile = int(eyes.image_size // eyes.patch_size) ** 2 + 1
    return ceil(in_steps(tiles * tile) * looking / (layers - looking))


def of_inputs(inputs: Arrays, tokens: int, behind: int) -> Arrays:
    """A processor's inputs for its prompt of `tokens`, with `behind` more behind it: an answer's beginning."""
    for name, as_last in _OF_TOKENS.items():
        if behind and isinstance(found := inputs.get(name), mx.array) and found.shape[1:2] == (tokens,):
            last = found[:, -1:] if as_last else mx.zeros_like(found[:, -1:])
            inputs[name] = mx.concatenate([found, mx.repeat(last, behind, axis=1)], axis=1)
    return _with_all_crops(inputs)


def _with_all_crops(inputs: Arrays) -> Arrays:
    """DeepSeek's models look up crops for as many pictures as there are tiles, beyond the table: whatever memory holds
    there decides how many tiles they see. Zeros end the table."""
    crops, pixels = inputs.get(_CROPS), inputs.get(_PIXELS)
    if isinstance(crops, mx.array) and isinstance(pixels, mx.array) and crops.ndim == pixels.ndim - 2:
        missing = max(0, pixels.shape[1] - crops.shape[1])
        inputs[_CROPS] = mx.pad(crops, [(0, 0), (0, missing), (0, 0)])
    return inputs
