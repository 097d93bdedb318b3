"""Trains the demo model: `python -m training.demo.train --out models/new`."""

from __future__ import annotations

import argparse
import itertools
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.gpu import blas

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # each of two streams has a thread: they use two cores better than the BLAS
BLAS = blas.preload()  # before MLX is imported
os.environ.setdefault("MLX_DISABLE_COMPILE", "1")  # as fast as compiled on two cores, and no compiler is needed

import mlx.core as mx  # noqa: E402
import mlx.optimizers as optim  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from mlx import nn  # noqa: E402
from mlx.utils import tree_flatten, tree_map  # noqa: E402
from mlx_lm.models import qwen3  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402
from tqdm import tqdm  # noqa: E402

from training.demo import checkpoint, corpus, swiglu  # noqa: E402
from training.demo.dialogues import SEED  # noqa: E402

SAVE_EVERY_S = 240.0
PLATEAU = 0.6
qwen3.swiglu = swiglu.swiglu


@dataclass(frozen=True)
class Options:
    """What one training run is asked for."""

    out: Path
    steps: int
    minutes: float
    tokens: int
    rate: float
    seed: int
    weights: Path | None


def options() -> Options:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("models/new"))
    parser.add_argument("--steps", type=int, default=11_000)
    parser.add_argument(
        "--minutes", type=float, default=0.0, help="shorten the run to about this; 0: as many steps as asked"
    )
    parser.add_argument("--tokens", type=int, default=1344, help="padded tokens in a batch")
    parser.add_argument("--rate", type=float, default=1.2e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument(
        "--weights", type=Path, help="go on from this model's weights and tokenizer, not from fresh ones"
    )
    return Options(**vars(parser.parse_args()))


def rate_at(step: int, steps: int, peak: float) -> float:
    """Warm-up, a plateau, then down in a straight line: the plateau may be cut to the time there is."""
    warm = min(150, max(1, steps // 10))
    falling = (steps - step) / (steps * (1 - PLATEAU))
    return peak * max(0.01, min(1.0, (step + 1) / warm, falling))


def hidden_states(model: qwen3.Model, ids: mx.array, segments: mx.array) -> mx.array:
    """The last layer's output, where each packed dialogue sees only itself (positions are relative)."""
    places = mx.arange(ids.shape[1])
    same = segments[:, :, None] == segments[:, None, :]
    mask = (same & (places[:, None] >= places[None, :]))[:, None]
    hidden = model.model.embed_tokens(ids)
    for layer in model.model.layers:
        hidden = layer(hidden, mask, None)
    normed: mx.array = model.model.norm(hidden)
    return normed


def loss(model: qwen3.Model, ids: mx.array, segments: mx.array, said: mx.array) -> mx.array:
    """Cross entropy of the answers; `said` are their flat positions, as logits of the rest would be half the work."""
    hidden = hidden_states(model, ids[:, :-1], segments[:, :-1])
    logits = model.model.embed_tokens.as_linear(hidden.reshape(-1, hidden.shape[-1])[said])
    mean: mx.array = nn.losses.cross_entropy(logits, ids[:, 1:].reshape(-1)[said], reduction="mean")
    return mean


def start(opts: Options) -> tuple[qwen3.Model, Any]:
    """The model to train and its tokenizer; all but the weights are written to the folder."""
    mx.random.seed(opts.seed)
    random.seed(opts.seed)
    opts.out.mkdir(parents=True, exist_ok=True)
    model, tokenizer = fresh(opts) if opts.weights is None else trained(opts, opts.weights)
    checkpoint.write_tokenizer(opts.out, tokenizer)
    return model, tokenizer


def trained(opts: Options, weights: Path) -> tuple[qwen3.Model, Any]:
    """One that is trained further: what it is taught may have grown since, its tokenizer stays."""
    tokenizer = Tokenizer.from_file(str(weights / "tokenizer.json"))
    shape = checkpoint.Shape(vocab_size=tokenizer.get_vocab_size())
    model = checkpoint.build_model(checkpoint.write_config(opts.out, shape, tokenizer))
    model.load_weights(str(weights / "model.safetensors"))
    model.set_dtype(mx.float32)
    return model, tokenizer


def fresh(opts: Options) -> tuple[qwen3.Model, Any]:
    """One that knows nothing."""
    tokenizer = checkpoint.build_tokenizer(itertools.islice(corpus.tokenizer_texts(opts.seed), 120_000), 4096)
    shape = checkpoint.Shape(vocab_size=tokenizer.get_vocab_size())
    model = checkpoint.build_model(checkpoint.write_config(opts.out, shape, tokenizer))
    silence_residuals(model)
    return model, tokenizer


def silence_residuals(model: qwen3.Model) -> None:
    """Blocks start by adding nothing: what a token is stays readable, so copying is learned sooner."""
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight = mx.zeros_like(layer.self_attn.o_proj.weight)
        layer.mlp.down_proj.weight = mx.zeros_like(layer.mlp.down_proj.weight)


class Trainer:
    """Optimiser, the losses so far and the clock."""

    def __init__(self, model: qwen3.Model, opts: Options) -> None:
        self.model, self.opts = model, opts
        self.optimizer = optim.AdamW(opts.rate, betas=[0.9, 0.99], eps=1e-6, weight_decay=0.05)
        self.gradient = nn.value_and_grad(model, loss)
        self.streams = (mx.default_stream(mx.default_device()), mx.new_stream(mx.default_device()))
        self.steps = opts.steps
        self.losses: list[float] = []
        self.tokens = 0
        self.started = self.saved = time.monotonic()

    def half_step(self, batch: corpus.Batch) -> Any:
        """Loss and gradients of a part of a batch, still to be computed."""
        said = mx.array(np.flatnonzero(batch.said[:, 1:]))
        return self.gradient(self.model, mx.array(batch.ids), mx.array(batch.segments), said)

    def step(self, batch: corpus.Batch) -> float:
        """One update; each half of the batch is computed by a thread of its own."""
        parts = []
        for stream, half in zip(self.streams, batch.halves(), strict=True):
            with mx.stream(stream):
                parts.append(self.half_step(half))
        mx.eval(parts)
        (value, gradients), (other_value, other) = parts
        gradients = tree_map(lambda one, two: (one + two) / 2, gradients, other)
        gradients, _ = optim.clip_grad_norm(gradients, 1.0)
        self.optimizer.update(self.model, gradients)
        mx.eval(self.model.parameters(), self.optimizer.state)
        self.tokens += batch.ids.size
        self.losses.append(float((value + other_value).item()) / 2)
        return self.losses[-1]

    def seconds(self) -> float:
        """Time since the start."""
        return time.monotonic() - self.started

    def set_rate(self) -> None:
        """The rate of this step; when most of the time is over, the plateau ends here."""
        done = len(self.losses)
        if self.opts.minutes and self.seconds() > self.opts.minutes * 60 * PLATEAU and done < self.steps * PLATEAU:
            self.steps = int(done / PLATEAU)
            print(f"\nshortened: the same as --steps {self.steps}", flush=True)
        self.optimizer.learning_rate = rate_at(done, self.steps, self.opts.rate)

    def save_sometimes(self) -> None:
        """A checkpoint every few minutes, so that a run cut short is not lost."""
        if time.monotonic() - self.saved > SAVE_EVERY_S:
            self.saved = time.monotonic()
            checkpoint.write_weights(self.opts.out, self.model)

    def run(self, tokenizer: Any) -> None:
        """All steps, with a progress bar."""
        batches = corpus.batches(tokenizer, self.opts.tokens, self.opts.seed)
        with tqdm(total=self.steps, mininterval=5.0) as bar:
            while len(self.losses) < self.steps:
                self.set_rate()
                value = self.step(next(batches))
                bar.total = self.steps
                bar.set_postfix_str(f"loss {value:.4f} {self.tokens / self.seconds():.0f} tok/s")
                bar.update()
                self.save_sometimes()


def plot(losses: list[float], path: Path) -> None:
    """The loss of every step and its running mean."""
    figure = Figure(figsize=(5, 3), dpi=80)
    axes = figure.add_subplot()
    width = max(1, len(losses) // 60)
    axes.semilogy(losses, linewidth=0.4, alpha=0.4)
    axes.semilogy(np.convolve(losses, np.ones(width) / width, "valid"), linewidth=1.5)
    axes.set_xlabel("step")
    axes.set_ylabel("loss of the answers")
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    """Train, save, plot."""
    opts = options()
    model, tokenizer = start(opts)
    size = sum(value.size for _, value in tree_flatten(model.parameters()))
    print(f"{size / 1e6:.2f} M parameters, vocabulary {tokenizer.get_vocab_size()}, BLAS {BLAS or 'none'}", flush=True)
    trainer = Trainer(model, opts)
    trainer.run(tokenizer)
    checkpoint.write_weights(opts.out, model)
    print(f"{len(trainer.losses)} steps, {trainer.tokens} tokens, {trainer.seconds() / 60:.1f} min", flush=True)
    plot(trainer.losses, opts.out / "loss.png")


if __name__ == "__main__":
    main()
