"""Apple Vision's lines as a reading, fed with what ocrmac's README shows; nothing here has run on a Mac."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from src.errors import ModelLoadFailed, UnsupportedValue
from src.ocr import recognizers
from src.ocr.apple_vision import Annotation, VisionRecognizer
from tests.conftest import MakeSettings

# text, confidence, and left, bottom, width, height as shares
PAGE: list[Annotation] = [
    ("let's build from here", 0.5, [0.1, 0.6, 0.5, 0.1]),
    ("GitHub", 1.0, [0.1, 0.8, 0.2, 0.1]),
]


def test_lines_are_in_order_with_boxes_in_pixels() -> None:
    """Vision measures from below; the language goes on in Apple's name."""
    asked: list[object] = []

    def recognize(image: Image.Image, languages: list[str] | None) -> list[Annotation]:
        asked.extend((image.size, image.getpixel((0, 0)), languages))
        return PAGE

    page = np.full((100, 200, 3), (1, 2, 3), np.uint8)
    reading = VisionRecognizer(recognize).read(page, "zh")
    assert reading.text == "GitHub\nlet's build from here"
    assert [line.confidence for line in reading.lines] == [1.0, 0.5]
    assert list(reading.lines[0].polygon) == [(20, 10), (60, 10), (60, 20), (20, 20)]
    assert asked == [(200, 100), (3, 2, 1), ["zh-Hans"]]


def test_a_language_that_this_macos_lacks_is_named() -> None:
    """ocrmac raises a ValueError before anything is read."""

    def recognize(_image: Image.Image, _languages: list[str] | None) -> list[Annotation]:
        raise ValueError("Invalid language preference.")

    with pytest.raises(UnsupportedValue, match="'th'"):
        VisionRecognizer(recognize).read(np.zeros((9, 9, 3), np.uint8), "th")


def test_without_ocrmac_the_engine_says_what_to_do(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everywhere but on a Mac where it is installed."""
    monkeypatch.setitem(sys.modules, "ocrmac.ocrmac", None)
    with pytest.raises(ModelLoadFailed, match="pip install 'ocrmac"):
        recognizers.load(make_settings(ocr_engine="vision"))
