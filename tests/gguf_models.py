"""Tiny GGUF files with random weights, of every architecture that the engine mlx reads; as llama.cpp's converter writes
them, so that llama.cpp loads them too (`make test-real`).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import mlx.core as mx
import numpy as np
from gguf import GGMLQuantizationType as Kind
from mlx.utils import tree_flatten, tree_unflatten
from tokenizers.pre_tokenizers import ByteLevel

HIDDEN, HEADS, KV_HEADS, HEAD_DIM, CONTEXT = 64, 4, 2, 16, 256
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MERGES = ["h e", "l l", "he ll", "hell o", "Ġ w", "o r", "Ġw or", "l d", "Ġwor ld"]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_CHANGES: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama"},
    "qwen2": {"model_type": "qwen2"},
    "qwen3": {"model_type": "qwen3"},
    "qwen3moe": {
        "model_type": "qwen3_moe",
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 32,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "norm_topk_prob": True,
    },
    "phi3": {"model_type": "phi3", "tie_word_embeddings": False, "original_max_position_embeddings": CONTEXT},
    "gemma": {"model_type": "gemma"},
    "gemma2": {"model_type": "gemma2", "query_pre_attn_scalar": HEAD_DIM},
    "gemma3": {"model_type": "gemma3_text", "query_pre_attn_scalar": HEAD_DIM, "sliding_window": 64},
}
ARCHITECTURES = tuple(_CHANGES)
_GEMMA = ("gemma", "gemma2", "gemma3")
_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.gate": "ffn_gate_inp",
    "mlp.switch_mlp.gate_proj": "ffn_gate_exps",
    "mlp.switch_mlp.up_proj": "ffn_up_exps",
    "mlp.switch_mlp.down_proj": "ffn_down_exps",
}
_GEMMA_NAMES = _NAMES | {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


@dataclass
class TinyModel:
    """A file to be written. `adjust` may change the writer's metadata before it is written."""

    architecture: str = "llama"
    kind: Kind = Kind.F32
    pre: str = "smollm"
    template: str | None = TEMPLATE
    seed: int = 1
    adjust: Callable[[Any], None] = lambda _: None
    tokens: list[str] = field(default_factory=list)
    merges: list[str] = field(default_factory=lambda: list(MERGES))

    def __post_init__(self) -> None:
        self.tokens = self.tokens or vocabulary()
        self.layers = 6 if self.architecture == "gemma3" else 2  # a global layer among local ones

    def model(self) -> Any:
        """mlx-lm's own module with the same weights."""
        changes = _CHANGES[self.architecture]
        module = importlib.import_module(f"mlx_lm.models.{changes['model_type']}")
        model = module.Model(module.ModelArgs.from_dict(self._config() | changes))
        mx.random.seed(self.seed)
        flat = [(name, _random(name, array)) for name, array in tree_flatten(model.parameters())]
        model.update(tree_unflatten(flat))
        mx.eval(model.parameters())
        return model

    def _config(self) -> dict[str, Any]:
        return {
            "hidden_size": HIDDEN,
            "num_hidden_layers": self.layers,
            "intermediate_size": 2 * HIDDEN,
            "num_attention_heads": HEADS,
            "num_key_value_heads": KV_HEADS,
            "head_dim": HEAD_DIM,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10_000.0,
            "max_position_embeddings": CONTEXT,
            "vocab_size": len(self.tokens),
            "tie_word_embeddings": True,
        }

    def write(self, file: Path) -> Path:
        file.parent.mkdir(parents=True, exist_ok=True)
        writer = gguf.GGUFWriter(str(file), self.architecture)
        self._shape(writer)
        self._tokenizer(writer)
        self.adjust(writer)
        for name, array in tree_flatten(self.model().parameters()):
            self._tensor(writer, name, np.array(array))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return file

    def _shape(self, writer: Any) -> None:
        writer.add_block_count(self.layers)
        writer.add_context_length(CONTEXT)
        writer.add_embedding_length(HIDDEN)
        writer.add_feed_forward_length(2 * HIDDEN)
        writer.add_head_count(HEADS)
        writer.add_head_count_kv(KV_HEADS)
        writer.add_key_length(HEAD_DIM)
        writer.add_value_length(HEAD_DIM)
        writer.add_layer_norm_rms_eps(1e-6)
        writer.add_rope_freq_base(10_000.0)
        writer.add_rope_dimension_count(HEAD_DIM)
        if self.architecture == "qwen3moe":
            writer.add_expert_count(4)
            writer.add_expert_used_count(2)
            writer.add_expert_feed_forward_length(32)
        if self.architecture in ("gemma2", "gemma3", "phi3"):
            writer.add_sliding_window(64 if self.architecture == "gemma3" else CONTEXT)
        if self.architecture == "gemma2":
            writer.add_attn_logit_softcapping(50.0)
            writer.add_final_logit_softcapping(30.0)

    def _tokenizer(self, writer: Any) -> None:
        special = len(self.tokens) - len(SPECIAL)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(self.tokens)
        writer.add_token_types([1 if number < special else 3 for number in range(len(self.tokens))])
        writer.add_token_merges(self.merges)
        writer.add_bos_token_id(special)
        writer.add_eos_token_id(special + 2)
        writer.add_add_bos_token(False)
        if self.template is not None:
            writer.add_chat_template(self.template)

    def _tensor(self, writer: Any, name: str, array: Any) -> None:
        name = name.removeprefix("language_model.")
        stem, _, suffix = name.rpartition(".")
        if self.architecture in _GEMMA and stem.endswith("norm"):
            array = array + 1
        if self.architecture == "llama" and stem.endswith(("q_proj", "k_proj")):
            array = _permuted(array)
        kind = Kind.F32 if array.ndim == 1 or stem.endswith("mlp.gate") else self.kind
        data = array if kind is Kind.F32 else gguf.quants.quantize(array, kind)
        writer.add_tensor(f"{self._name(stem)}.{suffix}", data, raw_dtype=kind)

    def _name(self, stem: str) -> str:
        names = _GEMMA_NAMES if self.architecture in ("gemma2", "gemma3") else _NAMES
        if stem in names:
            return names[stem]
        _, _, layer, part = stem.split(".", 3)
        return f"blk.{layer}.{names[part]}"


def vocabulary() -> list[str]:
    """Every byte, what the merges make, padding up to a round number, and the marks."""
    words = [*sorted(ByteLevel.alphabet()), *(merge.replace(" ", "") for merge in MERGES)]
    return [*words, *(f"[PAD{number}]" for number in range(320 - len(words) - len(SPECIAL))), *SPECIAL]


def _random(name: str, array: Any) -> Any:
    """Norms near what they are, so that a forgotten or doubled 1 shows; weights small."""
    noise = mx.random.normal(array.shape) * 0.1
    return array + noise if array.ndim == 1 and "norm" in name else noise * (2.0 if array.ndim > 1 else 1.0)


def _permuted(array: Any) -> Any:
    """llama.cpp's order of the rows of queries and keys."""
    halves = array.reshape(-1, 2, HEAD_DIM // 2, *array.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(array.shape)
