"""RapidOCR (PP-OCRv6 on onnxruntime) with tuned settings; its wheel contains the models, nothing is downloaded.

Its three models are called separately, because its own pipeline turns single lines upside down, upscales small images
at great cost, and detects neither page orientation nor columns. Runs in an OCR worker only, on one thread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rapidocr
from rapidocr.ch_ppocr_rec import TextRecInput
from rapidocr.ch_ppocr_rec.typings import WordInfo
from typing_extensions import override

from src.ipc.messages.ocr import OcrWarning
from src.ocr import check_boxes, layout, ligatures, scripts, spaces, word_boxes
from src.ocr.detection import Boxes, Detector, heights, widths
from src.ocr.reading import Pixels, Polygon, Reading, Recognizer, TextLine

_MIN_SCORE = 0.5
_SMALL_SIDE = 40  # smaller images give empty lines
_ENLARGED_SIDE = 48
_MAX_ENLARGEMENT = 6.0
_VOTERS = 12
_MAX_TURNED = 12
_TURNED_LENGTH = 2.2  # times the thickness
_MANY_DROPPED = 3  # boxes left out, and their share, that a client is told of
_DROPPED_SHARE = 0.1
_DASHES = frozenset("一—–-－ー_|丨")
_UPRIGHT_CROP = 1.5  # RapidOCR turns crops that are so much higher than wide

# the languages of PP-OCRv6's bundled models
_LANGUAGES = frozenset(
    [
        "zh",
        "ja",
        "en",
        "af",
        "az",
        "bs",
        "ca",
        "cs",
        "cy",
        "da",
        "de",
        "es",
        "et",
        "eu",
        "fi",
        "fr",
        "ga",
        "gl",
        "hr",
        "hu",
        "id",
        "is",
        "it",
        "ku",
        "la",
        "lb",
        "lt",
        "lv",
        "mi",
        "ms",
        "mt",
        "nl",
        "no",
        "oc",
        "pl",
        "pt",
        "qu",
        "rm",
        "ro",
        "sk",
        "sl",
        "sq",
        "sv",
        "sw",
        "tl",
        "tr",
        "uz",
        "vi",
    ]
)


class RapidRecognizer(Recognizer):
    """The three models, loaded and warm."""

    name = "rapidocr"
    languages = _LANGUAGES

    def __init__(self) -> None:
        cv2.setNumThreads(1)
        self._engine = rapidocr.RapidOCR(params=_settings())
        # the first call loads the models; `use_cls` loads the classifier too
        self._engine(_warm_up_line(), use_det=True, use_cls=True, use_rec=True)
        if None in (self._engine.text_det, self._engine.text_cls, self._engine.text_rec):
            raise RuntimeError("RapidOCR did not read the warm-up line")
        self._detector = Detector(self._engine.text_det)
        self.read(_warm_up_page())  # without it a worker's first page takes half as long again

    @override
    def read(self, page: Pixels, language: str | None = None) -> Reading:
        frame = _Frame.of(page)
        upright, boxes = self._upright(frame.enlarge(page))
        read = self._recognize(upright.pixels, boxes)
        found = [line for line in read if line.text.strip() and (line.confidence or 0) >= _MIN_SCORE]
        dropped = _dropped(len(read) - len(found), len(read))
        found = check_boxes.marked(upright.pixels, found)
        arranged = layout.arrange([line.polygon for line in found], last=_turned(_boxes(found)))
        lines = tuple(frame.back(found[index], upright.rotation) for index in arranged.order)
        text = "\n".join(" ".join(found[index].text for index in row) for row in arranged.rows)
        warnings = (*dropped, *scripts.unread(read, self.name))
        return Reading(text, lines, upright.rotation, round(math.degrees(arranged.skew), 2), warnings=warnings)

    def _upright(self, pixels: Pixels) -> tuple[_Turned, Boxes]:
        """Rotate the page until its lines run from left to right; returns it with the boxes of its lines."""
        boxes, rotation = self._detector.find(pixels), 0
        if _mostly_vertical(boxes):
            pixels, rotation = _turn(pixels, 90), 90
            boxes = self._detector.find(pixels)
        if self._is_upside_down(pixels, boxes):
            pixels, rotation = _turn(pixels, 180), rotation + 180
            boxes = self._detector.find(pixels)
        return _Turned(pixels, rotation), boxes

    def _is_upside_down(self, pixels: Pixels, boxes: Boxes) -> bool:
        """One vote for the page: the classifier errs on single lines."""
        crops = [crop for box in _widest(boxes, _VOTERS) for crop in _ballots(self._crop(pixels, box[None])[0])]
        if not crops:
            return False
        votes = self._engine.text_cls(crops).cls_res
        return bool(sum(score if label == "180" else -score for label, score in votes) > 0)

    def _recognize(self, pixels: Pixels, boxes: Boxes) -> list[TextLine]:
        """Each box as a line in the pixels given; boxes that stand upright are read in both directions."""
        turned = _turned(boxes)
        lines = self._lines(pixels, np.concatenate([boxes, np.roll(boxes[turned], 2, axis=1)]))
        for at, other in zip(turned, lines[len(boxes) :], strict=True):
            if (other.confidence or 0) > (lines[at].confidence or 0) and other.text.strip():
                lines[at] = other
        return lines[: len(boxes)]

    def _lines(self, pixels: Pixels, boxes: Boxes) -> list[TextLine]:
        if not len(boxes):
            return []
        crops = self._crop(pixels, boxes)
        answer = self._engine.text_rec(TextRecInput(img=crops, return_word_box=True))
        pairs = ligatures.expected(answer.txts)
        read = zip(boxes.tolist(), answer.txts, answer.scores, answer.word_results, crops, strict=True)
        return [_line(box, text, float(score), columns, crop, pairs) for box, text, score, columns, crop in read]

    def _crop(self, pixels: Pixels, boxes: Boxes) -> list[Pixels]:
        crops: list[Pixels] = self._engine.crop_text_regions(pixels, boxes)
        return crops


def _line(
    box: list[list[float]], text: str, score: float, columns: WordInfo, crop: Pixels, ligature_pairs: tuple[str, ...]
) -> TextLine:
    polygon = tuple((x, y) for x, y in box)
    along = polygon
    if math.dist(box[0], box[3]) >= _UPRIGHT_CROP * math.dist(box[0], box[1]):  # it was cropped with its right side up
        along = (*polygon[1:], polygon[0])
    places = [place for word in columns.word_cols for place in word]
    ink = word_boxes.line_ink(crop, text)
    if along is not polygon and text.strip() in _DASHES:
        text = "I"  # a lone one was cropped turned, and looks like a dash
    text, places = ligatures.joined(text, places, columns.line_txt_len, ink, ligature_pairs)
    text = spaces.corrected(text, places, columns.line_txt_len, ink, crop.shape[0] / crop.shape[1])
    found = word_boxes.words(text, places, columns.line_txt_len, along, ink)
    return TextLine(text, round(score, 4), polygon, found)


def _boxes(lines: list[TextLine]) -> Boxes:
    return np.array([line.polygon for line in lines], np.float32).reshape(-1, 4, 2)


def _turned(boxes: Boxes) -> list[int]:
    """Lines that run upwards or downwards, if they are few: many are a vertical script. A lone `1` is none."""
    if not len(boxes):
        return []
    thick = np.minimum(widths(boxes), heights(boxes))
    long = heights(boxes) >= _TURNED_LENGTH * widths(boxes)
    turned = np.flatnonzero(long & (thick >= 0.6 * np.median(thick))).tolist()
    return turned if len(turned) <= _MAX_TURNED else []


def _dropped(count: int, total: int) -> tuple[OcrWarning, ...]:
    if count < _MANY_DROPPED or count < _DROPPED_SHARE * total:
        return ()
    text = (
        f"{count} of {total} text areas were recognized with a confidence below {_MIN_SCORE} and are not in the text."
    )
    return (OcrWarning("low_confidence", text),)


def _settings() -> dict[str, Any]:
    """Paths are given because a model found by name is checked, and downloaded anew when its checksum differs."""
    models = Path(rapidocr.__file__).parent / "models"
    return {
        "Global.log_level": "error",
        "Global.use_cls": False,
        "Global.text_score": _MIN_SCORE,
        "Global.max_side_len": 4000,
        "Det.model_path": str(models / "PP-OCRv6_det_small.onnx"),
        "Rec.model_path": str(models / "PP-OCRv6_rec_small.onnx"),
        "Cls.model_path": str(models / "ch_ppocr_mobile_v2.0_cls_mobile.onnx"),
        "Det.limit_type": "max",  # the default upscales a 64-pixel strip to 4800: seconds, and a gigabyte
        "Det.limit_side_len": 1280,
        "Rec.rec_batch_num": 1,  # a batch is padded to its widest line: slower, twice the memory
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    }


def _warm_up_line() -> Pixels:
    line = np.full((64, 320, 3), 255, np.uint8)
    cv2.putText(line, "warm up", (8, 44), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (0, 0, 0), 2)
    return line


def _warm_up_page() -> Pixels:
    """As large as real pages, so that memory is allocated once."""
    page = np.full((880, 640, 3), 255, np.uint8)
    page[40:104, 40:360] = _warm_up_line()
    return page


# ---- orientation


@dataclass(frozen=True)
class _Turned:
    """Pixels, and the degrees clockwise by which they were rotated."""

    pixels: Pixels
    rotation: int


def _turn(pixels: Pixels, degrees: int) -> Pixels:
    """Clockwise."""
    return np.ascontiguousarray(np.rot90(pixels, -degrees // 90))


def _mostly_vertical(boxes: Boxes) -> bool:
    """By the direction of long sides: on a skewed page corners come in either order."""
    width, height = widths(boxes), heights(boxes)
    long = np.maximum(width, height) > 2.5 * np.minimum(width, height)
    along = np.where((width > height)[:, None], boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 0])
    upwards = np.abs(along[:, 1]) > np.abs(along[:, 0])
    return bool(long.any()) and float(upwards[long].mean()) > 0.6


def _widest(boxes: Boxes, count: int) -> Boxes:
    return boxes[np.argsort(-widths(boxes))[:count]]


def _ballots(line: Pixels) -> list[Pixels]:
    """One to three crops of a line, four times as wide as high: the classifier squeezes wider ones."""
    height, width = line.shape[:2]
    if width < 1.5 * height:
        return []
    piece = min(width, 4 * height)
    count = max(1, min(3, width // piece))
    starts = np.linspace(0, width - piece, count) if count > 1 else [0]
    return [line[:, int(start) : int(start) + piece] for start in starts]


# ---- the caller's pixel frame


@dataclass(frozen=True)
class _Frame:
    """The size of the page as given, and its upscaling factor."""

    width: int
    height: int
    scale: float

    @classmethod
    def of(cls, page: Pixels) -> _Frame:
        height, width = page.shape[:2]
        short = min(height, width)
        return cls(width, height, min(_MAX_ENLARGEMENT, _ENLARGED_SIDE / short) if short < _SMALL_SIDE else 1.0)

    def enlarge(self, page: Pixels) -> Pixels:
        if self.scale == 1.0:
            return page
        enlarged = cv2.resize(page, None, fx=self.scale, fy=self.scale, interpolation=cv2.INTER_CUBIC)
        return np.asarray(enlarged, np.uint8)

    def back(self, line: TextLine, rotation: int) -> TextLine:
        """A line of the rotated, upscaled page on the given one."""
        words = tuple(replace(word, polygon=self._corners(word.polygon, rotation)) for word in line.words)
        return replace(line, polygon=self._corners(line.polygon, rotation), words=words)

    def _corners(self, polygon: Polygon, rotation: int) -> Polygon:
        size = (self.width, self.height) if rotation % 180 == 0 else (self.height, self.width)
        return tuple(self._clamp(*layout.turn(x / self.scale, y / self.scale, -rotation, *size)) for x, y in polygon)

    def _clamp(self, x: float, y: float) -> tuple[float, float]:
        return round(min(max(x, 0.0), self.width), 1), round(min(max(y, 0.0), self.height), 1)
