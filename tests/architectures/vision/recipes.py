"""What each architecture of mlx-vlm wants beside the fields that all share: marks, sizes, its processor's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Fields = Mapping[str, Any]

_HALF: dict[str, Any] = {
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "do_rescale": True,
    "do_normalize": True,
}
_SQUARE: dict[str, Any] = {"height": 32, "width": 32}


def _preprocessor(kind: str, **fields: Any) -> Fields:
    return {"image_processor_type": kind, **_HALF, **fields}


@dataclass(frozen=True)
class Recipe:
    """`ids`: fields that name a token by its mark. `mark`: what the chat template shows of a picture."""

    mark: str = "<image>"
    ids: Fields = field(default_factory=dict)
    top: Fields = field(default_factory=dict)
    text: Fields = field(default_factory=dict)
    vision: Fields = field(default_factory=dict)
    parts: Mapping[str, Fields] = field(default_factory=dict)  # of other nested configurations
    processor: Fields = field(default_factory=dict)
    preprocessor: Fields = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    template: str | None = None
    flat: bool = False  # the text's fields stand beside `vision_config`
    as_type: str | None = None  # what config.json calls it, where that is not the module's name


_QWEN_IDS: dict[str, Any] = {
    "image_token_id": "<|image_pad|>",
    "image_token_index": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "video_token_index": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
    "vision_token_id": "<|vision_pad|>",
}
_QWEN_MARK = "<|vision_start|><|image_pad|><|vision_end|>"
_MROPE: dict[str, Any] = {"type": "mrope", "rope_type": "default", "mrope_section": [2, 3, 3]}
_QWEN_SIZES: dict[str, Any] = {
    "patch_size": 8,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "min_pixels": 256,
    "max_pixels": 4096,
}
_QWEN_EYES: dict[str, Any] = {
    "patch_size": 8,
    "spatial_patch_size": 8,
    "depth": 2,
    "in_channels": 3,
    "out_hidden_size": 64,
}


def _qwen(**fields: Any) -> Recipe:
    text = {"rope_scaling": _MROPE} | fields.pop("text", {})
    vision = _QWEN_EYES | fields.pop("vision", {})
    seen = _preprocessor(fields.pop("kind", "Qwen2VLImageProcessor"), **_QWEN_SIZES)
    return Recipe(_QWEN_MARK, _QWEN_IDS, text=text, vision=vision, preprocessor=seen, **fields)


_CLIP = _preprocessor("CLIPImageProcessor", size={"shortest_edge": 32}, crop_size=_SQUARE)
_SIGLIP = _preprocessor("SiglipImageProcessor", size=_SQUARE)
_IMAGE_IDS: dict[str, Any] = {"image_token_index": "<image>", "image_token_id": "<image>"}
_LLAVA: dict[str, Any] = {
    "patch_size": 8,
    "vision_feature_select_strategy": "default",
    "num_additional_image_tokens": 1,
}
_GEMMA_NAMES: dict[str, Any] = {
    "image_token": "<image_soft_token>",
    "boi_token": "<start_of_image>",
    "eoi_token": "<end_of_image>",
    "audio_token": "<audio_soft_token>",
    "boa_token": "<start_of_audio>",
    "eoa_token": "<end_of_audio>",
}
_GEMMA_IDS: dict[str, Any] = {
    "image_token_index": "<image_soft_token>",
    "image_token_id": "<image_soft_token>",
    "audio_token_id": "<audio_soft_token>",
    "boi_token_index": "<start_of_image>",
    "eoi_token_index": "<end_of_image>",
}
_PIXTRAL_IDS: dict[str, Any] = {"image_token_index": "[IMG]", "image_token_id": "[IMG]"}
_PIXTRAL = _preprocessor("PixtralImageProcessor", patch_size=8, size={"longest_edge": 64})
_IDEFICS3: dict[str, Any] = {
    "size": {"longest_edge": 32},
    "max_image_size": {"longest_edge": 32},
    "do_image_splitting": False,
}
_SPLIT: dict[str, Any] = {"do_resize": True, "resample": 1, "do_convert_rgb": True, "do_pad": True}

_STRINGS = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ '\n' + m['content'] }}{% endfor %}<|assistant|>"  # takes texts alone
)
_GLM_IDS: dict[str, Any] = {
    "image_token_id": "<|image|>",
    "image_token_index": "<|image|>",
    "video_token_id": "<|video|>",
    "image_start_token_id": "<|begin_of_image|>",
    "image_end_token_id": "<|end_of_image|>",
    "video_start_token_id": "<|begin_of_video|>",
    "video_end_token_id": "<|end_of_video|>",
    "vision_start_token_id": "<|begin_of_image|>",
    "vision_end_token_id": "<|end_of_image|>",
}
_GLM_SIZES: dict[str, Any] = {
    "patch_size": 8,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "size": {"shortest_edge": 512, "longest_edge": 8192},
}
_DEEPSEEK_V3: dict[str, Any] = {
    "num_key_value_heads": 4,
    "q_lora_rank": None,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
}
_DEEPSEEK_V3 |= {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "topk_method": "noaux_tc"}
_MOON: dict[str, Any] = {
    "patch_size": 8,
    "init_pos_emb_height": 8,
    "init_pos_emb_width": 8,
    "merge_kernel_size": [2, 2],
}
_GEMMA4: dict[str, Any] = {
    "num_kv_shared_layers": 0,
    "global_head_dim": 32,
    "hidden_size_per_layer_input": 16,
    "layer_types": ["sliding_attention", "full_attention"],
}

_GEMMA4_NAMES: dict[str, Any] = {
    "image_token": "<|image|>",
    "boi_token": "<|image>",
    "eoi_token": "<image|>",
    "audio_token": "<|audio|>",
    "boa_token": "<|audio>",
    "eoa_token": "<audio|>",
}
_GEMMA4_IDS = {f"{name}_id": mark for name, mark in _GEMMA4_NAMES.items()}

_SMALL_EYES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}

RECIPES: dict[str, Recipe] = {
    "qwen2_vl": _qwen(vision={"embed_dim": 64}, flat=True),
    "qwen2_5_vl": _qwen(vision={"window_size": 32, "fullatt_block_indexes": [1]}, flat=True),
    "qwen3_vl": _qwen(
        vision={"num_position_embeddings": 64, "deepstack_visual_indexes": [0]},
        text={"rope_scaling": _MROPE | {"mrope_interleaved": True}},
    ),
    "qwen3_vl_moe": _qwen(
        vision={"num_position_embeddings": 64, "deepstack_visual_indexes": [0]},
        text={"rope_scaling": _MROPE | {"mrope_interleaved": True}},
    ),
    "gemma3": Recipe(
        "<start_of_image>",
        _GEMMA_IDS,
        top={"mm_tokens_per_image": 4},
        text={"sliding_window_pattern": 2, "mm_tokens_per_image": 4, "query_pre_attn_scalar": 16},
        vision={"model_type": "siglip_vision_model"},
        processor={"image_seq_length": 4, "processor_class": "Gemma3Processor"},
        preprocessor=_preprocessor("Gemma3ImageProcessor", size=_SQUARE),
        names=_GEMMA_NAMES,
    ),
    "llava": Recipe(ids=_IMAGE_IDS, processor=_LLAVA, preprocessor=_CLIP, vision={"model_type": "clip_vision_model"}),
    "llava_next": Recipe(
        ids=_IMAGE_IDS,
        processor=_LLAVA,
        vision={"model_type": "clip_vision_model"},
        preprocessor=_preprocessor(
            "LlavaNextImageProcessor",
            size={"shortest_edge": 32},
            crop_size=_SQUARE,
            image_grid_pinpoints=[[32, 64], [64, 32], [64, 64]],
        ),
    ),
    "idefics3": Recipe(
        ids=_IMAGE_IDS,
        vision={"model_type": "idefics3"},
        processor={"image_seq_len": 4},
        preprocessor=_preprocessor("Idefics3ImageProcessor", **_IDEFICS3, **_SPLIT),
    ),
    "smolvlm": Recipe(
        ids=_IMAGE_IDS,
        text={"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16},
        vision=_SMALL_EYES | {"model_type": "siglip_vision_model"},
        processor={"image_seq_len": 4},
        preprocessor=_preprocessor("SmolVLMImageProcessor", **_IDEFICS3, **_SPLIT),
    ),
    "pixtral": Recipe(
        "[IMG]",
        _PIXTRAL_IDS,
        vision={"model_type": "pixtral", "head_dim": 16, "image_size": 64},
        processor={"patch_size": 8},
        preprocessor=_PIXTRAL,
    ),
    "mistral3": Recipe(
        "[IMG]",
        _PIXTRAL_IDS,
        text={"model_type": "mistral", "rope_theta": 10000.0, "head_dim": 16, "num_key_value_heads": 2},
        vision={"model_type": "pixtral", "head_dim": 16, "image_size": 64},
        processor={"patch_size": 8, "spatial_merge_size": 2},
        preprocessor=_PIXTRAL,
    ),
    "paligemma": Recipe(
        ids=_IMAGE_IDS,
        vision={"model_type": "siglip_vision_model"},
        text={"model_type": "gemma"},
        top={"hidden_size": 64},
        preprocessor=_preprocessor("SiglipImageProcessor", size=_SQUARE, image_seq_length=16),
        names={"image_token": "<image>"},
        template="",
    ),
    "glm4v": Recipe(
        "<|begin_of_image|><|image|><|end_of_image|>",
        _GLM_IDS,
        text={"rope_scaling": {"type": "default", "mrope_section": [2, 3, 3]}, "partial_rotary_factor": 1.0},
        vision=_QWEN_EYES | {"model_type": "glm4v", "image_size": 64},
        preprocessor=_preprocessor("Glm4vImageProcessor", **_GLM_SIZES),
    ),
    "glm4v_moe": Recipe(
        "<|begin_of_image|><|image|><|end_of_image|>",
        _GLM_IDS,
        text={
            "topk_method": "noaux_tc",
            "rope_scaling": {"type": "default", "mrope_section": [2, 3, 3]},
            "partial_rotary_factor": 1.0,
            "rope_parameters": {
                "type": "default",
                "rope_type": "default",
                "mrope_section": [2, 3, 3],
                "rope_theta": 10000.0,
            },
        },
        vision=_QWEN_EYES | {"model_type": "glm4v_moe", "image_size": 64},
        preprocessor=_preprocessor("Glm4vImageProcessor", **_GLM_SIZES),
    ),
    "glm_ocr": Recipe(
        "<|begin_of_image|><|image|><|end_of_image|>",
        _GLM_IDS,
        text={
            "rope_parameters": {
                "rope_type": "default",
                "mrope_section": [2, 3, 3],
                "partial_rotary_factor": 1.0,
                "rope_theta": 10000,
            },
            "num_nextn_predict_layers": 0,
        },
        vision=_QWEN_EYES | {"model_type": "glm_ocr_vision", "attention_bias": True},
        preprocessor=_preprocessor("Glm46VImageProcessor", **_GLM_SIZES),
        processor={"processor_class": "GlmOcrProcessor"},
    ),
    "molmo": Recipe(
        text={"mlp_hidden_size": 128, "additional_vocab_size": 8, "embedding_size": 512},
        vision={
            "image_default_input_size": [28, 28],
            "image_patch_size": 7,
            "image_pos_patch_size": 7,
            "hidden_size": 128,
            "image_emb_dim": 64,
            "image_num_heads": 4,
            "image_num_key_value_heads": 4,
            "image_num_layers": 2,
            "image_head_dim": 16,
            "image_mlp_dim": 128,
            "image_num_pos": 17,
            "d_model": 64,
            "vit_layers": [-1, -2],
        },
        preprocessor={
            "max_crops": 2,
            "overlap_margins": [0, 0],
            "base_image_input_size": [28, 28],
            "image_token_length_w": 2,
            "image_token_length_h": 2,
            "image_patch_size": 7,
        },
        template=_STRINGS,
    ),
    "deepseek_vl_v2": Recipe(
        ids={"image_token_index": "<image>"},
        text={"q_lora_rank": None, "num_key_value_heads": 4, "topk_method": "greedy"},
        vision={"model_type": "vision", "width": 64, "layers": 2},
        parts={"projector": {"projector_type": "downsample_mlp_gelu", "input_dim": 64, "n_embed": 64, "depth": 2}},
        processor={
            "candidate_resolutions": [[32, 32]],
            "patch_size": 8,
            "downsample_ratio": 2,
            "image_token": "<image>",
        },
        template=_STRINGS,
    ),
    "kimi_vl": Recipe(
        "<|media_start|>image<|media_content|><|media_pad|><|media_end|>",
        {"media_placeholder_token_id": "<|media_pad|>", "image_token_index": "<|media_pad|>"},
        text=_DEEPSEEK_V3,
        vision=_MOON | {"model_type": "moonvit"},
    ),
    "kimi_k25": Recipe(
        "<|media_start|>image<|media_content|><|media_pad|><|media_end|>",
        {"media_placeholder_token_id": "<|media_pad|>", "image_token_index": "<|media_pad|>"},
        text=_DEEPSEEK_V3,
        vision=_MOON | {"model_type": "moonvit"},
        preprocessor={"media_proc_cfg": {"patch_size": 8, "in_patch_limit": 64, "merge_kernel_size": 2}},
    ),
    "mllama": Recipe(
        "<|image|>",
        {"image_token_index": "<|image|>"},
        text={"cross_attention_layers": [1]},
        vision={
            "num_global_layers": 1,
            "vision_output_dim": 128,
            "intermediate_layers_indices": [0],
        },
        preprocessor=_preprocessor(
            "MllamaImageProcessor", size=_SQUARE, max_image_tiles=4, do_pad=True, do_resize=True
        ),
    ),
    "aya_vision": Recipe(
        "<image>",
        {"image_token_index": "<|IMG_PATCH|>"},
        top={"alignment_intermediate_size": 128, "downsample_factor": 2},
        text={"model_type": "cohere2", "sliding_window_pattern": 2},
        vision={"model_type": "siglip_vision_model"},
        processor={"patch_size": 8, "img_size": 32, "downsample_factor": 2, "processor_class": "AyaVisionProcessor"},
        preprocessor=_preprocessor("GotOcr2ImageProcessor", size=_SQUARE, crop_to_patches=False),
    ),
    "llama4": Recipe(
        "<|image|>",
        {"image_token_index": "<|patch|>", "image_token_id": "<|patch|>"},
        text={"no_rope_layers": [1, 0], "num_experts_per_tok": 1, "attention_chunk_size": 128},
        vision={
            "model_type": "llama4_vision_model",
            "image_size": 28,
            "patch_size": 14,
            "vision_output_dim": 64,
            "projector_input_dim": 64,
            "projector_output_dim": 64,
            "intermediate_size": 256,
        },
        preprocessor=_preprocessor("Llama4ImageProcessor", size={"height": 28, "width": 28}, max_patches=2),
    ),
    "gemma4": Recipe(
        "<|image|>",
        _GEMMA4_IDS,
        top={"vision_soft_tokens_per_image": 4, "audio_config": None},
        text=_GEMMA4,
        vision={
            "model_type": "gemma4_vision",
            "pooling_kernel_size": 2,
            "position_embedding_size": 64,
            "global_head_dim": 16,
        },
        processor={
            "image_processor": {"patch_size": 8, "max_soft_tokens": 4, "pooling_kernel_size": 2},
            "image_seq_length": 4,
        },
        names=_GEMMA4_NAMES,
    ),
    "internvl_chat": Recipe(
        "<image>",
        {"image_token_index": "<IMG_CONTEXT>"},
        text={"model_type": "qwen2"},
        vision={"model_type": "intern_vit_6b"},
        top={"max_dynamic_patch": 2},
    ),
    "internvl": Recipe(
        "<image>",
        {"image_token_id": "<IMG_CONTEXT>"},
        text={"model_type": "qwen2"},
        vision={"model_type": "internvl_vision"},
        top={"max_dynamic_patch": 2},
        processor={"image_seq_length": 4},
    ),
    "idefics2": Recipe(
        ids=_IMAGE_IDS,
        vision={"model_type": "idefics2"},
        parts={
            "perceiver": {
                "model_type": "idefics2_perceiver",
                "num_key_value_heads": 2,
                "resampler_depth": 1,
                "resampler_head_dim": 16,
                "resampler_n_heads": 4,
                "resampler_n_latents": 4,
            }
        },
        processor={"image_seq_len": 4},
        preprocessor=_preprocessor(
            "Idefics2ImageProcessor",
            size={"longest_edge": 32, "shortest_edge": 16},
            do_image_splitting=False,
            **_SPLIT,
        ),
    ),
    "llava_onevision": Recipe(
        ids={"image_token_index": "<image>", "video_token_index": "<video>"},
        top={"image_grid_pinpoints": [[32, 32], [32, 64], [64, 32], [64, 64]]},
        vision={"model_type": "siglip_vision_model"},
        processor={"num_image_tokens": 16, "vision_feature_select_strategy": "full"},
        preprocessor=_preprocessor(
            "LlavaOnevisionImageProcessor",
            size=_SQUARE,
            image_grid_pinpoints=[[32, 32], [32, 64], [64, 32], [64, 64]],
        ),
    ),
    "qwen3_5": _qwen(
        text={
            "head_dim": 16,
            "rope_parameters": _MROPE | {"mrope_interleaved": True, "rope_theta": 10000, "partial_rotary_factor": 1.0},
        },
        vision={"num_position_embeddings": 64, "deepstack_visual_indexes": []},
    ),
    "qwen3_5_moe": _qwen(
        text={
            "head_dim": 16,
            "rope_parameters": _MROPE | {"mrope_interleaved": True, "rope_theta": 10000, "partial_rotary_factor": 1.0},
        },
        vision={"num_position_embeddings": 64, "deepstack_visual_indexes": []},
    ),
    "paddleocr_vl": Recipe(
        flat=True,
        mark="<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>",
        ids={
            "image_token_id": "<|IMAGE_PLACEHOLDER|>",
            "vision_start_token_id": "<|IMAGE_START|>",
            "vision_end_token_id": "<|IMAGE_END|>",
        },
        text={
            "head_dim": 16,
            "rope_parameters": _MROPE | {"rope_theta": 10000},
            "rope_scaling": _MROPE,
            "use_bias": False,
            "hidden_act": "silu",
            "hidden_size": 1024,  # as its projector has it
            "pad_token_id": 256,
            "bos_token_id": 256,
            "eos_token_id": 256,
            "num_key_value_heads": 2,
        },
        vision={"model_type": "paddleocr_vl"},
        preprocessor={
            "patch_size": 8,
            "merge_size": 2,
            "min_pixels": 256,
            "max_pixels": 4096,
            "temporal_patch_size": 1,
        },
    ),
    "granite_vision": Recipe(
        ids={"image_token_index": "<image>"},
        top={"image_grid_pinpoints": [[32, 32], [32, 64], [64, 32]]},
        vision={"model_type": "siglip_vision_model"},
        processor={"patch_size": 8, "vision_feature_select_strategy": "full"},
        preprocessor=_preprocessor(
            "LlavaNextImageProcessor",
            size={"shortest_edge": 32},
            crop_size=_SQUARE,
            image_grid_pinpoints=[[32, 32], [32, 64], [64, 32]],
        ),
    ),
    "lfm2_vl": Recipe(
        ids=_IMAGE_IDS,
        text={
            "block_ff_dim": 128,
            "conv_dim": 64,
            "conv_dim_out": 64,
            "block_dim": 64,
            "block_auto_adjust_ff_dim": False,
            "layer_types": ["conv", "full_attention"],
            "full_attn_idxs": [1],
            "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
        },
        top={"projector_hidden_size": 64, "downsample_factor": 2, "encoder_patch_size": 8, "tile_size": 32},
        vision={"num_patches": 16, "image_size": 32},
        preprocessor={
            "image_processor_type": "Lfm2VlImageProcessor",
            "encoder_patch_size": 8,
            "downsample_factor": 2,
            "min_image_tokens": 1,
            "max_image_tokens": 4,
            "tile_size": 32,
            "do_image_splitting": False,
        },
        processor={"processor_class": "Lfm2VlProcessor"},
        names={
            "image_token": "<image>",
            "image_start_token": "<|image_start|>",
            "image_end_token": "<|image_end|>",
            "image_thumbnail": "<|image_thumbnail|>",
        },
    ),
    "inkling": Recipe("<image>", _IMAGE_IDS),
    "qwen4_exp": _qwen(),
    "minicpmv4_6": Recipe(
        "(<image>./</image>)",
        text={
            "head_dim": 16,
            "rope_parameters": _MROPE | {"mrope_interleaved": True, "rope_theta": 10000},
            "model_type": "qwen3_5_text",
        },
        vision={"image_size": 64, "patch_size": 8},
        top={"query_num": 4, "insert_layer_id": 1, "image_size": 64, "patch_size": 8},
        preprocessor={"patch_size": 8, "scale_resolution": 64, "image_feature_size": 4},
        names={"image_token": "<|image_pad|>"},
    ),
    "locateanything": Recipe("<image-1>", _IMAGE_IDS),
    "falcon_ocr": Recipe(
        "<|image|>",
        {
            "img_id": "<|image|>",
            "image_cls_token_id": "<image>",
            "image_reg_1_token_id": "<img>",
            "image_reg_2_token_id": "<|img|>",
            "image_reg_3_token_id": "<video>",
            "image_reg_4_token_id": "<audio>",
            "img_end_id": "</img>",
        },
        flat=True,
        top={"head_dim": 16, "num_attention_heads": 4, "num_key_value_heads": 2},
    ),
    "gemma4_unified": Recipe(
        "<|image|>",
        _GEMMA4_IDS,
        top={"vision_soft_tokens_per_image": 4, "audio_config": None},
        text=_GEMMA4 | {"hidden_size_per_layer_input": 0, "num_global_key_value_heads": 2},
        vision={
            "patch_size": 8,
            "pooling_kernel_size": 2,
            "model_patch_size": 16,
            "mm_embed_dim": 64,
            "mm_posemb_size": 64,
            "num_soft_tokens": 4,
            "output_proj_dims": 64,
        },
        processor={
            "image_processor": {
                "patch_size": 8,
                "max_soft_tokens": 4,
                "pooling_kernel_size": 2,
                "model_patch_size": 16,
                "mm_posemb_size": 64,
            },
            "image_seq_length": 4,
        },
        names=_GEMMA4_NAMES,
    ),
    "glm5_next": Recipe(
        "<|begin_of_image|><|image|><|end_of_image|>",
        _GLM_IDS,
        text={
            "num_key_value_heads": 4,
            "layer_types": ["linear_attention", "deepseek_sparse_attention"],
            "first_k_dense_replace": 1,
            "index_topk": 64,
            "index_kpool": 4,
            "index_head_dim": 16,
            "index_n_heads": 2,
            "linear_head_dim": 16,
            "linear_num_heads": 4,
            "qk_rope_head_dim": 0,
            "qk_nope_head_dim": 16,
            "v_head_dim": 16,
            "kv_lora_rank": 32,
            "q_lora_rank": 32,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "hc_mult": 2,
            "mlp_layer_types": ["dense", "sparse"],
            "indexer_types": ["full", "full"],
        },
        vision=_QWEN_EYES
        | {
            "image_size": 64,
            "hidden_size": 64,
            "num_heads": 4,
            "intermediate_size": 128,
            "projection_intermediate_size": 128,
            "out_hidden_size": 64,
        },
        processor={
            "image_processor": {
                "patch_size": 8,
                "temporal_patch_size": 2,
                "merge_size": 2,
                "min_image_tokens": 2,
                "max_image_tokens": 16,
            }
        },
        preprocessor={
            "patch_size": 8,
            "temporal_patch_size": 2,
            "merge_size": 2,
            "min_image_tokens": 2,
            "max_image_tokens": 16,
        },
    ),
    "got": Recipe(
        "<image>",
        {"im_patch_token": "<imgpad>", "im_start_token": "<img>", "im_end_token": "</img>"},
        flat=True,
        vision={
            "embed_dim": 32,
            "depth": 2,
            "num_heads": 2,
            "out_chans": 16,
            "out_dim": 64,
            "global_attn_indexes": [1],
            "img_size": 1024,
            "patch_size": 16,
            "window_size": 14,
        },
        template=_STRINGS,
    ),
    "granite4_vision": Recipe(
        ids={"image_token_index": "<image>"},
        top={
            "image_grid_pinpoints": [[32, 32], [32, 64], [64, 32]],
            "downsample_rate": "1/2",
            "deepstack_layer_map": [[-1, 0]],
            "spatial_target_layers": [1],
        },
        vision={"model_type": "siglip_vision_model", "image_size": 32, "patch_size": 8},
        processor={"patch_size": 8, "vision_feature_select_strategy": "full", "downsample_rate": "1/2"},
        preprocessor=_preprocessor(
            "LlavaNextImageProcessor",
            size=_SQUARE,
            crop_size=_SQUARE,
            image_grid_pinpoints=[[32, 32], [32, 64], [64, 32]],
        ),
    ),
    "kimi_k3": Recipe(
        "<|media_start|>image<|media_content|><|media_pad|><|media_end|>",
        {"media_placeholder_token_id": "<|media_pad|>", "image_token_index": "<|media_pad|>"},
        text={
            "hidden_act": "situ",
            "num_key_value_heads": 4,
            "linear_attn_config": {
                "kda_layers": [1],
                "full_attn_layers": [2],
                "num_heads": 4,
                "head_dim": 16,
                "short_conv_kernel_size": 4,
            },
            "kv_lora_rank": 32,
            "q_lora_rank": None,
            "qk_nope_head_dim": 16,
            "qk_rope_head_dim": 16,
            "v_head_dim": 16,
            "num_experts": 4,
            "num_experts_per_token": 2,
            "moe_intermediate_size": 32,
            "first_k_dense_replace": 1,
        },
        vision=_MOON
        | {
            "vt_num_attention_heads": 4,
            "vt_num_hidden_layers": 2,
            "vt_hidden_size": 64,
            "vt_intermediate_size": 128,
            "qkv_hidden_size": 64,
            "mm_hidden_size": 64,
            "text_hidden_size": 64,
        },
        preprocessor={"media_proc_cfg": {"patch_size": 8, "in_patch_limit": 64, "merge_kernel_size": 2}},
    ),
    "minimax_m3_vl": Recipe(
        "]<]image[>[",
        {
            "image_token_id": "]<]image[>[",
            "image_token_index": "]<]image[>[",
            "video_token_index": "]<]video[>[",
            "video_token_id": "]<]video[>[",
            "vision_start_token_id": "]<]start of image[>[",
            "vision_end_token_id": "]<]end of image[>[",
        },
        text={
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "moe_layer_freq": [0, 1],
            "layer_types": ["full_attention", "minimax_m3_sparse"],
            "index_n_heads": 2,
            "index_head_dim": 16,
            "index_block_size": 16,
            "index_topk_blocks": 2,
            "index_local_blocks": 1,
            "hidden_act": "swigluoai",
            "intermediate_size": 64,
            "dense_intermediate_size": 128,
            "shared_intermediate_size": 64,
            "rotary_dim": 8,
            "head_dim": 16,
        },
        vision={
            "image_size": 64,
            "patch_size": 8,
            "projection_dim": 64,
            "model_type": "clip_vision_model",
            "hidden_act": "gelu",
        },
        top={
            "projector_hidden_size": 64,
            "img_token_compression_config": {"spatial_merge_size": 2, "temporal_patch_size": 2},
        },
        preprocessor={
            "patch_size": 8,
            "temporal_patch_size": 2,
            "merge_size": 2,
            "min_pixels": 256,
            "max_pixels": 4096,
        },
    ),
    "step3p7": Recipe(
        "<im_patch>",
        {"image_token_id": "<im_patch>", "image_token_index": "<im_patch>"},
        text={
            "num_attention_groups": 2,
            "moe_num_experts": 4,
            "moe_top_k": 2,
            "moe_intermediate_size": 32,
            "share_expert_dim": 32,
            "moe_layers_enum": [1],
            "layer_types": ["full_attention", "sliding_attention"],
            "sliding_window": 8,
            "head_dim": 16,
            "max_seq_len": 4096,
            "attention_other_setting": {"num_attention_heads": 4, "num_attention_groups": 2, "head_dim": 16},
        },
        vision={
            "model_type": "perception_encoder",
            "width": 64,
            "layers": 2,
            "heads": 4,
            "image_size": 728,
            "patch_size": 14,
            "mlp_ratio": 2.0,
        },
    ),
    "zaya1_vl": Recipe(
        _QWEN_MARK,
        _QWEN_IDS,
        flat=True,
        text={
            "num_query_groups": 2,
            "num_key_value_heads": 2,
            "num_attention_heads": 4,
            "head_dim": 16,
            "ffn_hidden_size": 64,
            "num_experts": 4,
            "zaya_mlp_expansion": 16,
            "vision_lora_rank_attn": 4,
            "vision_lora_rank_mlp": 4,
            "hidden_size": 64,
        },
        vision=_QWEN_EYES | {"hidden_size": 64, "window_size": 32, "fullatt_block_indexes": [1]},
        preprocessor=_preprocessor("Qwen2VLImageProcessor", **_QWEN_SIZES),
    ),
    "cohere_compass": Recipe(
        "<|VISION_START|><|IMAGE_PAD|><|VISION_END|>",
        {
            "image_token_id": "<|IMAGE_PAD|>",
            "vision_start_token_id": "<|VISION_START|>",
            "vision_end_token_id": "<|VISION_END|>",
        },
        text={
            "head_dim": 16,
            "layer_types": ["sliding_attention", "full_attention"],
            "sliding_window": 8,
            "rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 10000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            },
        },
        vision=_QWEN_EYES
        | {
            "hidden_size": 64,
            "num_heads": 4,
            "intermediate_size": 128,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
        },
        preprocessor=_preprocessor("Qwen2VLImageProcessor", **_QWEN_SIZES),
    ),
    "minicpmv4_7": Recipe(
        "(<image>./</image>)",
        {
            "image_token_id": "<|image_pad|>",
            "video_token_id": "<|video_pad|>",
            "image_start_id": "<image>",
            "image_end_id": "</image>",
            "slice_start_id": "<slice>",
            "slice_end_id": "</slice>",
        },
        text={
            "head_dim": 16,
            "rope_parameters": _MROPE | {"mrope_interleaved": True, "rope_theta": 10000},
            "model_type": "qwen3_5_text",
        },
        vision={"image_size": 64, "patch_size": 8},
        top={
            "query_num": 4,
            "insert_layer_id": 1,
            "image_size": 64,
            "patch_size": 8,
            "newline_id": 10,
            "mrope_mode": "canvas",
            "downsample_mode": "16x",
        },
        preprocessor={"patch_size": 8, "scale_resolution": 64, "image_feature_size": 4},
        names={"image_token": "<|image_pad|>"},
    ),
    "muse_glimmer": Recipe(
        "<|patch|>",
        {"image_token_id": "<|patch|>"},
        top={"out_hidden_size": 256, "projector_hidden_size": 64},
        text={
            "head_dim": 16,
            "layer_types": ["sliding_attention", "full_attention"],
            "sliding_window": 8,
            "layer_rope_theta": [10000, 0],
            "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
        },
        vision={
            "patch_size": 8,
            "patch_temporal": 2,
            "merge_size": 2,
            "pos_emb_height": 8,
            "pos_emb_width": 8,
            "layer_types": ["window_attention", "full_attention"],
            "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
        },
        preprocessor={"patch_size": 8, "temporal_patch_size": 2, "merge_size": 2, "max_image_tokens": 16},
        processor={
            "image_processor": {"patch_size": 8, "temporal_patch_size": 2, "merge_size": 2, "max_image_tokens": 16}
        },
    ),
    "mage_vl": Recipe(
        _QWEN_MARK,
        _QWEN_IDS,
        text={"model_type": "qwen3", "head_dim": 16},
        vision={
            "hidden_size": 128,
            "num_attention_heads": 4,
            "patch_size": 8,
            "image_size": 64,
            "out_hidden_size": 64,
            "text_hidden_size": 64,
            "spatial_merge_size": 2,
            "intermediate_size": 128,
        },
        preprocessor=_preprocessor("Qwen2VLImageProcessor", **(_QWEN_SIZES | {"temporal_patch_size": 1})),
    ),
    "mimo_v2": Recipe(
        _QWEN_MARK,
        _QWEN_IDS,
        text={
            "head_dim": 16,
            "v_head_dim": 16,
            "swa_head_dim": 16,
            "swa_v_head_dim": 16,
            "swa_num_attention_heads": 4,
            "swa_num_key_value_heads": 2,
            "num_key_value_heads": 2,
            "num_attention_heads": 4,
            "sliding_window_size": 8,
            "hybrid_layer_pattern": [0, 1],
            "moe_layer_freq": [0, 1],
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "partial_rotary_factor": 0.5,
            "topk_method": "noaux_tc",
        },
        vision=_QWEN_EYES
        | {
            "hidden_size": 64,
            "num_heads": 4,
            "num_key_value_heads": 4,
            "num_query_groups": 1,
            "qk_channels": 16,
            "fullatt_block_indexes": [0, 1],
            "intermediate_size": 128,
            "vit_window_attn_types": [-1, -1],
            "visual_token_window_size": 16,
            "window_size": 32,
        },
        parts={
            "audio": {
                "out_hidden_size": 64,
                "audio_channels": 2,
                "input_local_dim": 32,
                "input_local_intermediate_size": 64,
                "input_local_layers": 1,
                "input_local_attn_heads": 2,
                "input_local_head_dim": 16,
                "speech_vocab_size": 16,
                "speech_zeroemb_idx": 8,
            }
        },
        preprocessor=_preprocessor("Qwen2VLImageProcessor", **_QWEN_SIZES),
    ),
    "moondream3": Recipe(
        "<image>",
        {},
        text={
            "num_key_value_heads": 4,
            "rope_dim": 8,
            "head_dim": 16,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "moe_start_layer": 1,
            "prefix_attn": 17,
        },
        vision={
            "crop_size": 32,
            "patch_size": 8,
            "max_crops": 2,
            "overlap_margin": 1,
            "proj_inner_dim": 64,
            "proj_out_dim": 64,
        },
        template=_STRINGS,
    ),
    "multi_modality": Recipe(
        "<image>",
        {"image_token_index": "<image>"},
        text={"model_type": "llama"},
        top={"num_image_tokens": 64},
        vision={
            "model_type": "vision",
            "image_size": 384,
            "patch_size": 48,
            "cls": "SiglipVisionModel",
            "params": {"image_size": 384, "patch_size": 48, "width": 64, "layers": 2, "heads": 4},
        },
        parts={
            "projector": {
                "cls": "MlpProjector",
                "model_type": "aligner",
                "params": {"depth": 2, "input_dim": 64, "n_embed": 64, "projector_type": "mlp_gelu"},
            }
        },
        processor={"num_image_tokens": 64},
        preprocessor={
            "image_size": 384,
            "image_processor_type": "VLMImageProcessor",
            "min_size": 14,
            "background_color": [0, 0, 0],
        },
    ),
}
