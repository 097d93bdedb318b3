"""A tokenizer of bytes that knows the marks of all families of vision models, for tiny checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from src.settings import ROOT

_BYTES = ROOT / "models" / "ocr-tiny"  # a tokenizer of bytes
MARKS = (
    "<image>", "</image>", "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<video>", "<start_of_image>", "<end_of_image>", "<image_soft_token>", "<|image>", "<image|>", "<|audio>",
    "<audio|>", "<|audio|>", "[IMG]", "[IMG_BREAK]", "[IMG_END]", "<fake_token_around_image>", "<global-img>",
    "<end_of_utterance>", "<img>", "</img>", "<IMG_CONTEXT>", "<unk>", "<|media_start|>", "<|media_content|>",
    "<|media_pad|>", "<|media_end|>", "<|image_start|>", "<|image_end|>", "<|patch|>", "<|tile_x_separator|>",
    "<|tile_y_separator|>", "<im_patch>", "<im_col>", "<im_start>", "<im_end>", "<im_low>", "<|image_1|>", "<|end|>",
    "<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>", "TILE", "TILE_GLOBAL", "<slice>",
    "</slice>", "<image_id>", "</image_id>", "<bos>", "<pad>", "<mask>", "<|im_start|>", "<|im_end|>",
    "<|image_sentinel|>", "<start_of_turn>", "<end_of_turn>", "<audio_soft_token>", "<start_of_audio>",
    "<end_of_audio>", "<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>", "<|User|>", "<|Assistant|>",
    "<image_placeholder>", "<begin_of_image>", "<|imgpad|>", "<|img|>", "<|endofimg|>", "<|image_row|>",
    "<|imgend|>", "<imgpad>", "<|image_split|>", "<|image_thumbnail|>", "<|img_row_1_col_1|>", "<low_res_im_start>",
    "<frame_start>", "<frame_end>", "<im_start|>", "<|IMAGE_START|>", "<|IMAGE_END|>", "<|IMAGE_PLACEHOLDER|>",
    "<|VIDEO_START|>", "<|VIDEO_END|>", "<|CROP_COL_SEP|>", "<|CROP_ROW_SEP|>", "<|IMAGE_SEP|>", "<|endofprompt|>",
    "<|image_newline|>", "<|vision_bos|>", "<|vision_eos|>", "<|AUDIO|>", "<|IMAGE|>", "<|VIDEO|>",
    "<|audio_bos|>", "<|audio_eos|>", "<audio>", "</audio>", "<ref>", "</ref>", "<box>", "</box>", "<quad>", "</quad>",
    "<point>", "</point>", "<|audio_start|>", "<|audio_end|>", "<|spk_bos|>", "<|spk_eos|>", "<|listen|>",
    "]<]image[>[", "]<]video[>[", "]<]start of image[>[", "]<]end of image[>[", "<|IMAGE_PAD|>", "<|VISION_START|>",
    "<|VISION_END|>",
)  # fmt: skip
_TURNS = "{% for m in messages %}<|{{ m['role'] }}|>{% if m['content'] is string %}{{ m['content'] }}{% else %}"
_PARTS = "{% for c in m['content'] %}{% if c['type'] == 'image' %}MARK{% else %}{{ c['text'] }}{% endif %}{% endfor %}"
_END = "{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"


def write(folder: Path, mark: str, names: dict[str, str], template: str | None) -> dict[str, int]:
    """Write the tokenizer's files; `mark` is what its template shows of a picture, `names` what some processors look
    for. The ids of all its marks."""
    made = json.loads((_BYTES / "tokenizer.json").read_text())
    first = made["added_tokens"][-1]["id"] + 1
    plain = dict(made["added_tokens"][0], special=True)
    made["added_tokens"] += [plain | {"id": first + at, "content": text} for at, text in enumerate(MARKS)]
    (folder / "tokenizer.json").write_text(json.dumps(made))
    (folder / "tokenizer_config.json").write_text(json.dumps(_config(names)))
    shown = template if template is not None else (_TURNS + _PARTS + _END).replace("MARK", mark)
    if shown:
        (folder / "chat_template.jinja").write_text(shown)
    return {token["content"]: token["id"] for token in made["added_tokens"]}


def _config(names: dict[str, str]) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "bos_token": "<bos>",
        "model_max_length": 4096,
        "clean_up_tokenization_spaces": False,
        "padding_side": "left",
        "extra_special_tokens": names,
    }
