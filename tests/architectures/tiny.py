"""Tiny random checkpoints of mlx-lm's architectures: configurations of our own, derived from their argument classes."""

from __future__ import annotations

import dataclasses
import importlib
import json
import pkgutil
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.models
from mlx.utils import tree_flatten, tree_unflatten

# what fields mean by their names, whatever the architecture
SIZES: dict[str, Any] = {
    "hidden_size": 64, "dim": 64, "d_model": 64, "n_embd": 64, "model_dim": 64, "emb_dim": 64,
    "num_hidden_layers": 4, "n_layers": 4, "num_layers": 4, "n_layer": 4, "num_transformer_layers": 4,
    "intermediate_size": 128, "ffn_hidden_size": 128, "mlp_hidden_size": 128, "hidden_dim": 128, "n_inner": 128,
    "intermediate_size_mlp": 128, "moe_intermediate_size": 32, "shared_intermediate_size": 32, "ffn_dim": 128,
    "shared_expert_intermediate_size": 32, "moe_shared_expert_intermediate_size": 32, "expert_ffn_hidden_size": 32,
    "num_attention_heads": 4, "n_heads": 4, "n_head": 4, "num_heads": 4,
    "num_key_value_heads": 2, "n_kv_heads": 2, "num_kv_heads": 2, "num_query_groups": 2,
    "head_dim": 16, "rms_norm_eps": 1e-5, "norm_eps": 1e-5, "layer_norm_eps": 1e-5, "layernorm_epsilon": 1e-5,
    "layer_norm_epsilon": 1e-5, "norm_epsilon": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 2048,
    "n_positions": 2048, "n_ctx": 2048, "max_seq_len": 2048, "seq_length": 2048, "max_sequence_length": 2048,
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "moe_num_experts": 4, "num_experts_per_tok": 2,
    "num_experts_per_token": 2, "moe_topk": 2, "moe_k": 2, "n_shared_experts": 1, "num_shared_experts": 1,
    "moe_num_shared_experts": 1, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1, "num_expert_group": 1,
    "routed_scaling_factor": 1.0, "norm_topk_prob": True, "scoring_func": "softmax", "topk_method": "greedy",
    "decoder_sparse_step": 1, "mlp_only_layers": [], "moe_layer_freq": 1, "interleave_moe_layer_step": 1,
    "sliding_window": 16, "sliding_window_size": 16, "sliding_window_pattern": 2, "attention_chunk_size": 16,
    "local_window_size": 16, "sliding_attention_window": 16,
    "q_lora_rank": 32, "kv_lora_rank": 32, "qk_rope_head_dim": 16, "qk_nope_head_dim": 16, "v_head_dim": 16,
    "attention_bias": False, "mlp_bias": False, "use_bias": False, "use_qk_norm": True, "tie_word_embeddings": False,
    "rope_scaling": None, "rope_traditional": False, "partial_rotary_factor": 0.5, "rotary_pct": 0.5,
    "embedding_multiplier": 1.0, "attention_multiplier": 0.25, "logits_scaling": 1.0, "residual_multiplier": 1.0,
    "logit_scale": 1.0, "hidden_act": "silu", "use_cache": True,
    "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_proj_bias": False, "mamba_d_state": 16, "mamba_d_conv": 4,
    "mamba_n_groups": 1, "mamba_conv_bias": True, "mamba_expand": 2, "mamba_dt_rank": 8, "mamba_num_heads": 8,
    "mamba_head_dim": 16, "state_size": 16, "conv_kernel": 4, "time_step_rank": 8, "expand": 2, "n_groups": 1,
    "ssm_state_size": 16, "mamba_hidden_act": "silu", "conv_bias": True, "use_conv_bias": True, "chunk_size": 16,
    "time_step_limit": (0.001, 100.0), "linear_num_value_heads": 4, "linear_num_key_heads": 2,
    "linear_key_head_dim": 32, "linear_value_head_dim": 32, "linear_conv_kernel_dim": 4, "full_attention_interval": 2,
}  # fmt: skip
# what an architecture wants besides
OWN: dict[str, dict[str, Any]] = {
    "exaone4": {"sliding_window_pattern": "LG", "rope_scaling": None},
    "granitemoehybrid": {
        "layer_types": ["mamba", "attention", "mamba", "attention"],
        **{key: value for key, value in SIZES.items() if key.startswith("mamba_")},
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "shared_intermediate_size": 32,
    },
    "gemma2": {"head_dim": 16, "query_pre_attn_scalar": 16.0, "attn_logit_softcapping": 5.0},
    "afmoe": {"layer_types": ["sliding_attention", "full_attention"] * 2},
    "gear": {"layer_types": ["full_attention"] * 4},
    "exaone_moe": {"sliding_window_pattern": "LG"},
    "gemma3": {"sliding_window_pattern": 2},
    "falcon_h1": {"mamba_d_ssm": 128, "mamba_n_heads": 8, "mamba_d_head": 16},
    "dots1": {"scoring_func": "noaux_tc"},
    "llama4": {"num_experts_per_tok": 1},
}
_NESTED = ("TextConfig", "TextArgs", "TextModelArgs")


def names() -> list[str]:
    """The modules of mlx-lm that are architectures."""
    found = [module.name for module in pkgutil.iter_modules(mlx_lm.models.__path__)]
    return [name for name in found if _is_architecture(name)]


def _is_architecture(name: str) -> bool:
    """Helpers are none, and `olmo` ends the process of whoever lacks its package."""
    try:
        module = _module(name)
    except (ImportError, SystemExit):
        return False
    return hasattr(module, "ModelArgs") and hasattr(module, "Model")


def _module(name: str) -> Any:
    return importlib.import_module(f"mlx_lm.models.{name}")


def config(name: str, vocabulary: int, **changes: Any) -> dict[str, Any]:
    """A configuration that the architecture takes, as small as it may be."""
    module = _module(name)
    made = _filled(module.ModelArgs, vocabulary) | OWN.get(name, {}) | changes
    text = next((getattr(module, nested) for nested in _NESTED if hasattr(module, nested)), None)
    if "text_config" in made:
        inner = _filled(text, vocabulary) if text is not None else config("llama", vocabulary)
        made["text_config"] = inner | OWN.get(name, {}) | {"model_type": f"{name}_text"} | changes
    return made | {"model_type": name, "vocab_size": vocabulary}


def _filled(arguments: Any, vocabulary: int) -> dict[str, Any]:
    made: dict[str, Any] = {"vocab_size": vocabulary}
    for field in dataclasses.fields(arguments):
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if field.name in SIZES and (required or not isinstance(field.default, bool | None.__class__)):
            made[field.name] = SIZES[field.name]
        elif required and field.name not in made:
            made[field.name] = _of_type(str(field.type))
    return made


def _of_type(kind: str) -> Any:
    """A value for a required field that nothing is known of."""
    for word, value in (("bool", False), ("int", 2), ("float", 1.0), ("str", ""), ("ist", []), ("ict", {})):
        if word in kind:
            return value
    return None


def write(name: str, folder: Path, tokenizer_of: Path, **changes: Any) -> Path:
    """A checkpoint with random weights, and the tokenizer of another."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer_of / file, folder / file)
    vocabulary = int(json.loads((tokenizer_of / "config.json").read_text())["vocab_size"])
    made = config(name, vocabulary, **changes)
    module = _module(name)
    mx.random.seed(7)
    model = module.Model(module.ModelArgs.from_dict(made))
    loud = [(key, _loud(key, value)) for key, value in tree_flatten(model.parameters())]
    model.update(tree_unflatten(loud))
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    (folder / "config.json").write_text(json.dumps(made))
    return folder


def _loud(key: str, value: mx.array) -> mx.array:
    """Embeddings that tell tokens apart: a mask that is wrong then shows."""
    return mx.random.normal(value.shape).astype(value.dtype) if "embed" in key and value.ndim == 2 else value
