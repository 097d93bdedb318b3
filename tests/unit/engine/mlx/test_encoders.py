"""Embedding models and rerankers by architecture: a batch's vectors are what NumPy computes of each text alone."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import mlx.core as mx
import numpy as np
import pytest

from src.engine import embedding, loading
from src.engine.backend import Backend
from src.engine.main import warm_up
from src.engine.mlx.encoders import activations
from src.engine.mlx.kernels import encoder, products
from src.engine.progress import LoadMeter
from src.errors import ContextLengthExceeded, InvalidRequest, ModelLoadFailed
from src.ipc.messages.chat import EmbedRequest, RawPrompt, TextReading
from src.settings import Settings
from tests import encoder_models as tiny

TEXTS = ["the sea", "a harbour with ships under sail before dawn gulls cry above grey water", "bread", "世界 and water"]
PROMPTS: Any = {"prompts": {"query": "query: ", "document": "text: "}, "default_prompt_name": None}


def load(folder: Path, **settings: Any) -> Backend:
    chosen = Settings(_env_file=None, inference_engine="mlx", models_dir=folder.parent, **settings)
    backend = loading.load(folder.name, chosen, LoadMeter())
    warm_up(backend, LoadMeter())
    return backend


def ids_of(backend: Backend, *texts: str, **reading: Any) -> list[list[int]]:
    request = EmbedRequest("e", "m", tuple(map(RawPrompt, texts)), reading=TextReading(**reading))
    embedding.check(request, backend)
    return [embedding.tokens(raw, request, backend, at) for at, raw in enumerate(request.inputs)]


def computed(backend: Backend, rows: list[list[int]]) -> Any:
    assert backend.embedder is not None
    pass_ = backend.embedder.begin(rows)
    pass_.compute(1)
    assert pass_.left == 0
    return pass_.vectors()


def _mean(hidden: Any) -> Any:
    return hidden.mean(axis=0)


def _first(hidden: Any) -> Any:
    return hidden[0]


def _last(hidden: Any) -> Any:
    return hidden[-1]


CLS: Any = {"word_embedding_dimension": 16, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
FIRST_TOKEN: Any = {"1_Pooling__config": CLS}
Made = Callable[[Path], Path]
Reference = Callable[[tiny.Weights, list[int]], Any]
CASES: dict[str, tuple[Made, Reference]] = {
    "bert": (tiny.bert, lambda w, ids: _mean(tiny.bert_hidden(w, ids, tiny.HEADS))),
    "bert, first token": (
        lambda folder: tiny.bert(folder, **FIRST_TOKEN),
        lambda w, ids: _first(tiny.bert_hidden(w, ids, tiny.HEADS)),
    ),
    "xlm-roberta": (
        lambda folder: tiny.bert(folder, roberta=True),
        lambda w, ids: _mean(tiny.bert_hidden(w, ids, tiny.HEADS, first=1)),
    ),
    "modernbert": (tiny.modernbert, lambda w, ids: _mean(tiny.modernbert_hidden(w, ids))),
    "qwen3": (lambda folder: tiny.decoder(folder, "qwen3"), lambda w, ids: _last(tiny.qwen3_hidden(w, ids))),
    "gemma": (lambda folder: tiny.decoder(folder, "gemma3_text"), tiny.gemma_vector),
}


@pytest.mark.parametrize("name", CASES)
def test_a_batch_gives_what_each_text_gives_alone(name: str, tmp_path: Path) -> None:
    """Texts of different lengths, padded, against a text at a time by another implementation."""
    make, reference = CASES[name]
    folder = make(tmp_path / "model")
    backend = load(folder)
    rows = ids_of(backend, *TEXTS)
    assert len({*map(len, rows)}) > 2, "padding is what is tested"
    weights = tiny.read_weights(folder)
    expected = np.array([reference(weights, row) for row in rows])
    assert computed(backend, rows) == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert (backend.info.kind, backend.info.embedding_size) == ("embedding", tiny.WIDTH)


@pytest.mark.parametrize("name", ["bert", "xlm-roberta"])
def test_fused_layers_are_mlxs(name: str, tmp_path: Path) -> None:
    """onnxruntime and MLX to the last digits; what either holds is counted alike."""
    folder = CASES[name][0](tmp_path / "model")
    fused, plain = load(folder, cpu_kernels="auto"), load(folder, cpu_kernels="fp32")
    rows = ids_of(plain, *TEXTS)
    assert computed(fused, rows) == pytest.approx(computed(plain, rows), rel=1e-4, abs=1e-5)
    for told in ("dtype", "parameters", "weight_bytes"):
        assert getattr(fused.info, told) == getattr(plain.info, told)
    kinds = [type(one._loaded.reload().encoder).__name__ for one in cast(Any, (fused, plain))]
    on_cpu = sys.platform == "linux" and fused.device.kind == "cpu"
    assert kinds[0] == ("FusedEncoder" if on_cpu else kinds[1])


@pytest.mark.skipif(sys.platform != "linux", reason="a Mac's layers are MLX's")
def test_no_graph_holds_more_than_a_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph's weights are copied several times while it is loaded: one of all layers took five times their memory."""
    sizes: list[int] = []

    def noted(model: bytes) -> Any:
        sizes.append(len(model))
        return products.session(model)

    monkeypatch.setattr(encoder, "session", noted)
    backend = load(tiny.bert(tmp_path / "model"), cpu_kernels="auto")
    if backend.device.kind == "cpu":
        layer = cast(Any, backend)._loaded.reload().encoder.kernel_bytes / tiny.LAYERS
        assert max(sizes) < 1.2 * layer + 4096


def test_gelu_without_erf() -> None:
    """What embedding models compute with on a Linux CPU, against the definition."""
    numbers = np.linspace(-12, 12, 4001, dtype=np.float32)
    exact = np.array([x / 2 * (1 + math.erf(x / math.sqrt(2))) for x in numbers.tolist()])
    assert np.abs(np.array(activations.gelu(mx.array(numbers))) - exact).max() < 2e-6
    half = activations.gelu(mx.array(numbers, mx.bfloat16))
    assert half.dtype == mx.bfloat16


def test_a_reranker_reads_pairs(tmp_path: Path) -> None:
    """Query and document in one text, the document's tokens of the second type; scores from 0 to 1."""
    folder = tiny.bert(tmp_path / "model", classifier=True)
    backend = load(folder)
    rows = ids_of(backend, *TEXTS, query="ships under sail")
    weights, scores = tiny.read_weights(folder), []
    for row in rows:
        types = [0] * 5 + [1] * (len(row) - 5)
        first = tiny.bert_hidden(weights, row, tiny.HEADS, types)[0]
        pooled = np.tanh(weights["pooler.dense.weight"] @ first + weights["pooler.dense.bias"])
        scores.append(1 / (1 + np.exp(-(weights["classifier.weight"] @ pooled + weights["classifier.bias"]))))
    assert computed(backend, rows) == pytest.approx(np.array(scores), rel=1e-3, abs=1e-5)
    assert (backend.info.kind, backend.info.normalizes) == ("rerank", False)
    with pytest.raises(InvalidRequest, match="makes no embeddings"):
        ids_of(backend, "the sea")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """A context of 8 tokens, two of them marks; prompts; vectors at their own length."""
    files: Any = {"sentence_bert_config": {"max_seq_length": 8}, "config_sentence_transformers": PROMPTS}
    folder = tmp_path_factory.mktemp("models") / "model"
    return load(tiny.bert(folder, modules=tiny.modules("Transformer", "Pooling"), **files))


def test_what_the_checkpoint_says(small: Backend) -> None:
    info = small.info
    assert (info.context_length, info.normalizes, info.prompts) == (8, False, ("query", "document"))


def test_texts_are_refused_or_cut_as_asked(small: Backend) -> None:
    """The tokenizer's own truncation and padding are off; what is cut keeps its marks."""
    long = "a harbour with ships under sail before dawn"
    with pytest.raises(ContextLengthExceeded, match=r"10 tokens; the model's context is 8"):
        ids_of(small, long)
    (whole,) = ids_of(small, long, truncate=0)
    (end,) = ids_of(small, long, truncate=0, keep="end")
    (short,) = ids_of(small, long, truncate=4)
    assert (len(whole), len(end), len(short)) == (8, 8, 4)
    assert small.tokenizer.decode(whole) == "[CLS] a harbour with ships under sail [SEP]"
    assert small.tokenizer.decode(end) == "[CLS] with ships under sail before dawn [SEP]"
    assert len(ids_of(small, "sea")[0]) == 3


def test_prompts(small: Backend) -> None:
    """By their name, or by what the text is for; a role that the model does not know makes no difference."""
    plain, named = ids_of(small, "sea"), ids_of(small, "sea", prompt="query")
    assert small.tokenizer.decode(named[0]) == "[CLS] query : sea [SEP]"
    assert ids_of(small, "sea", "water", roles=("search_query", "document")) == [
        named[0],
        ids_of(small, "water", prompt="document")[0],
    ]
    assert ids_of(small, "sea", roles=("clustering",)) == plain
    with pytest.raises(InvalidRequest, match="prompts are: query, document"):
        ids_of(small, "sea", prompt="nothing")


def test_offloaded_and_back(tmp_path: Path) -> None:
    backend = load(tiny.bert(tmp_path / "model"))
    rows = ids_of(backend, *TEXTS)
    before = computed(backend, rows)
    backend.to_host()
    assert backend.embedder is None
    backend.to_device()
    assert computed(backend, rows) == pytest.approx(before)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"modules": [{"type": "sentence_transformers.models.CNN"}]}, "asks for CNN"),
        ({"1_Pooling__config": {"pooling_mode_weightedmean_tokens": True}}, "weightedmean"),
        ({"1_Pooling__config": {"pooling_mode_mean_tokens": True, "include_prompt": False}}, "include_prompt"),
    ],
)
def test_what_cannot_be_computed_fails_at_load(files: dict[str, Any], reason: str, tmp_path: Path) -> None:
    with pytest.raises((ModelLoadFailed, NotImplementedError), match=reason):
        load(tiny.bert(tmp_path / "model", **files))


def test_without_a_tokenizer(tmp_path: Path) -> None:
    folder = tiny.bert(tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelLoadFailed, match=r"no tokenizer\.json"):
        load(folder)
