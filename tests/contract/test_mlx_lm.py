"""What `lm_batches.py` and `vision.py` rely on inside mlx-lm and mlx-vlm: fails, saying what moved, when they move.

Names and signatures first, then what they mean, on a model of two layers with a step that computes nothing of ours.
"""

from __future__ import annotations

import ast
import inspect
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from src.gpu import blas

blas.preload()  # before anything imports MLX

import mlx.core as mx  # noqa: E402
from mlx_lm.generate import BatchGenerator, GenerationBatch, PromptProcessingBatch  # noqa: E402
from mlx_lm.models import cache as lm  # noqa: E402

from src.engine.mlx import lm_batches  # noqa: E402
from src.engine.mlx.device import choose_device  # noqa: E402
from src.engine.mlx.lm_batches import DecodeBatch, SequenceBatches, end_of, extend_layer, set_window  # noqa: E402
from src.settings import ROOT, Settings  # noqa: E402
from tests.contract.test_prefix import every_token, tokens  # noqa: E402

MOVED = "mlx-lm has changed: adapt src/engine/mlx/lm_batches.py (docs/adr/0021). Missing: "
# an underscore name of mlx-lm's objects that nothing but the adapter may use
INTERNAL = re.compile(
    r"\._(idx|next_tokens|next_logprobs|current_tokens|current_logprobs|num_tokens|token_context"
    r"|currently_processing|unprocessed_sequences|make_batch|prompt_batch|generation_batch|find_uids)\b"
)


def pinned(name: str) -> str:
    (line,) = re.findall(rf"^{name}==(\S+)", (ROOT / "requirements-base.txt").read_text(encoding="utf-8"), re.MULTILINE)
    return str(line)


@pytest.mark.parametrize("name", ["mlx-lm", "mlx-vlm"])
def test_the_version_is_the_pinned_one(name: str) -> None:
    """Internals are relied upon, so the requirement is exact, and the lock and the environment agree with it."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert re.findall(rf"^{name}==(\S+)", lock, re.MULTILINE) == [pinned(name)] == [version(name)]


def test_the_adapter_alone_touches_the_internals() -> None:
    """Everything else goes through `lm_batches`; `vision` is the same for mlx-vlm."""
    found = [
        f"{file.name}: {match.group()}"
        for file in (ROOT / "src/engine").rglob("*.py")
        if file.name not in ("lm_batches.py", "vision.py")
        for match in INTERNAL.finditer(file.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_adapter_alone_takes_mlx_lms_batches() -> None:
    """No other file imports one, for an annotation neither."""
    users = {
        file.name
        for file in (ROOT / "src").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "mlx_lm.generate"
        if any("Batch" in alias.name for alias in node.names)
    }
    assert users == {"lm_batches.py"}


@pytest.mark.parametrize(
    ("what", "parameters"),
    [
        (
            GenerationBatch.__init__,
            "model uids inputs prompt_cache tokens samplers fallback_sampler logits_processors stop_sequences "
            "max_tokens",
        ),
        (GenerationBatch.Response, "uid token logprobs finish_reason prompt_cache all_tokens"),
        (GenerationBatch.empty, "model fallback_sampler"),
        (GenerationBatch.extend, "batch"),
        (GenerationBatch.filter, "keep"),
        (GenerationBatch.extract_cache, "idx"),
        (GenerationBatch.next, ""),
        (GenerationBatch._step, ""),
        (PromptProcessingBatch.empty, "model fallback_sampler prefill_step_size"),
        (PromptProcessingBatch.split, "indices"),
        (PromptProcessingBatch.prompt, "tokens"),
        (BatchGenerator._make_batch, "n"),
        (BatchGenerator.remove, "uids return_prompt_caches"),
        (
            BatchGenerator.insert_segments,
            "segments max_tokens caches all_tokens samplers logits_processors stop_sequences",
        ),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_signatures(what: Any, parameters: str) -> None:
    """They are called by place and by name as written here."""
    names = [name for name in inspect.signature(what).parameters if name != "self"]
    assert names == parameters.split(), f"{MOVED}{what.__qualname__}({parameters})"


def missing(held: object, names: str) -> list[str]:
    return [name for name in names.split() if not hasattr(held, name)]


class Steady(DecodeBatch):
    """Rows that say 7, then 8, then 7: no model is asked."""

    def decode_step(self) -> tuple[list[int], list[Any]]:
        inputs: Any = self.pending.tolist()
        self.set_pending(mx.array([15 - token for token in inputs], mx.uint32), [None] * len(inputs))
        for held, token in zip(self.tokens, inputs, strict=True):
            held.append(token)
        return inputs, [None] * len(inputs)


def batches(model: Any, **options: Any) -> SequenceBatches:
    settings: dict[str, Any] = {"completion_batch_size": 4, "prefill_batch_size": 4, "prefill_step_size": 8}
    return SequenceBatches(model, Steady.empty(model, None), **(settings | options))


def test_what_a_decode_batch_holds() -> None:
    """The adapter's properties are these fields."""
    held = Steady.empty(every_token(), None)
    names = "uids tokens samplers max_tokens prompt_cache model _next_tokens _next_logprobs _num_tokens _matchers"
    assert missing(held, names) == [], MOVED + str(missing(held, names))


def test_what_the_generator_holds() -> None:
    """A sequence that waits is a tuple: uid, segments, …, cache, …; in prefill, a list that begins with segments."""
    held = batches(every_token())
    names = "_prompt_batch _generation_batch _unprocessed_sequences _currently_processing stream sampler model"
    assert missing(held, names) == [], MOVED + str(missing(held, names))
    prompt = tokens(9, 1)
    (uid,) = held.insert_segments([[prompt[:4], prompt[4:]]], max_tokens=[3], samplers=[None])
    assert held.waiting_segments() == [[prompt[:4], prompt[4:-1], prompt[-1:]]]
    held.admit_waiting()
    assert (held.waiting_segments(), held.segments()) == ([], [[prompt[:4], prompt[4:-1], prompt[-1:]]])
    assert (held.prefilling.uids, held.prefilling.tokens) == ([uid], [[]])


def test_rows_from_prefill_to_their_end() -> None:
    """`take_prefilled` splits rows off, `of` begins their decode, `next` reports and counts what the step returns."""
    held, prompts = batches(every_token()), [tokens(5, 1), tokens(9, 2)]
    uids = held.insert_segments([[one] for one in prompts], max_tokens=[2, 3], samplers=["a", "b"])
    held.admit_waiting()
    held.prefilling.prompt([one[:-1] for one in prompts])
    assert [end_of(layer) for layer in held.prefilling.prompt_cache] == [8] * len(held.prefilling.prompt_cache)
    decoding = Steady.of(held.take_prefilled([1]), [7])
    decoding.extend(Steady.of(held.take_prefilled([0]), [8]))
    assert (len(held.prefilling), held.segments()) == (0, [])
    assert (decoding.uids, decoding.samplers) == (uids[::-1], ["b", "a"])
    # a batch that begins has stepped once: its first token is in `tokens`, the next is pending
    assert (decoding.tokens[0][-1], decoding.pending.tolist()) == (7, [8, 7])
    replies = decoding.next()
    assert [(reply.uid, reply.token, reply.finish_reason) for reply in replies] == [
        (uids[1], 8, None),
        (uids[0], 7, None),
    ]
    assert [decoding.tokens_left(at) for at in (0, 1)] == [2, 1]
    replies = decoding.next()
    assert [reply.finish_reason for reply in replies] == [None, "length"]
    assert (decoding.uids, replies[1].all_tokens[-3:]) == (uids[1:], [8, 7, 8])


def test_a_stop_token_ends_a_row() -> None:
    """`count_token` does to a row what `next` does: a stop token wins over the length."""
    held, prompt = batches(every_token(), stop_tokens=[(7,)]), tokens(5, 3)
    held.insert_segments([[prompt]], max_tokens=[2], samplers=[None])
    held.admit_waiting()
    held.prefilling.prompt([prompt[:-1]])
    decoding = Steady.of(held.take_prefilled([0]), [8])
    assert (decoding.count_token(0, 3), decoding.count_token(0, 7)) == (None, "stop")
    (first, last) = decoding.responses(0, [3, 7], "stop", "scores")
    assert (first.logprobs, first.finish_reason, last.finish_reason, last.all_tokens) == (
        "scores",
        None,
        "stop",
        decoding.tokens[0],
    )


@pytest.mark.parametrize(("short", "long"), [(3, 300), (300, 3), (5, 5)])
def test_layers_are_joined_as_mlx_lm_joins_them(short: int, long: int) -> None:
    """`extend_layer` is `BatchKVCache.extend` without its second copy: the same rows, offsets and padding."""

    def filled(length: int, seed: int) -> Any:
        layer = lm.BatchKVCache([0])
        values = mx.random.normal((1, 2, length, 4), key=mx.random.key(seed))
        layer.update_and_fetch(values, values + 1)
        return layer

    ours, theirs = filled(short, 1), filled(short, 1)
    extend_layer(ours, filled(long, 2))
    theirs.extend(filled(long, 2))
    assert end_of(ours) == end_of(theirs) == ours.size()
    assert ours.offset.tolist() == theirs.offset.tolist()
    assert ours.left_padding.tolist() == theirs.left_padding.tolist()
    for row in (0, 1):
        mine, other = ours.extract(row), theirs.extract(row)
        assert mx.array_equal(mine.keys, other.keys).item()
        assert mx.array_equal(mine.values, other.values).item()


def test_a_window_that_is_set_goes_on() -> None:
    """`set_window` leaves a RotatingKVCache as its own writing would."""
    ours, theirs = lm.RotatingKVCache(max_size=4), lm.RotatingKVCache(max_size=4)
    first, second = (mx.random.normal((1, 1, n, 2), key=mx.random.key(n)) for n in (3, 1))
    theirs.update_and_fetch(first, first)
    set_window(ours, first, first)
    ours.offset = theirs.offset
    mine, other = (layer.update_and_fetch(second, second)[0] for layer in (ours, theirs))
    assert mx.array_equal(mine, other).item()


def test_the_wrapped_tokenizer() -> None:
    """llguidance reads the tokenizer of transformers, which mlx-lm keeps in `_tokenizer`."""
    text = Path(inspect.getfile(lm)).parents[1].joinpath("tokenizer_utils.py").read_text(encoding="utf-8")
    assert "self._tokenizer = tokenizer" in text, MOVED + "TokenizerWrapper._tokenizer"
    assert lm_batches.plain_tokenizer(type("Wrapper", (), {"_tokenizer": 1})) == 1


def test_what_vision_relies_on_inside_mlx_vlm() -> None:
    """The names that `vision.py` uses; what they mean is shown by test_vision.py."""
    ar = pytest.importorskip("mlx_vlm.generate.ar")
    text = Path(ar.__file__).read_text(encoding="utf-8")
    names = (
        "_generation_batch",
        "_prompt_batch",
        "_current_tokens",
        "def _split_prompt_kwargs_per_row",
        "sample_target",
    )
    assert [name for name in names if name not in text] == [], "mlx-vlm has changed: adapt src/engine/mlx/vision.py"


def test_freed_buffers_are_bounded_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[int] = []
    monkeypatch.setattr(mx, "set_cache_limit", limits.append)
    for name in ("set_memory_limit", "set_default_device", "disable_compile"):  # these would stay as they are set
        monkeypatch.setattr(mx, name, lambda *_: None)
    choose_device(Settings(_env_file=None, device_type="cpu"), None)
    assert len(limits) == 1
    assert 0 < limits[0] <= 256 << 20
