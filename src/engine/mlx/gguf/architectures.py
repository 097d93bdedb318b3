"""The architectures of GGUF files that MLX can compute: mlx-lm's configuration and the modules of their tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from src.engine.mlx.gguf.hyper import HyperParameters
from src.engine.mlx.gguf.metadata import Gguf
from src.errors import ModelLoadFailed

Config = dict[str, Any]

# what the file itself does not say: the window pattern of Gemma 3, the base of its local layers, and the largest
# models of Gemma 2 and 3, which scale their attention in another way
_GEMMA3_PATTERN, _GEMMA3_LOCAL_BASE = 6, 10_000.0
_GEMMA_LARGEST = {"gemma2": 46, "gemma3": 62}
# Llama 3.1's frequencies; the files carry only what became of them
_LLAMA3_LOW, _LLAMA3_HIGH, _LLAMA3_CONTEXT = 1.0, 4.0, 8192

_TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_ATTENTION = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
}
_MLP = {"ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
_PRE_NORM = {"ffn_norm": "post_attention_layernorm"}
_QK_NORMS = {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
_GEMMA_NORMS = {
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_EXPERTS = {
    "ffn_gate_inp": "mlp.gate",
    "ffn_gate_exps": "mlp.switch_mlp.gate_proj",
    "ffn_up_exps": "mlp.switch_mlp.up_proj",
    "ffn_down_exps": "mlp.switch_mlp.down_proj",
}
_PLAIN = _ATTENTION | _MLP | _PRE_NORM


@dataclass(frozen=True)
class Architecture:
    """How a GGUF architecture is served.

    Args:
        layer: a layer's tensors and their modules.
        config: what is special to it; the rest is `common`.
        permuted: its queries and keys are in llama.cpp's order of rotary pairs.
        shifted_norms: its norms carry the 1 that MLX adds itself.
        wide: its activations can leave the range of float16.
    """

    layer: Mapping[str, str]
    config: Callable[[HyperParameters], Config]
    permuted: bool = False
    shifted_norms: bool = False
    wide: bool = False
    skipped: frozenset[str] = field(default=frozenset(("rope_freqs", "rope_factors_long", "rope_factors_short")))

    def module(self, tensor: str) -> str | None:
        """The module of a tensor's name without its suffix; None for one that is part of the configuration."""
        if tensor in self.skipped:
            return None
        if tensor in _TOP:
            return _TOP[tensor]
        block, _, rest = tensor.removeprefix("blk.").partition(".")
        if tensor.startswith("blk.") and block.isdigit() and rest in self.layer:
            return f"model.layers.{int(block)}.{self.layer[rest]}"
        raise KeyError(tensor)


def architecture(file: Gguf) -> tuple[str, Architecture]:
    """The architecture a file names.

    Raises:
        ModelLoadFailed: when it is none of these.
    """
    name = file.metadata.get("general.architecture")
    if not isinstance(name, str) or name not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        text = f"{file.name} has the architecture {name!r:.60}; the engine mlx reads {known}."
        raise ModelLoadFailed(f"{text} INFERENCE_ENGINE=llama.cpp may read it.")
    return name, ARCHITECTURES[name]


def configuration(file: Gguf) -> Config:
    """mlx-lm's config.json, without what the tokenizer and the weights add."""
    name, found = architecture(file)
    hyper = HyperParameters(file, name)
    return _common(hyper) | found.config(hyper)


def head_dim(hyper: HyperParameters) -> int:
    return hyper.integer("attention.key_length", hyper.integer("embedding_length") // _heads(hyper))


def _heads(hyper: HyperParameters) -> int:
    return hyper.integer("attention.head_count")


def _common(hyper: HyperParameters) -> Config:
    file = hyper.file
    if "token_embd.weight" not in file.tensors:
        raise ModelLoadFailed(f"{file.name} has no token_embd.weight: it is no whole language model.")
    return {
        "hidden_size": hyper.integer("embedding_length"),
        "num_hidden_layers": hyper.integer("block_count"),
        "intermediate_size": hyper.integer("feed_forward_length"),
        "num_attention_heads": _heads(hyper),
        "num_key_value_heads": hyper.integer("attention.head_count_kv", _heads(hyper)),
        "head_dim": head_dim(hyper),
        "rms_norm_eps": hyper.number("attention.layer_norm_rms_epsilon"),
        "rope_theta": hyper.number("rope.freq_base", 10_000.0),
        "max_position_embeddings": hyper.integer("context_length"),
        "vocab_size": file.tensors["token_embd.weight"].shape[0],
        "tie_word_embeddings": "output.weight" not in file.tensors,
    }


def _rope_scaling(hyper: HyperParameters) -> Config:
    """`rope_scaling` of a configuration, where the file has one."""
    kind = hyper.text("rope.scaling.type", "none")
    if kind == "none":
        return {}
    factor = hyper.number("rope.scaling.factor", 1.0)
    if kind == "linear":
        return {"rope_scaling": {"rope_type": "linear", "type": "linear", "factor": factor}}
    if kind != "yarn":
        raise ModelLoadFailed(f"{hyper.file.name} scales its positions by {kind!r:.40}, which MLX does not here.")
    original = hyper.integer("rope.scaling.original_context_length")
    return {"rope_scaling": {"rope_type": "yarn", "factor": factor, "original_max_position_embeddings": original}}


def _llama(hyper: HyperParameters) -> Config:
    """Also Mistral's and SmolLM's models, which are of this architecture in GGUF."""
    file = hyper.file
    biased = "blk.0.attn_q.bias" in file.tensors
    config: Config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "attention_bias": biased}
    if "rope_freqs.weight" in file.tensors:
        return config | {"rope_scaling": _llama3_scaling(hyper)}
    return config | _rope_scaling(hyper)


def _llama3_scaling(hyper: HyperParameters) -> Config:
    """Llama 3.1's scaling, from the factors that it comes to."""
    factors = _floats(hyper.file, "rope_freqs.weight")
    factor = float(factors.max())
    config = {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": _LLAMA3_LOW,
        "high_freq_factor": _LLAMA3_HIGH,
        "original_max_position_embeddings": _LLAMA3_CONTEXT,
    }
    expected = _llama3_factors(head_dim(hyper), hyper.number("rope.freq_base", 10_000.0), factor)
    if expected.shape != factors.shape or not np.allclose(expected, factors, rtol=1e-3):
        raise ModelLoadFailed(
            f"{hyper.file.name} has rope_freqs that are not Llama 3.1's: MLX cannot follow them here."
        )
    return config


def _llama3_factors(dims: int, base: float, factor: float) -> np.ndarray[Any, Any]:
    waves = 2 * math.pi * base ** (np.arange(0, dims, 2) / dims)
    smooth = (_LLAMA3_CONTEXT / waves - _LLAMA3_LOW) / (_LLAMA3_HIGH - _LLAMA3_LOW)
    between = 1 / ((1 - smooth) / factor + smooth)
    return np.where(
        waves < _LLAMA3_CONTEXT / _LLAMA3_HIGH, 1.0, np.where(waves > _LLAMA3_CONTEXT / _LLAMA3_LOW, factor, between)
    )


def _floats(file: Gguf, name: str) -> np.ndarray[Any, Any]:
    """A small float32 tensor that is part of the configuration."""
    tensor = file.tensors[name]
    if tensor.kind.name != "F32" or tensor.size > 1 << 20:
        raise ModelLoadFailed(f"{file.name} has {name} as {tensor.kind.name}, {tensor.size:,} bytes.")
    with tensor.file.open("rb") as data:
        data.seek(tensor.offset)
        return np.frombuffer(data.read(tensor.size), dtype="<f4")


def _simple(model_type: str, name: str) -> Callable[[HyperParameters], Config]:
    """Nothing is special to it but its name."""
    return lambda hyper: {"model_type": model_type, "architectures": [f"{name}ForCausalLM"], **_rope_scaling(hyper)}


def _qwen3moe(hyper: HyperParameters) -> Config:
    return {
        "model_type": "qwen3_moe",
        "architectures": ["Qwen3MoeForCausalLM"],
        "num_experts": hyper.integer("expert_count"),
        "num_experts_per_tok": hyper.integer("expert_used_count"),
        "moe_intermediate_size": hyper.integer("expert_feed_forward_length"),
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "norm_topk_prob": True,
        **_rope_scaling(hyper),
    }


def _phi3(hyper: HyperParameters) -> Config:
    original = hyper.integer("rope.scaling.original_context_length", hyper.integer("context_length"))
    config: Config = {
        "model_type": "phi3",
        "architectures": ["Phi3ForCausalLM"],
        "original_max_position_embeddings": original,
        "partial_rotary_factor": hyper.integer("rope.dimension_count", head_dim(hyper)) / head_dim(hyper),
    }
    if "rope_factors_long.weight" in hyper.file.tensors:
        long, short = (_floats(hyper.file, f"rope_factors_{which}.weight").tolist() for which in ("long", "short"))
        config["rope_scaling"] = {"type": "longrope", "long_factor": long, "short_factor": short}
    return config


def _gemma2(hyper: HyperParameters) -> Config:
    return {
        "model_type": "gemma2",
        "architectures": ["Gemma2ForCausalLM"],
        "attn_logit_softcapping": hyper.number("attn_logit_softcapping", 50.0),
        "final_logit_softcapping": hyper.number("final_logit_softcapping", 30.0),
        "query_pre_attn_scalar": _gemma_scale(hyper),
        "sliding_window": hyper.integer("attention.sliding_window", 4096),
    }


def _gemma3(hyper: HyperParameters) -> Config:
    return {
        "model_type": "gemma3_text",
        "architectures": ["Gemma3ForCausalLM"],
        "query_pre_attn_scalar": _gemma_scale(hyper),
        "sliding_window": hyper.integer("attention.sliding_window", 512),
        "sliding_window_pattern": _GEMMA3_PATTERN,
        "rope_theta": hyper.number("rope.freq_base", 1_000_000.0),
        "rope_local_base_freq": hyper.number("rope.freq_base_swa", _GEMMA3_LOCAL_BASE),
        **_rope_scaling(hyper),
    }


def _gemma_scale(hyper: HyperParameters) -> int:
    largest = hyper.integer("block_count") == _GEMMA_LARGEST[hyper.architecture]
    return hyper.integer("embedding_length") // _heads(hyper) if largest else head_dim(hyper)


_PHI3_LAYER = _PRE_NORM | {
    "attn_norm": "input_layernorm",
    "attn_qkv": "self_attn.qkv_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_up": "mlp.gate_up_proj",
    "ffn_down": "mlp.down_proj",
}
ARCHITECTURES: dict[str, Architecture] = {
    "llama": Architecture(_PLAIN, _llama, permuted=True),
    "qwen2": Architecture(_PLAIN, _simple("qwen2", "Qwen2")),
    "qwen3": Architecture(_PLAIN | _QK_NORMS, _simple("qwen3", "Qwen3")),
    "qwen3moe": Architecture(_ATTENTION | _PRE_NORM | _QK_NORMS | _EXPERTS, _qwen3moe),
    "phi3": Architecture(_PHI3_LAYER, _phi3),
    "gemma": Architecture(_PLAIN, _simple("gemma", "Gemma"), shifted_norms=True, wide=True),
    "gemma2": Architecture(_ATTENTION | _MLP | _GEMMA_NORMS, _gemma2, shifted_norms=True, wide=True),
    "gemma3": Architecture(_ATTENTION | _MLP | _GEMMA_NORMS | _QK_NORMS, _gemma3, shifted_norms=True, wide=True),
}
