"""Apple's Vision framework, through ocrmac, where that is installed on a Mac. Runs in an OCR worker only.

Vision gives lines with confidences and upright boxes as shares of the picture, measured from its lower left corner.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence

from PIL import Image

from src.errors import ModelLoadFailed, UnsupportedValue
from src.ocr import layout
from src.ocr.reading import Pixels, Polygon, Reading, Size, TextLine

Annotation = tuple[str, float, Sequence[float]]  # text, confidence, and left, bottom, width, height
Recognize = Callable[[Image.Image, list[str] | None], list[Annotation]]

# Apple's names of languages, as of macOS 15; an older system refuses those it lacks
_LANGUAGES = {
    "en": "en-US",
    "fr": "fr-FR",
    "it": "it-IT",
    "de": "de-DE",
    "es": "es-ES",
    "pt": "pt-BR",
    "zh": "zh-Hans",
    "ja": "ja-JP",
    "ko": "ko-KR",
    "ru": "ru-RU",
    "uk": "uk-UA",
    "th": "th-TH",
    "vi": "vi-VT",
    "ar": "ar-SA",
    "tr": "tr-TR",
    "id": "id-ID",
    "cs": "cs-CZ",
    "da": "da-DK",
    "nl": "nl-NL",
    "no": "no-NO",
    "ms": "ms-MY",
    "pl": "pl-PL",
    "ro": "ro-RO",
    "sv": "sv-SE",
}


class VisionRecognizer:
    """Upright pages. Without a language Vision reads as the system is set."""

    name = "vision"

    def __init__(self, recognize: Recognize | None = None) -> None:
        self._recognize = recognize or _ocrmac()

    @property
    def languages(self) -> frozenset[str]:
        return frozenset(_LANGUAGES)

    def read(self, page: Pixels, language: str | None = None) -> Reading:
        """Raises UnsupportedValue for a language that this macOS lacks."""
        image = Image.fromarray(page[:, :, ::-1])
        try:
            found = self._recognize(image, [_LANGUAGES[language]] if language else None)
        except ValueError as error:
            text = f"Vision on this version of macOS does not read {language!r}."
            raise UnsupportedValue(text, param="language") from error
        lines = [
            TextLine(text, round(confidence, 4), _polygon(box, image.size)) for text, confidence, box in found if text
        ]
        arranged = layout.arrange([line.polygon for line in lines])
        text = "\n".join(" ".join(lines[index].text for index in row) for row in arranged.rows)
        return Reading(text, tuple(lines[index] for index in arranged.order))


def _polygon(box: Sequence[float], size: Size) -> Polygon:
    left, bottom, width, height = box
    x, right = left * size[0], (left + width) * size[0]
    y, lower = (1 - bottom - height) * size[1], (1 - bottom) * size[1]
    return tuple((round(a, 1), round(b, 1)) for a, b in ((x, y), (right, y), (right, lower), (x, lower)))


def _ocrmac() -> Recognize:
    try:
        module = importlib.import_module("ocrmac.ocrmac")
    except ImportError as error:
        text = "OCR_ENGINE=vision needs ocrmac (pip install 'ocrmac>=1.0,<2')"
        text += "." if sys.platform == "darwin" else ", which runs on macOS only."
        raise ModelLoadFailed(text) from error

    def recognize(image: Image.Image, languages: list[str] | None) -> list[Annotation]:
        return list(module.text_from_image(image, language_preference=languages))

    return recognize
