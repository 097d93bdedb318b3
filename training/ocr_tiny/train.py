"""Trains `models/ocr-tiny`, a model of GLM-OCR's architecture that reads words of 1 to 8 characters.

`python -m training.ocr_tiny.train [--steps 1400] [--out models/ocr-tiny]`: some 15 minutes on two CPU cores. The
schedule follows steps and the seeds are fixed, so that a second run gives the same model on the same machine.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from src.gpu import blas

blas.preload()  # before MLX is imported

import mlx.core as mx  # noqa: E402  # see above
import numpy as np  # noqa: E402
from mlx import nn, optimizers  # noqa: E402
from mlx_vlm.models.glm_ocr.vision import apply_rotary_pos_emb_vision as rotate  # noqa: E402
from PIL import Image  # noqa: E402
from tqdm import tqdm  # noqa: E402

from training.ocr_tiny import checkpoint, words  # noqa: E402

_BATCH = 48
_RATE = 1.5e-3
_WARM_UP = 50
_GRID = (words.HEIGHT // checkpoint.PATCH, words.WIDTH // checkpoint.PATCH)
_PATCHES = _GRID[0] * _GRID[1]
_IMAGE_TOKENS = _PATCHES // checkpoint.MERGE**2
_ANSWER = words.MAX_LENGTH + 1  # the end counts


class Reader:
    """The model's forward pass for a batch of pictures of one size; `mlx_vlm` has it for one picture only."""

    def __init__(self, tokenizer: Any, config: dict[str, Any], model: Any) -> None:
        self._vision, self._language = model.vision_tower, model.language_model
        self.end = tokenizer.token_to_id("<|endoftext|>")
        before = tokenizer.encode("[gMASK]<sop><|user|><|begin_of_image|>", add_special_tokens=False).ids
        after = tokenizer.encode(f"<|end_of_image|>{checkpoint.PROMPT}<|assistant|>", add_special_tokens=False).ids
        self._before, self._after = mx.array(before), mx.array(after)
        grid = mx.array([[1, *_GRID]])
        tokens = [*before, *[config["image_token_id"]] * _IMAGE_TOKENS, *after, *[0] * (_ANSWER - 1)]
        positions, _ = self._language.get_rope_index(mx.array([tokens]), grid, None, None)
        self._positions = mx.broadcast_to(positions, (3, _BATCH, len(tokens)))
        self._angles = self._vision.rot_pos_emb(grid)[0]
        mx.eval(self._positions, *self._angles)

    def loss(self, patches: mx.array, answer: mx.array, mask: mx.array) -> tuple[mx.array, mx.array]:
        """Of the answer, and of each image token naming its glyph: without that, nothing is learned in minutes."""
        seen = self._see(patches)
        logits = self._language.lm_head(self._read(seen, answer))
        of_answer = (nn.losses.cross_entropy(logits, answer) * mask).sum() / mask.sum()
        named = self._language.lm_head(self._language.model.norm(seen))
        of_glyphs = nn.losses.cross_entropy(named, answer[:, :_IMAGE_TOKENS]).mean()
        right = ((mx.argmax(logits, -1) == answer) * mask).sum() / mask.sum()
        return of_answer + of_glyphs, right

    def _read(self, seen: mx.array, answer: mx.array) -> mx.array:
        parts = [self._embed(self._before), seen, self._embed(self._after)]
        parts.append(self._language.model.embed_tokens(answer[:, :-1]))
        start = len(self._before) + _IMAGE_TOKENS + len(self._after) - 1
        hidden = self._language.model(
            None, inputs_embeds=mx.concatenate(parts, axis=1), position_ids=self._positions, mask="causal"
        )
        answered: mx.array = hidden[:, start:]
        return answered

    def _embed(self, tokens: mx.array) -> mx.array:
        embedded = self._language.model.embed_tokens(tokens)[None]
        return mx.broadcast_to(embedded, (_BATCH, *embedded.shape[1:]))

    def _see(self, patches: mx.array) -> mx.array:
        tower = self._vision
        weight = tower.patch_embed.proj.weight
        x = patches @ weight.reshape(weight.shape[0], -1).T + tower.patch_embed.proj.bias
        for block in tower.blocks:
            x = x + self._attend(block.attn, block.norm1(x))
            x = x + block.mlp(block.norm2(x))
        down = tower.downsample.weight
        x = tower.post_layernorm(x).reshape(_BATCH, _IMAGE_TOKENS, -1)
        merged: mx.array = tower.merger(x @ down.reshape(down.shape[0], -1).T + tower.downsample.bias)
        return merged

    def _attend(self, attention: Any, x: mx.array) -> mx.array:
        joined = attention.qkv(x).reshape(_BATCH, _PATCHES, 3, attention.num_heads, -1)
        query, key, value = (part.squeeze(2) for part in mx.split(joined, 3, axis=2))
        query, key = rotate(attention.q_norm(query), attention.k_norm(key), *self._angles)
        mixed = mx.fast.scaled_dot_product_attention(
            *(part.swapaxes(1, 2) for part in (query, key, value)), scale=attention.scale
        )
        projected: mx.array = attention.proj(mixed.swapaxes(1, 2).reshape(_BATCH, _PATCHES, -1))
        return projected


def patches(pictures: tuple[Image.Image, ...]) -> mx.array:
    """Pixels in the order GLM's processor emits them, but channels last in each patch."""
    rows, columns = _GRID
    size, merge = checkpoint.PATCH, checkpoint.MERGE
    pixels = (np.stack([np.asarray(picture, np.float32) for picture in pictures]) / 255 - 0.5) / 0.5
    tiles = pixels.reshape(_BATCH, rows // merge, merge, size, columns // merge, merge, size)
    flat = tiles.transpose(0, 1, 4, 2, 5, 3, 6).reshape(_BATCH, _PATCHES, size, size, 1)
    return mx.array(np.broadcast_to(flat, (*flat.shape[:-1], 3)).reshape(_BATCH, _PATCHES, -1).astype(np.float32))


def targets(texts: tuple[str, ...], tokenizer: Any, end: int) -> tuple[mx.array, mx.array]:
    """Token ids of the answers, and which of them count."""
    answer = np.full((_BATCH, _ANSWER), end)
    mask = np.zeros((_BATCH, _ANSWER), np.float32)
    for row, text in enumerate(texts):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        answer[row, : len(ids)] = ids
        mask[row, : len(ids) + 1] = 1
    return mx.array(answer), mx.array(mask)


def rate(step: int, steps: int) -> float:
    """Warm up, hold for half the steps, then fall to 3 %."""
    done = step / steps
    return _RATE * min(1.0, (step + 1) / _WARM_UP) * (1.0 if done < 0.5 else max(0.03, 2 * (1 - done)))


def train(folder: Path, steps: int) -> None:
    mx.random.seed(0)
    dice = np.random.default_rng(1234)
    tokenizer, config, model = checkpoint.write(folder)
    reader = Reader(tokenizer, config, model)
    optimizer = optimizers.AdamW(learning_rate=_RATE, weight_decay=0.01, betas=[0.9, 0.98])
    gradients = nn.value_and_grad(model, reader.loss)
    with tqdm(range(steps), mininterval=5.0) as bar:
        for step in bar:
            optimizer.learning_rate = rate(step, steps)
            texts, pictures = zip(*(words.sample(dice) for _ in range(_BATCH)), strict=True)
            (loss, right), slope = gradients(patches(pictures), *targets(texts, tokenizer, reader.end))
            optimizer.update(model, optimizers.clip_grad_norm(slope, 1.0)[0])
            mx.eval(loss, right, model.state, optimizer.state)
            bar.set_postfix_str(f"loss {loss.item():.3f}, tokens right {right.item():.3f}")
            if step % 50 == 49:
                checkpoint.save(folder, model)
    print(f"{checkpoint.save(folder, model)} parameters, {steps * _BATCH} pictures seen")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1400)
    parser.add_argument("--out", type=Path, default=Path("models/ocr-tiny"))
    options = parser.parse_args()
    train(options.out, options.steps)
