"""Faults of mlx-vlm's processors and of what they hand to their models, mended here, each with its reason.

`of_processor` at load; `of_inputs` on the owner thread, for each prompt with pictures.
"""

from __future__ import annotations

from typing import Any

import mlx.core as mx

Arrays = dict[str, Any]
_PIXELS, _CROPS = "pixel_values", "images_spatial_crop"
# what a processor says of each token of the prompt, and whether tokens behind it are as its last one
_OF_TOKENS = {
    "token_type_ids": False,
    "mm_token_type_ids": False,
    "images_seq_mask": False,
    "cross_attention_mask": True,
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
