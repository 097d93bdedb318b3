"""Models of mlx-vlm that look at pictures and are not tried, each with its reason."""

from __future__ import annotations

_VECTORS = "makes vectors, not text"
_PICTURES = "makes pictures, not text"
_FINDS = "finds objects, masks or depth in a picture; writes no text"
_NOT_A_CHAT = "an encoder and a decoder: what it writes is not a continuation of its prompt, which all our batches are"

EXCLUDED: dict[str, str] = (
    dict.fromkeys(("colidefics3", "colqwen2_5", "embedding_gemma2", "llama_nemotron_vl_embedding"), _VECTORS)
    | dict.fromkeys(("qwen3_vl_embedding", "siglip", "dinov2", "clef"), _VECTORS)
    | dict.fromkeys(("rfdetr", "rt_detr_v2", "yolo11", "pp_doclayout_v3", "falcon_perception", "moge3"), _FINDS)
    | dict.fromkeys(("sam3", "sam3_1", "sam3d_body", "sam3d_objects", "sapiens2", "video_depth_anything"), _FINDS)
    | dict.fromkeys(("flux2", "flux3", "qwen_image", "z_image", "ernie_image", "ming_image", "moss_image"), _PICTURES)
    | dict.fromkeys(("llada_image", "ideogram4", "mage_flow", "bonsai"), _PICTURES)
    | dict.fromkeys(("florence2", "nemotron_parse"), _NOT_A_CHAT)
    | dict.fromkeys(("d1", "d1_omni"), "decides between given answers; writes no text")
    | {
        "diffusion_gemma": "writes by diffusion, a block of tokens at a time; our batches write from left to right",
        "hunyuan_vl": "its processor knows its marks by ids beyond 120,000: no small vocabulary has them",
        "phi3_v": "its eyes have fixed sizes: 1.2 GB at the least",
        "phi4mm": "its ears have fixed sizes: 1.7 GB at the least",
        "gliner2_5": "labels spans of a text; writes none",
    }
)
