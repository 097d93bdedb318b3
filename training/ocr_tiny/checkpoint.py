"""What a GLM-OCR checkpoint is made of, 1.15 M parameters small, in mlx-community's layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_vlm.models import glm_ocr
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from training.ocr_tiny.words import WIDTH

PROMPT = "Text Recognition:"
PATCH = 8
MERGE = 2  # one image token stands for 16 x 16 pixels: one cell
_HIDDEN = 128
_HEADS = 4
_LAYERS = 2
_CONTEXT = 4096
_SPECIAL = (
    *("<|endoftext|>", "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
    *("<|begin_of_image|>", "<|image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|video|>", "<|end_of_video|>"),
)
_CHAT = (
    "[gMASK]<sop>{% for m in messages %}<|{{ m['role'] }}|>{% if m['content'] is string %}{{ m['content'] }}"
    "{% else %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<|begin_of_image|><|image|><|end_of_image|>"
    "{% elif c['type'] == 'text' %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def write(folder: Path) -> tuple[Tokenizer, dict[str, Any], glm_ocr.Model]:
    """Everything but the weights goes to the folder; the model is new and random."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(_CHAT)
    config = _config(tokenizer)
    for name, content in (
        ("config.json", config),
        ("tokenizer_config.json", _TOKENIZER_CONFIG),
        ("preprocessor_config.json", _PREPROCESSOR_CONFIG),
        ("processor_config.json", {"processor_class": "GlmOcrProcessor"}),
        ("generation_config.json", {key: config[key] for key in ("eos_token_id", "pad_token_id")}),
    ):
        (folder / name).write_text(json.dumps(content, indent=1) + "\n")
    model = glm_ocr.Model(glm_ocr.ModelConfig.from_dict(json.loads(json.dumps(config))))
    mx.eval(model.parameters())
    return tokenizer, config, model


def save(folder: Path, model: glm_ocr.Model) -> int:
    """The weights; returns the number of parameters."""
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    return sum(weight.size for weight in weights.values())


def _tokenizer() -> Tokenizer:
    """Bytes without merges. Its size must be the model's: mlx_vlm's streaming detokenizer trips over unknown ids."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={symbol: number for number, symbol in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in _SPECIAL])
    tokenizer.add_tokens([AddedToken(PROMPT, special=False, normalized=False)])
    return tokenizer


_TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "eos_token": "<|endoftext|>",
    "pad_token": "<|endoftext|>",
    "model_max_length": _CONTEXT,
    "clean_up_tokenization_spaces": False,
    "padding_side": "left",
}
_PREPROCESSOR_CONFIG = {
    "image_processor_type": "Glm46VImageProcessor",
    "patch_size": PATCH,
    "merge_size": MERGE,
    "temporal_patch_size": 1,
    "size": {"shortest_edge": 16 * 16, "longest_edge": 256 * 256},
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
    "do_rescale": True,
    "do_normalize": True,
}


def _config(tokenizer: Tokenizer) -> dict[str, Any]:
    token, size = tokenizer.token_to_id, tokenizer.get_vocab_size()
    ends = {"eos_token_id": [token("<|endoftext|>"), token("<|user|>")], "pad_token_id": token("<|endoftext|>")}
    return {
        "model_type": "glm_ocr",
        "architectures": ["GlmOcrForConditionalGeneration"],
        "vocab_size": size,
        "hidden_size": _HIDDEN,
        "image_token_id": token("<|image|>"),
        "video_token_id": token("<|video|>"),
        "image_start_token_id": token("<|begin_of_image|>"),
        "image_end_token_id": token("<|end_of_image|>"),
        "video_start_token_id": token("<|begin_of_video|>"),
        "video_end_token_id": token("<|end_of_video|>"),
        **ends,
        "text_config": _text(size) | ends,
        "vision_config": _vision(),
    }


def _text(vocabulary: int) -> dict[str, Any]:
    head = _HIDDEN // _HEADS
    section = head * 3 // 16
    return {
        "model_type": "glm_ocr_text",
        "vocab_size": vocabulary,
        "hidden_size": _HIDDEN,
        "intermediate_size": 3 * _HIDDEN,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _HEADS // 2,
        "head_dim": head,
        "num_hidden_layers": _LAYERS,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": _CONTEXT,
        "rope_parameters": {
            "rope_type": "default",
            "mrope_section": [head // 2 - 2 * section, section, section],
            "partial_rotary_factor": 1.0,
            "rope_theta": 10000,
        },
        "num_nextn_predict_layers": 0,
    }


def _vision() -> dict[str, Any]:
    return {
        "model_type": "glm_ocr_vision",
        "depth": _LAYERS,
        "hidden_size": _HIDDEN,
        "intermediate_size": 3 * _HIDDEN,
        "num_heads": _HEADS,
        "patch_size": PATCH,
        "image_size": WIDTH,
        "in_channels": 3,
        "out_hidden_size": _HIDDEN,
        "spatial_merge_size": MERGE,
        "temporal_patch_size": 1,
        "attention_bias": True,
    }
