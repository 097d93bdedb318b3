"""Tiny embedding models and rerankers with random weights, and the same computed with NumPy, a text at a time.

The references are written from the architectures' papers and configurations, not from the library that is tested.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

Array = Any  # of NumPy, float32
Weights = dict[str, Array]

_SENTENCE = "the sea and a harbour with ships under sail before dawn gulls cry above grey water"
WORDS = f"{_SENTENCE} bread butter query text yes no document given judge".split()
WIDTH, LAYERS, HEADS, INNER = 16, 4, 2, 24
LINEAR, VECTOR = "linear", "vector"


def tokenizer(marks: tuple[str, str, str, str] = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")) -> Tokenizer:
    """Words, each a token; it truncates and pads, as the files of sentence-transformers do."""
    vocabulary = {word: at for at, word in enumerate([*marks, *WORDS, ":", "，", "世界"])}
    pad, unknown, start, end = marks
    made = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [(start, vocabulary[start]), (end, vocabulary[end])]
    pair = f"{start}:0 $A:0 {end}:0 $B:1 {end}:1"
    made.post_processor = processors.TemplateProcessing(
        single=f"{start}:0 $A:0 {end}:0", pair=pair, special_tokens=special
    )
    made.enable_truncation(5)
    made.enable_padding(pad_id=vocabulary[pad], pad_token=pad, length=5)
    return made


def write(folder: Path, config: dict[str, Any], weights: dict[str, tuple[int, ...]], **files: Any) -> Path:
    """A checkpoint; `files` are JSON files by name, `__` for a slash."""
    random = np.random.default_rng(3)
    arrays = {name: _array(random, name, shape) for name, shape in weights.items()}
    folder.mkdir(parents=True)
    for name, content in {"config": config, **files}.items():
        file = folder / f"{name.replace('__', '/')}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content))
    tokenizer().save(str(folder / "tokenizer.json"))
    own = {name: array for name, array in arrays.items() if "/" not in name}
    save_file(own, folder / "model.safetensors")
    for place in {name.partition("/")[0] for name in arrays if "/" in name}:
        (folder / place).mkdir(exist_ok=True)
        parts = {name.partition("/")[2]: array for name, array in arrays.items() if name.startswith(f"{place}/")}
        save_file(parts, folder / place / "model.safetensors")
    return folder


def judge(folder: Path, *, classifier: bool = False, tied: bool = True, **files: Any) -> Path:
    """Qwen3-Reranker's shape: a language model, or one with a row of scores for its head."""
    decoder(folder, "qwen3")
    weights = {f"model.{name}": array for name, array in load_file(folder / "model.safetensors").items()}
    random = np.random.default_rng(5)
    if classifier or not tied:
        rows = 1 if classifier else VOCABULARY
        weights["score.weight" if classifier else "lm_head.weight"] = _array(random, "head", (rows, WIDTH))
    save_file(weights, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text()) | {"tie_word_embeddings": tied}
    if classifier:
        config |= {"architectures": ["Qwen3ForSequenceClassification"], "num_labels": 1}
    (folder / "modules.json").unlink()
    for name, content in {"config": config, **files}.items():
        file = folder / f"{name.replace('__', '/')}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content))
    made = tokenizer()
    made.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    made.save(str(folder / "tokenizer.json"))
    return folder


def _array(random: np.random.Generator, name: str, shape: tuple[int, ...]) -> Array:
    found = random.normal(0, 0.4, shape).astype(np.float32)
    is_scale = "norm" in name.lower() and name.endswith("weight")
    return (
        found * np.float32(0.25) + np.float32(0 if "layernorm" in name or "q_norm" in name else 1)
        if is_scale
        else found
    )


def modules(*kinds: str) -> list[dict[str, Any]]:
    return [
        {
            "idx": at,
            "name": str(at),
            "path": "" if at == 0 else f"{at}_{kind}",
            "type": f"sentence_transformers.models.{kind}",
        }
        for at, kind in enumerate(kinds)
    ]


VOCABULARY = len(WORDS) + 9


def bert(folder: Path, *, roberta: bool = False, classifier: bool = False, **files: Any) -> Path:
    """BERT's shape; `roberta`: with positions that begin behind the padding's."""
    config = {
        "model_type": "xlm-roberta" if roberta else "bert",
        "architectures": ["BertForSequenceClassification" if classifier else "BertModel"],
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": INNER,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 64,
        "type_vocab_size": 1 if roberta else 2,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
        "hidden_act": "gelu",
        **({"num_labels": 1} if classifier else {}),
    }
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (VOCABULARY, WIDTH),
        "embeddings.position_embeddings.weight": (64, WIDTH),
        "embeddings.token_type_embeddings.weight": (1 if roberta else 2, WIDTH),
        **_norm("embeddings.LayerNorm"),
    }
    for at in range(LAYERS):
        place = f"encoder.layer.{at}"
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= _dense(f"{place}.{part}", WIDTH, WIDTH)
        shapes |= _norm(f"{place}.attention.output.LayerNorm") | _norm(f"{place}.output.LayerNorm")
        shapes |= _dense(f"{place}.intermediate.dense", WIDTH, INNER) | _dense(f"{place}.output.dense", INNER, WIDTH)
    if classifier:
        shapes = {f"bert.{name}": shape for name, shape in shapes.items()}
        shapes |= _dense("bert.pooler.dense", WIDTH, WIDTH) | _dense("classifier", WIDTH, 1)
    return write(folder, config, shapes, **files)


def _norm(name: str) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}


def _dense(name: str, inner: int, outer: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outer, inner), f"{name}.bias": (outer,)}


def modernbert(folder: Path, **files: Any) -> Path:
    config = {
        "model_type": "modernbert",
        "architectures": ["ModernBertModel"],
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": INNER,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 64,
        "global_attn_every_n_layers": 3,
        "local_attention": 4,
        "pad_token_id": 0,
    }
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.tok_embeddings.weight": (VOCABULARY, WIDTH),
        "embeddings.norm.weight": (WIDTH,),
        "final_norm.weight": (WIDTH,),
    }
    for at in range(LAYERS):
        place = f"layers.{at}"
        if at:
            shapes[f"{place}.attn_norm.weight"] = (WIDTH,)
        shapes |= {
            f"{place}.attn.Wqkv.weight": (3 * WIDTH, WIDTH),
            f"{place}.attn.Wo.weight": (WIDTH, WIDTH),
            f"{place}.mlp_norm.weight": (WIDTH,),
            f"{place}.mlp.Wi.weight": (2 * INNER, WIDTH),
            f"{place}.mlp.Wo.weight": (WIDTH, INNER),
        }
    return write(folder, config, shapes, **files)


def decoder(folder: Path, architecture: str, **files: Any) -> Path:
    """Qwen3's or Gemma 3's shape, as an embedding model."""
    gemma = architecture == "gemma3_text"
    config = {
        "model_type": architecture,
        "architectures": ["Qwen3ForCausalLM"],
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 1,
        "head_dim": WIDTH // HEADS,
        "intermediate_size": INNER,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "query_pre_attn_scalar": WIDTH // HEADS,
        "sliding_window": 4,
        "sliding_window_pattern": 2,
    }
    shapes: dict[str, tuple[int, ...]] = {"embed_tokens.weight": (VOCABULARY, WIDTH), "norm.weight": (WIDTH,)}
    for at in range(LAYERS):
        place, head = f"layers.{at}", WIDTH // HEADS
        norms: tuple[str, ...] = ("input_layernorm", "post_attention_layernorm")
        norms += ("pre_feedforward_layernorm", "post_feedforward_layernorm") if gemma else ()
        shapes |= {f"{place}.{name}.weight": (WIDTH,) for name in norms}
        shapes |= {f"{place}.self_attn.{name}_norm.weight": (head,) for name in "qk"}
        shapes |= {f"{place}.self_attn.{name}_proj.weight": (WIDTH, WIDTH) for name in "qo"}
        shapes |= {f"{place}.self_attn.{name}_proj.weight": (head, WIDTH) for name in "kv"}
        shapes |= {f"{place}.mlp.{name}_proj.weight": (INNER, WIDTH) for name in ("gate", "up")}
        shapes[f"{place}.mlp.down_proj.weight"] = (WIDTH, INNER)
    if gemma:
        shapes |= {"2_Dense/linear.weight": (4 * WIDTH, WIDTH), "3_Dense/linear.weight": (WIDTH, 4 * WIDTH)}
    kinds = ("Transformer", "Pooling", *(("Dense", "Dense") if gemma else ()), "Normalize")
    return write(folder, config, shapes, modules=modules(*kinds), **files)


# ---- the references


def read_weights(folder: Path) -> Weights:
    found = load_file(folder / "model.safetensors")
    for file in folder.glob("*/model.safetensors"):
        found |= {f"{file.parent.name}/{name}": array for name, array in load_file(file).items()}
    return {name.removeprefix("bert."): array for name, array in found.items()}


def bert_hidden(weights: Weights, ids: list[int], heads: int, types: list[int] | None = None, first: int = 0) -> Array:
    """The last hidden state of one text; `first`: the position of its first token."""
    places, at = range(first, first + len(ids)), "embeddings."
    x = weights[f"{at}word_embeddings.weight"][ids] + weights[f"{at}position_embeddings.weight"][list(places)]
    x = x + weights[f"{at}token_type_embeddings.weight"][types or [0] * len(ids)]
    x = _layer_norm(x, weights, f"{at}LayerNorm", 1e-12)
    for layer in range(sum(name.endswith("attention.self.query.weight") for name in weights)):
        at = f"encoder.layer.{layer}."
        q, k, v = (_linear(x, weights, f"{at}attention.self.{name}") for name in ("query", "key", "value"))
        mixed = _attention(_heads(q, heads), _heads(k, heads), _heads(v, heads))
        x = _layer_norm(
            x + _linear(mixed, weights, f"{at}attention.output.dense"),
            weights,
            f"{at}attention.output.LayerNorm",
            1e-12,
        )
        inner = _gelu(_linear(x, weights, f"{at}intermediate.dense"))
        x = _layer_norm(x + _linear(inner, weights, f"{at}output.dense"), weights, f"{at}output.LayerNorm", 1e-12)
    return x


def modernbert_hidden(weights: Weights, ids: list[int]) -> Array:
    x = _layer_norm(weights["embeddings.tok_embeddings.weight"][ids], weights, "embeddings.norm", 1e-5)
    near = _distance(len(ids)) <= 2
    for layer in range(LAYERS):
        at, everywhere = f"layers.{layer}.", layer % 3 == 0
        given = x if layer == 0 else _layer_norm(x, weights, f"{at}attn_norm", 1e-5)
        parts = (given @ weights[f"{at}attn.Wqkv.weight"].T).reshape(len(ids), 3, HEADS, WIDTH // HEADS)
        q, k, v = (parts[:, part].transpose(1, 0, 2) for part in range(3))
        base = 160000.0 if everywhere else 10000.0
        mixed = _attention(_rope(q, base), _rope(k, base), v, None if everywhere else near)
        x = x + mixed @ weights[f"{at}attn.Wo.weight"].T
        inner = _layer_norm(x, weights, f"{at}mlp_norm", 1e-5) @ weights[f"{at}mlp.Wi.weight"].T
        x = x + (_gelu(inner[:, :INNER]) * inner[:, INNER:]) @ weights[f"{at}mlp.Wo.weight"].T
    return _layer_norm(x, weights, "final_norm", 1e-5)


def qwen3_hidden(weights: Weights, ids: list[int]) -> Array:
    x = weights["embed_tokens.weight"][ids]
    before = np.tri(len(ids), dtype=bool)
    for layer in range(LAYERS):
        at = f"layers.{layer}."
        given = _rms(x, weights[f"{at}input_layernorm.weight"])
        x = x + _grouped(given, weights, at, 10000.0, before)
        given = _rms(x, weights[f"{at}post_attention_layernorm.weight"])
        x = x + _gated(given, weights, at, _silu)
    return _rms(x, weights["norm.weight"])


def gemma_vector(weights: Weights, ids: list[int]) -> Array:
    """EmbeddingGemma's vector of one text, before it is normalised."""
    x = weights["embed_tokens.weight"][ids] * np.float32(math.sqrt(WIDTH))
    near = _distance(len(ids)) <= 2
    for layer in range(LAYERS):
        at, sliding = f"layers.{layer}.", layer % 2 == 0
        given = _rms(x, 1 + weights[f"{at}input_layernorm.weight"])
        mixed = _grouped(given, weights, at, 10000.0 if sliding else 1e6, near if sliding else None, offset=1)
        x = x + _rms(mixed, 1 + weights[f"{at}post_attention_layernorm.weight"])
        given = _rms(x, 1 + weights[f"{at}pre_feedforward_layernorm.weight"])
        x = x + _rms(_gated(given, weights, at, _gelu_tanh), 1 + weights[f"{at}post_feedforward_layernorm.weight"])
    mean = _rms(x, 1 + weights["norm.weight"]).mean(axis=0)
    return weights["3_Dense/linear.weight"] @ (weights["2_Dense/linear.weight"] @ mean)


def _grouped(x: Array, weights: Weights, at: str, base: float, mask: Any, offset: int = 0) -> Array:
    """Attention with one key head, its queries and keys normalised."""
    q = _heads(x @ weights[f"{at}self_attn.q_proj.weight"].T, HEADS)
    k, v = (_heads(x @ weights[f"{at}self_attn.{name}_proj.weight"].T, 1) for name in "kv")
    q = _rope(_rms(q, offset + weights[f"{at}self_attn.q_norm.weight"]), base)
    k = _rope(_rms(k, offset + weights[f"{at}self_attn.k_norm.weight"]), base)
    return (
        _attention(q, np.repeat(k, HEADS, 0), np.repeat(v, HEADS, 0), mask) @ weights[f"{at}self_attn.o_proj.weight"].T
    )


def _gated(x: Array, weights: Weights, at: str, act: Any) -> Array:
    gate, up, down = (weights[f"{at}mlp.{name}_proj.weight"].T for name in ("gate", "up", "down"))
    return (act(x @ gate) * (x @ up)) @ down


def _linear(x: Array, weights: Weights, name: str) -> Array:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _heads(x: Array, heads: int) -> Array:
    return x.reshape(len(x), heads, -1).transpose(1, 0, 2)


def _attention(q: Array, k: Array, v: Array, mask: Any = None) -> Array:
    scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = (shares / shares.sum(axis=-1, keepdims=True)) @ v
    return mixed.transpose(1, 0, 2).reshape(mixed.shape[1], -1)


def _rope(x: Array, base: float) -> Array:
    half = x.shape[-1] // 2
    angles = np.arange(x.shape[1])[:, None] * base ** (-np.arange(half) / half)
    first, second = x[..., :half], x[..., half:]
    turned = [first * np.cos(angles) - second * np.sin(angles), second * np.cos(angles) + first * np.sin(angles)]
    return np.concatenate(turned, axis=-1).astype(np.float32)


def _distance(count: int) -> Any:
    return np.abs(np.arange(count)[None] - np.arange(count)[:, None])


def _layer_norm(x: Array, weights: Weights, name: str, eps: float) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
    return scaled * weights[f"{name}.weight"] + weights.get(f"{name}.bias", np.float32(0))


def _rms(x: Array, scale: Array) -> Array:
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6) * scale


def _gelu(x: Array) -> Array:
    return x * np.float32(0.5) * (1 + _erf(x / math.sqrt(2)))


def _erf(x: Array) -> Array:
    """Abramowitz and Stegun's 7.1.26: within 1.5e-7."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.sign(x) * (1 - series * np.exp(-(x**2)))


def _gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))
