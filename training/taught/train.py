"""Trains a tiny model for each of four families' forms: `python -m training.taught.train [--out DIR] [NAME…]`.

Some minutes each on one CPU core; seeds are fixed, so that a second run gives the same models on the same machine. What
is there already is kept. `make test-taught` has them make real calls.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from pathlib import Path
from typing import Any

from src.gpu import blas

blas.preload()  # before MLX is imported
os.environ.setdefault("MLX_DISABLE_COMPILE", "1")  # as fast as compiled, and no compiler is needed

import mlx.core as mx  # noqa: E402  # see above
import numpy as np  # noqa: E402
from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: E402
from mlx import nn, optimizers  # noqa: E402
from mlx_lm.models import qwen3  # noqa: E402
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: E402

from training.demo.checkpoint import Shape, build_model, write_weights  # noqa: E402
from training.taught.forms import FORMS, Form  # noqa: E402
from training.taught.lessons import TOOLS, Turn, lesson  # noqa: E402

_SHAPE = {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 192, "head_dim": 16}
_PAD = "<|pad|>"
_BATCH = 16
_RATE = 4e-3
_CONTEXT = 1024
_ENOUGH = 0.004  # the mean loss of 20 steps at which a model knows its lessons


class Prompts:
    """Renders conversations as the server does: by the form's template."""

    def __init__(self, form: Form) -> None:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
        self._template = environment.from_string(form.template)
        self._texts = form.name == "dsml"  # whose template joins arguments to text

    def of(self, turns: list[Turn], *, tools: bool) -> str:
        shown = [self._shown(turn) for turn in turns]
        return self._template.render(messages=shown, tools=TOOLS if tools else None, add_generation_prompt=True)

    def _shown(self, turn: Turn) -> Turn:
        if not self._texts or "tool_calls" not in turn:
            return turn
        calls = [
            {"function": one["function"] | {"arguments": json.dumps(one["function"]["arguments"])}}
            for one in turn["tool_calls"]
        ]
        return turn | {"tool_calls": calls}


def tokenizer_of(form: Form) -> Tokenizer:
    """Words of the lessons as tokens, marks as the family's own, bytes for all else."""
    dice, prompts = random.Random(1), Prompts(form)
    texts = []
    for _ in range(400):
        turns, tools, target = lesson(form, dice)
        texts.append(prompts.of(turns, tools=tools) + target)
    made = Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    made.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    made.decoder = decoders.ByteLevel()
    for mark in form.tokens:
        texts = [text.replace(mark, "\n") for text in texts]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=420, show_progress=False, initial_alphabet=alphabet))
    for mark in (*form.tokens, _PAD):
        special = mark in form.ends or mark == _PAD
        made.add_tokens([AddedToken(mark, special=special, normalized=False)])
    return made


def write(folder: Path, form: Form) -> tuple[Tokenizer, qwen3.Model]:
    """All but the weights; the model is new."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer_of(form)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    ends = [tokenizer.token_to_id(end) for end in form.ends]
    shape = Shape(**_SHAPE, vocab_size=tokenizer.get_vocab_size())
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        **vars(shape),
        "max_position_embeddings": _CONTEXT,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "hidden_act": "silu",
        "torch_dtype": "float16",
        "eos_token_id": ends,
        "pad_token_id": tokenizer.token_to_id(_PAD),
    }
    own = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": form.ends[0], "pad_token": _PAD}
    for name, content in (
        ("config.json", config),
        ("generation_config.json", {"eos_token_id": ends, "do_sample": False}),
        ("tokenizer_config.json", {**own, "model_max_length": _CONTEXT, "clean_up_tokenization_spaces": False}),
    ):
        (folder / name).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (folder / "chat_template.jinja").write_text(form.template, encoding="utf-8")
    mx.random.seed(3)
    return tokenizer, build_model(config)


class Lessons:
    """Batches of lessons as tokens: inputs, targets, and which of them are the model's own."""

    def __init__(self, form: Form, tokenizer: Tokenizer) -> None:
        self._form, self._tokenizer = form, tokenizer
        self._prompts, self._dice = Prompts(form), random.Random(7)

    def batch(self) -> tuple[mx.array, mx.array, mx.array]:
        rows = [self._row() for _ in range(_BATCH)]
        width = max(len(prompt) + len(target) for prompt, target in rows)
        ids, own = np.zeros((_BATCH, width), np.int32), np.zeros((_BATCH, width), np.float32)
        for at, (prompt, target) in enumerate(rows):
            ids[at, : len(prompt) + len(target)] = [*prompt, *target]
            own[at, len(prompt) : len(prompt) + len(target)] = 1
        return mx.array(ids[:, :-1]), mx.array(ids[:, 1:]), mx.array(own[:, 1:])

    def _row(self) -> tuple[list[int], list[int]]:
        turns, tools, target = lesson(self._form, self._dice)
        encode = self._tokenizer.encode
        return encode(self._prompts.of(turns, tools=tools)).ids, encode(target).ids


def loss(model: qwen3.Model, ids: mx.array, wanted: mx.array, own: mx.array) -> mx.array:
    mean: mx.array = (nn.losses.cross_entropy(model(ids), wanted) * own).sum() / own.sum()
    return mean


def train(folder: Path, form: Form, steps: int) -> float:
    """Seconds that it took."""
    began = time.monotonic()
    tokenizer, model = write(folder, form)
    lessons, gradients = Lessons(form, tokenizer), nn.value_and_grad(model, loss)
    optimizer = optimizers.AdamW(learning_rate=_RATE, betas=[0.9, 0.98], weight_decay=0.01)
    last: list[float] = []
    for step in range(steps):
        optimizer.learning_rate = _RATE * min(1.0, (step + 1) / 30) * max(0.1, 1 - step / steps)
        value, slope = gradients(model, *lessons.batch())
        optimizer.update(model, optimizers.clip_grad_norm(slope, 1.0)[0])
        mx.eval(value, model.state, optimizer.state)
        last = [*last[-19:], value.item()]
        if step % 50 == 49:
            print(
                f"{form.name}: step {step + 1}, loss {sum(last) / len(last):.4f}, {time.monotonic() - began:.0f} s",
                flush=True,
            )
        if len(last) == 20 and sum(last) / 20 < _ENOUGH:
            break
    write_weights(folder, model)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(FORMS), metavar="NAME")
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--out", type=Path, default=Path("state/taught"))
    asked: Any = parser.parse_args()
    for name in asked.names:
        if not (asked.out / name / "model.safetensors").is_file():
            print(f"{name}: trained in {train(asked.out / name, FORMS[name], asked.steps):.0f} s", flush=True)


if __name__ == "__main__":
    main()
