"""Parses Tesseract's TSV output into a reading, and maps language names. Pure.

Tesseract reads tables column by column, so lines are ordered by `layout` as for the bundled models. It rotates pages
without reporting it: the direction in which words follow each other shows the rotation.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from src.ocr import layout
from src.ocr.reading import Polygon, Reading, TextLine

_WORD = "5"  # a row's level: page, block, paragraph, line, word
_FIELDS = 12
_UNSPACED = (("\u0e00", "\u0eff"), ("\u1000", "\u109f"), ("\u1780", "\u17ff"))
_SURE_OF_SCRIPT = 0.5
_GAP = 1.5  # heights of the line

# the API's names to Tesseract's data that is not named by ISO 639-2
_OTHER_NAMES = {"zh": "chi_sim", "zh-Hans": "chi_sim", "zh-Hant": "chi_tra"}
_BY_ISO_639_2 = """
    af afr ar ara az aze be bel bg bul bn ben bs bos ca cat cs ces cy cym da dan de deu el ell en eng eo epo es spa
    et est eu eus fa fas fi fin fr fra ga gle gl glg gu guj he heb hi hin hr hrv hu hun hy hye id ind is isl it ita
    ja jpn ka kat kk kaz km khm kn kan ko kor la lat lt lit lv lav mk mkd ml mal mn mon mr mar ms msa mt mlt my mya
    ne nep nl nld no nor pa pan pl pol pt por ro ron ru rus sk slk sl slv sq sqi sr srp sv swe sw swa ta tam te tel
    th tha tr tur uk ukr ur urd uz uzb vi vie yi yid
""".split()  # noqa: SIM905  # pairs are easier to check in a row
DATA: dict[str, str] = {**dict(zip(_BY_ISO_639_2[::2], _BY_ISO_639_2[1::2], strict=True)), **_OTHER_NAMES}


@dataclass(frozen=True)
class _Word:
    """`line`: numbers of its block, paragraph and line. `confidence`: 0 to 100."""

    line: tuple[str, ...]
    left: float
    top: float
    right: float
    bottom: float
    confidence: float
    text: str

    @property
    def middle(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def corners(self) -> tuple[tuple[float, float], tuple[float, float]]:
        return (self.left, self.top), (self.right, self.bottom)

    def turned(self, degrees: int, width: int, height: int) -> _Word:
        """Its box after rotating the page, of this size, clockwise."""
        (left, top), _, (right, bottom), _ = _box([layout.turn(x, y, degrees, width, height) for x, y in self.corners])
        return replace(self, left=left, top=top, right=right, bottom=bottom)


def installed(listed: str) -> dict[str, str]:
    """The API's language names in the output of `tesseract --list-langs`, with Tesseract's names."""
    there = {line.strip() for line in listed.splitlines()}
    return {name: data for name, data in DATA.items() if data in there}


def script(said: str) -> str | None:
    """The script in the output of `tesseract --psm 0`, if it is sure enough."""
    found = re.search(r"^Script: (\w+)\s+Script confidence: ([0-9.]+)", said, re.MULTILINE)
    return found[1] if found and float(found[2]) >= _SURE_OF_SCRIPT else None


def reading(tsv: str, width: int, height: int) -> Reading:
    """The page's lines in reading order; boxes are axis-aligned."""
    raw = [list(words) for _, words in groupby(_words(tsv), key=lambda word: word.line)]
    rotation = _rotation(raw)
    lines = [piece for line in raw for piece in _pieces([word.turned(rotation, width, height) for word in line])]
    boxes = [_box([corner for word in line for corner in word.corners]) for line in lines]
    size = (width, height) if rotation % 180 == 0 else (height, width)
    arranged = layout.arrange(boxes)
    found = [
        TextLine(_join(line), _confidence(line), tuple(layout.turn(x, y, -rotation, *size) for x, y in box))
        for line, box in zip(lines, boxes, strict=True)
    ]
    text = "\n".join(" ".join(found[index].text for index in row) for row in arranged.rows)
    return Reading(text, tuple(found[index] for index in arranged.order), rotation)


def _words(tsv: str) -> Iterator[_Word]:
    for row in tsv.splitlines():
        fields = row.split("\t")
        if len(fields) != _FIELDS or fields[0] != _WORD or not fields[11].strip():
            continue
        left, top, width, height = (int(value) for value in fields[6:10])
        box = (left, top, left + width, top + height)
        yield _Word(tuple(fields[1:5]), *box, float(fields[10]), fields[11].strip())


def _rotation(lines: Sequence[Sequence[_Word]]) -> int:
    """Degrees clockwise that make the page upright, by majority over neighbouring words."""
    votes = Counter(_direction(*_in_order(one, other)) for line in lines for one, other in pairwise(line))
    return votes.most_common(1)[0][0] if votes else 0


def _in_order(one: _Word, other: _Word) -> tuple[tuple[float, float], tuple[float, float]]:
    """The middles of two words, from left to right on an upright page: those of Arabic and Hebrew run the other way."""
    backwards = all(
        any(unicodedata.bidirectional(symbol) in ("R", "AL") for symbol in word.text) for word in (one, other)
    )
    return (other.middle, one.middle) if backwards else (one.middle, other.middle)


def _direction(one: tuple[float, float], other: tuple[float, float]) -> int:
    across, down = other[0] - one[0], other[1] - one[1]
    if abs(across) >= abs(down):
        return 0 if across >= 0 else 180
    return 90 if down < 0 else 270


def _pieces(line: Sequence[_Word]) -> Iterator[list[_Word]]:
    """Split a line at wide gaps: Tesseract's lines run across table cells and columns."""
    piece, wide = [line[0]], _GAP * max(word.bottom - word.top for word in line)
    for word in line[1:]:
        if word.left - piece[-1].right > wide:
            yield piece
            piece = []
        piece.append(word)
    yield piece


def _box(corners: Sequence[tuple[float, float]]) -> Polygon:
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
    return (left, top), (right, top), (right, bottom), (left, bottom)


def _join(words: Sequence[_Word]) -> str:
    """Words joined by spaces, except between characters of scripts that write none."""
    text = words[0].text
    for word in words[1:]:
        text += word.text if _is_unspaced(text[-1]) and _is_unspaced(word.text[0]) else f" {word.text}"
    return text


def _is_unspaced(symbol: str) -> bool:
    """Chinese and Japanese; Thai, Lao, Myanmar and Khmer, of which Tesseract gives single letters."""
    if "\uac00" <= symbol <= "\ud7a3":  # Korean is wide, and has spaces
        return False
    return unicodedata.east_asian_width(symbol) in "WF" or any(first <= symbol <= last for first, last in _UNSPACED)


def _confidence(words: Sequence[_Word]) -> float:
    """The line's confidence: mean of its words weighted by length, 0 to 1."""
    letters = sum(len(word.text) for word in words)
    return round(sum(word.confidence * len(word.text) for word in words) / letters / 100, 4)
