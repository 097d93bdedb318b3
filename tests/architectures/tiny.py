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
_WINDOWED = ["sliding_attention", "full_attention"] * 2
_YARN = {"type": "yarn", "factor": 2.0, "original_max_position_embeddings": 1024, "mscale": 1.0, "mscale_all_dim": 1.0}
_ROPE = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 1.0}
_MISTRAL_ROPE = {
    "rope_type": "default",
    "type": "default",
    "rope_theta": 10000.0,
    "llama_4_scaling_beta": 0.1,
    "original_max_position_embeddings": 1024,
}
_LFM2 = {
    "block_ff_dim": 128,
    "intermediate_size": 128,
    "conv_L_cache": 3,
    "block_auto_adjust_ff_dim": False,
    "block_dim": 64,
    "block_multiple_of": 8,
    "block_ffn_dim_multiplier": 1.0,
    "layer_types": ["conv", "full_attention"] * 2,
}
_LONGCAT = {
    "mla_scale_q_lora": True,
    "mla_scale_kv_lora": True,
    "attention_method": "MLA",
    "zero_expert_type": "identity",
}
_LINEAR = {
    "full_attn_layers": [2, 4],
    "kda_layers": [1, 3],
    "num_heads": 4,
    "head_dim": 16,
    "short_conv_kernel_size": 4,
}
_GEMMA4 = {
    "num_hidden_layers": 4,
    "num_kv_shared_layers": 0,
    "global_head_dim": 32,
    "hidden_size_per_layer_input": 16,
    "vocab_size_per_layer_input": 256,
    "layer_types": _WINDOWED,
}
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
    "gemma3": {"sliding_window_pattern": 2},
    "falcon_h1": {"mamba_d_ssm": 128, "mamba_n_heads": 8, "mamba_d_head": 16},
    "dots1": {"scoring_func": "noaux_tc"},
    "llama4": {"num_experts_per_tok": 1},
    "baichuan_m1": {"sliding_window_layers": [1, 3], "conv_window": 2},
    "dbrx": {
        "ffn_config": {"ffn_hidden_size": 64, "moe_num_experts": 4, "moe_top_k": 2},
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 10000.0},
    },
    "deepseek_v2": {"rope_scaling": _YARN},
    "exaone_moe": {
        "topk_method": "noaux_tc",
        "scoring_func": "sigmoid",
        "layer_types": _WINDOWED,
        "is_moe_layer": [False, True, True, True],
    },
    "gemma3n": {
        "layer_types": _WINDOWED,
        "activation_sparsity_pattern": [0.0] * 4,
        "num_kv_shared_layers": 0,
        "hidden_size_per_layer_input": 16,
        "vocab_size_per_layer_input": 256,
        "laurel_rank": 8,
        "altup_num_inputs": 2,
        "altup_active_idx": 0,
        "altup_coef_clip": 120.0,
        "altup_correct_scale": True,
        "final_logit_softcapping": 30.0,
        "rope_local_base_freq": 10000.0,
    },
    "gemma4": _GEMMA4,
    "gemma4_text": _GEMMA4,
    "glm4_moe": {"topk_method": "noaux_tc", "scoring_func": "sigmoid"},
    "glm4_moe_lite": {"topk_method": "noaux_tc", "scoring_func": "sigmoid"},
    "glm_moe_dsa": {
        "topk_method": "noaux_tc",
        "scoring_func": "sigmoid",
        "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
        "index_head_dim": 32,
        "index_n_heads": 4,
        "index_topk": 32,
    },
    "gptj": {"rotary_dim": 16},
    "hunyuan": {
        "num_shared_expert": 1,
        "cla_share_factor": 2,
        "rope_scaling": {"type": "dynamic", "factor": 1.0, "alpha": 1.0},
    },
    "jamba": {
        "attn_layer_offset": 1,
        "attn_layer_period": 2,
        "expert_layer_offset": 1,
        "expert_layer_period": 2,
        "layers_block_type": ["mamba", "attention"] * 2,
    },
    "kimi_k3": {
        "q_lora_rank": 32,
        "kv_lora_rank": 32,
        "qk_nope_head_dim": 16,
        "qk_rope_head_dim": 16,
        "v_head_dim": 16,
        "num_experts": 4,
        "moe_intermediate_size": 32,
        "hidden_act": "situ",
        "activation_situ_beta": 1.0,
        "linear_attn_config": _LINEAR,
        "attn_res_block_size": 2,
    },
    "kimi_linear": {"linear_attn_config": _LINEAR},
    "lfm2": _LFM2,
    "lfm2_moe": {**_LFM2, "num_dense_layers": 1},
    "lfm2-vl": _LFM2,
    "llama4_text": {"no_rope_layers": [1, 1, 1, 0]},
    "longcat_flash": _LONGCAT,
    "longcat_flash_ngram": _LONGCAT,
    "mellum": {"layer_types": _WINDOWED, "rope_parameters": dict.fromkeys(_WINDOWED, _ROPE)},
    "nemotron-nas": {"block_configs": [{"attention": {"n_heads_in_group": 2}, "ffn": {"ffn_mult": 3.0}}] * 4},
    "mimo_v2_flash": {
        "hybrid_layer_pattern": [1, 0, 1, 0],
        "moe_layer_freq": [0, 1, 1, 1],
        "topk_method": "noaux_tc",
        "scoring_func": "sigmoid",
        "swa_rope_theta": 10000.0,
        "swa_num_attention_heads": 4,
        "swa_num_key_value_heads": 2,
        "swa_head_dim": 16,
        "swa_v_head_dim": 16,
    },
    "minicpm3": {
        "rope_scaling": {
            "type": "longrope",
            "original_max_position_embeddings": 1024,
            "short_factor": [1.0] * 8,
            "long_factor": [1.0] * 8,
        }
    },
    "ministral3": {"rope_parameters": _MISTRAL_ROPE},
    "mistral4": {"rope_parameters": _MISTRAL_ROPE},
    "muse_spark": {
        "num_shared_experts": 0,
        "mlp_layer_types": ["sparse"] * 4,
        "layer_types": _WINDOWED,
        "layer_rope_theta": [10000.0] * 4,
        "rope_parameters": _ROPE,
        "moe_hidden_size": 64,
    },
    "nemotron_h": {
        "layers_block_type": ["mamba", "attention", "moe", "mlp"],
        "n_shared_experts": 1,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 32,
        "moe_shared_expert_intermediate_size": 32,
        "n_group": 1,
        "topk_group": 1,
        "norm_topk_prob": True,
        "routed_scaling_factor": 1.0,
        "head_dim": 16,
    },
    "openelm": {
        "num_query_heads": [4] * 4,
        "num_kv_heads": [2] * 4,
        "ffn_multipliers": [2.0] * 4,
        "ffn_dim_divisor": 32,
    },
    "qwen3_5": {"linear_num_value_heads": 4, "linear_num_key_heads": 2},
    "recurrent_gemma": {
        "block_types": ["recurrent", "attention"],
        "conv1d_width": 4,
        "attention_window_size": 16,
        "num_key_value_heads": 1,
        "logits_soft_cap": 30.0,
    },
    "solar_open": {"topk_method": "noaux_tc", "scoring_func": "sigmoid"},
    "phixtral": {"rotary_dim": 16},
    "phi3small": {"dense_attention_every_n_layers": 2},
    "plamo": {"n_shared_head": 2},
    "qwen": {"kv_channels": 16},
    "qwen3": {"rope_theta": 10000.0},
    "spark2_5": {
        "hidden_act": "gelu",
        "layer_types": _WINDOWED,
        "rope_parameters": dict.fromkeys(_WINDOWED, _ROPE),
    },
    "step3p5": {"moe_top_k": 2, "moe_num_experts": 4},
}
# it writes to the ids of its own unused tokens, whether they are there or not
_LEAST_VOCABULARY = {"phi3small": 100_352}
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
    module, vocabulary = _module(name), max(vocabulary, _LEAST_VOCABULARY.get(name, 0))
    made = _filled(module.ModelArgs, vocabulary) | OWN.get(name, {}) | changes
    if "text_config" in {field.name for field in dataclasses.fields(module.ModelArgs)}:
        made["text_config"] = _text_config(module, name, vocabulary) | changes
    return made | {"model_type": name, "vocab_size": vocabulary}


def _text_config(module: Any, name: str, vocabulary: int) -> dict[str, Any]:
    """What is inside of a model that sees: of its own classes, or of the architecture that it is built on."""
    own = next((getattr(module, nested) for nested in _NESTED if hasattr(module, nested)), None)
    if own is not None:
        return _filled(own, vocabulary) | OWN.get(name, {}) | {"model_type": f"{name}_text"}
    for value in vars(module).values():
        found = getattr(value, "__module__", None) or getattr(value, "__name__", "")
        inner = str(found).rpartition(".")[2]
        if str(found).startswith("mlx_lm.models.") and inner != name and _is_architecture(inner):
            built = config(inner, vocabulary)
            return dict(built.get("text_config", built)) | {"model_type": inner}
    return config("llama", vocabulary)


def _filled(arguments: Any, vocabulary: int) -> dict[str, Any]:
    made: dict[str, Any] = {"vocab_size": vocabulary}
    for field in dataclasses.fields(arguments):
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if field.name in SIZES and (required or not isinstance(field.default, bool | None.__class__)):
            made[field.name] = SIZES[field.name]
        elif required and field.name not in made:
            made[field.name] = of_type(str(field.type))
    return made


def of_type(kind: str) -> Any:
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
