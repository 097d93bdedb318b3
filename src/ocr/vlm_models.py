"""Prompt and output format of each OCR model: one table, by the `model_type` of its config. Pure.

Prompts are the models' own, verbatim: with other prompts some of them loop for ever.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from src.ocr.reading import TextLine

Parse = Callable[[str, int, int], "tuple[str, tuple[TextLine, ...]]"]

_GRID = 1000  # models give coordinates in thousandths of the page


@dataclass(frozen=True)
class OcrModel:
    """`markdown`: the answer is markdown, not plain text. `max_side`: pixels; larger pages are downscaled first."""

    prompt: str
    parse: Parse
    markdown: bool = False
    max_side: int = 2048
    arguments: dict[str, Any] = field(default_factory=dict)


def plain(answer: str, _width: int, _height: int) -> tuple[str, tuple[TextLine, ...]]:
    """Plain text: lines without polygons and confidence."""
    text = answer.strip()
    return text, tuple(TextLine(line.strip(), None, ()) for line in text.splitlines() if line.strip())


_GROUNDED = re.compile(r"<\|ref\|>(.*?)<\|/ref\|><\|det\|>\[\[([\d., ]+)\].*?\]<\|/det\|>\s*", re.DOTALL)
_TAGGED = re.compile(r"<\|det\|>\s*\w*\s*\[([\d., ]+)\]\s*<\|/det\|>([^<]*)", re.DOTALL)


def grounded(answer: str, width: int, height: int) -> tuple[str, tuple[TextLine, ...]]:
    """DeepSeek-OCR: `<|ref|>text<|/ref|><|det|>[[x1, y1, x2, y2]]<|/det|>`."""
    found = [(match[1].strip(), match[2]) for match in _GROUNDED.finditer(answer)]
    return _placed(found, width, height) if found else plain(answer, width, height)


def tagged(answer: str, width: int, height: int) -> tuple[str, tuple[TextLine, ...]]:
    """Unlimited-OCR: `<|det|>kind [x1, y1, x2, y2]<|/det|>text`."""
    found = [(match[2].strip(), match[1]) for match in _TAGGED.finditer(answer)]
    return _placed(found, width, height) if found else plain(answer, width, height)


def _placed(found: list[tuple[str, str]], width: int, height: int) -> tuple[str, tuple[TextLine, ...]]:
    lines = tuple(TextLine(text, None, _polygon(numbers, width, height)) for text, numbers in found if text)
    return "\n".join(line.text for line in lines), lines


def _polygon(numbers: str, width: int, height: int) -> tuple[tuple[float, float], ...]:
    """Corners in pixels; empty when the numbers are not a box."""
    values = [min(max(float(value), 0.0), _GRID) for value in re.findall(r"\d+(?:\.\d+)?", numbers)[:4]]
    if len(values) < 4 or values[2] <= values[0] or values[3] <= values[1]:
        return ()
    left, right = values[0] * width / _GRID, values[2] * width / _GRID
    top, bottom = values[1] * height / _GRID, values[3] * height / _GRID
    return (left, top), (right, top), (right, bottom), (left, bottom)


_DEEPSEEK = OcrModel("<|grounding|>OCR this image.", grounded, max_side=1280)
_FREE = OcrModel("Read all the text in this image, in reading order. Answer with the text alone.", plain)

_MODELS = {
    "deepseekocr": _DEEPSEEK,
    "deepseekocr_2": _DEEPSEEK,
    "unlimited_ocr": OcrModel("document parsing.", tagged),
    "glm_ocr": OcrModel("Text Recognition:", plain, markdown=True),
    "paddleocr_vl": OcrModel("OCR:", plain),
    "dots_ocr": OcrModel("Extract the text content from this image.", plain),
    "got": OcrModel("OCR:", plain, max_side=1024),
    "falcon_ocr": OcrModel("plain", plain),
    "nemotron_parse": OcrModel(
        "</s><s><predict_no_bbox><predict_no_classes><output_markdown><predict_no_text_in_pic>", plain, markdown=True
    ),
}


def of(model_type: str) -> OcrModel:
    """The entry for a model type; a general vision model gets a plain-language prompt."""
    return _MODELS.get(model_type, _FREE)
