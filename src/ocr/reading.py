"""The interface of recognizers and their result: text lines with polygons, in reading order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from src.ipc.messages.blocks import OcrBlock
from src.ipc.messages.ocr import OcrWarning

Pixels = NDArray[np.uint8]  # rows x columns x BGR
Polygon = tuple[tuple[float, float], ...]
Rectangle = tuple[float, float, float, float]  # left, top, right, bottom, in pixels
Size = tuple[int, int]  # width and height
StopReason = Literal["length", "repetition"]


def bounds(polygon: Sequence[Sequence[float]]) -> Rectangle:
    """The upright rectangle around a polygon."""
    xs, ys = [x for x, _ in polygon], [y for _, y in polygon]
    return min(xs), min(ys), max(xs), max(ys)


@dataclass(frozen=True)
class TextWord:
    """A word of a line, or a part of it that stands apart; `polygon` as a line's."""

    text: str
    polygon: Polygon


@dataclass(frozen=True)
class TextLine:
    """One line of text. `polygon`: four corners in the page's pixels, clockwise from its start; empty if unknown.

    `words`: empty if the recognizer does not say where they are.
    """

    text: str
    confidence: float | None
    polygon: Polygon
    words: tuple[TextWord, ...] = ()

    def scaled(self, across: float, down: float) -> TextLine:
        words = tuple(replace(word, polygon=_scaled(word.polygon, across, down)) for word in self.words)
        return replace(self, polygon=_scaled(self.polygon, across, down), words=words)


def _scaled(polygon: Polygon, across: float, down: float) -> Polygon:
    return tuple((round(x * across, 1), round(y * down, 1)) for x, y in polygon)


@dataclass(frozen=True)
class Reading:
    """The text of a page, lines in reading order. `rotation`: degrees clockwise that turn the page upright.

    `stopped`: why the recognizer stopped before the page's end; the text so far is kept.
    `warnings`: what the text may lack. `blocks`: the page's structure, if it was requested.
    """

    text: str
    lines: tuple[TextLine, ...]
    rotation: int = 0
    skew_degrees: float = 0.0
    markdown: str | None = None
    stopped: StopReason | None = None
    warnings: tuple[OcrWarning, ...] = ()
    blocks: tuple[OcrBlock, ...] = ()

    def scaled(self, across: float, down: float) -> Reading:
        """With the places of a page that is so many times as wide and high."""
        if across == down == 1.0:
            return self
        lines = tuple(line.scaled(across, down) for line in self.lines)
        return replace(self, lines=lines, blocks=tuple(_block_scaled(block, across, down) for block in self.blocks))


def _block_scaled(block: OcrBlock, across: float, down: float) -> OcrBlock:
    left, top, right, bottom = block.box
    box = (round(left * across, 1), round(top * down, 1), round(right * across, 1), round(bottom * down, 1))
    return msgspec.structs.replace(block, box=box)


class TextLayer(NamedTuple):
    """A page's own text and the size of the page that it refers to.

    `doubt`: why it has to be compared with the page, or "". `pictures`: areas of pictures without text of the layer.
    """

    reading: Reading
    size: Size
    doubt: str = ""
    pictures: tuple[Rectangle, ...] = ()
    letters_joined: bool = False


class Recognizer(Protocol):
    """One loaded engine. It reads one page at a time, on the thread that loaded it."""

    @property
    def name(self) -> str: ...

    @property
    def languages(self) -> frozenset[str] | None:
        """ISO 639-1 codes it was trained on; None when unknown: any is accepted."""
        ...

    def read(self, page: Pixels, language: str | None = None) -> Reading:
        """Read BGR pixels; an exception means that this page failed. `language`: one of `languages`."""
        ...


@runtime_checkable
class BatchRecognizer(Recognizer, Protocol):
    """A recognizer that can read `at_once` pages in one batch, if that is more than 1."""

    @property
    def at_once(self) -> int: ...

    def read_many(self, pages: Sequence[Pixels]) -> list[Reading]: ...
