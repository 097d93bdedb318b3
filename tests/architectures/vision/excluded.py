"""Models of mlx-vlm that look at pictures and are not tried, each with its reason."""

from __future__ import annotations

_VECTORS = "makes vectors, not text"
_PICTURES = "makes pictures, not text"
_FINDS = "finds objects, masks or depth in a picture; writes no text"
_NOT_A_CHAT = "an encoder and a decoder: what it writes is not a continuation of its prompt, which all our batches are"

EXCLUDED: dict[str, str] = (
    dict.fromkeys(("colidefics3", "colqwen2_5", "embedding_gemma2", "llama_nemotron_vl_embedding"), _VECTORS)
    | dict.fromkeys(("qwen3_vl_embedding", "siglip", "dinov2"), _VECTORS)
    | dict.fromkeys(("rfdetr", "rt_detr_v2", "yolo11", "pp_doclayout_v3", "falcon_perception", "moge3"), _FINDS)
    | dict.fromkeys(("sam3", "sam3_1", "sam3d_body", "sam3d_objects", "sapiens2", "video_depth_anything"), _FINDS)
    | dict.fromkeys(("flux2", "flux3", "qwen_image", "z_image", "ernie_image", "ming_image", "moss_image"), _PICTURES)
    | dict.fromkeys(("llada_image", "ideogram4", "mage_flow", "bonsai"), _PICTURES)
    | dict.fromkeys(("florence2", "nemotron_parse"), _NOT_A_CHAT)
    | dict.fromkeys(("d1", "d1_omni", "clef"), "decides between given answers; writes no text")
    | {
        "diffusion_gemma": "writes by diffusion, a block of tokens at a time; our batches write from left to right",
        "hunyuan_vl": "its processor knows its marks by ids beyond 120,000: no small vocabulary has them",
        "dots_ocr": "its processor knows its mark by an id beyond 150,000: no small vocabulary has it",
        "moondream2": "its processor takes the tokenizer of another repository (moondream/starmie-v1)",
        "phi4_siglip": "this transformers cannot make its processor: refused at load",
        "molmo2": "its vision tower has fixed sizes: 1.6 GB at the least",
        "fastvlm": "its vision tower has fixed sizes: 0.4 GB at the least",
        "minicpmo": "its audio encoder has fixed sizes: 1.2 GB at the least",
        "gemma3n": "its audio encoder has fixed sizes: 3.7 GB at the least",
        "deepseekocr": "its vision tower has fixed sizes: 0.4 GB at the least",
        "jina_vlm": "its processor knows its marks by ids beyond 150,000: no small vocabulary has them",
        "llava_bunny": "its picture is one token of the prompt and 729 places of the text",
        "deepseekocr_2": "its vision tower has fixed sizes, 24 layers of 896: 1.4 GB at the least",
        "ernie4_5_moe_vl": "its tokenizer is a SentencePiece file read by code of its own: ours is of bytes",
        "plamo2vl": "its tokenizer is a file of a form of its own: ours is of bytes",
        "indic_ocr": "Qwen3.5 under another name, behind a pipeline of several models",
        "prism_hadamard_qwen35": "Qwen3.5 whose weights are packed in a form that nothing here writes",
        "muse_spark": "its text model wants a Metal kernel: refused on a CPU",
        "llmjpvl": "its processor is code of its own repository, which is never run: refused at load",
        "youtu_vl": "its processor is code of its own repository, which is never run: refused at load",
        "mistral_large3": "its processor wants torchvision: refused at load",
        "unlimited_ocr": "its vision tower has fixed sizes, those of deepseekocr: 0.4 GB at the least",
        "phi3_v": "its vision tower has fixed sizes: 1.2 GB at the least",
        "phi4mm": "its audio encoder has fixed sizes: 1.7 GB at the least",
    }
)
