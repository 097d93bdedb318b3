"""Scripts that the bundled recognizer does not read: it is noticed, and read by Tesseract where that is installed.

PP-OCRv6 gives blanks for letters that it does not know, with high scores: lines that are long and hold few characters.
Pure, but for `OtherScripts`, which runs the program. In an OCR worker only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from loguru import logger

from src.errors import ServiceError
from src.ipc.messages.ocr import OcrWarning
from src.ocr.reading import Pixels, Reading, TextLine
from src.ocr.tesseract import TesseractRecognizer

WARNING = "script"
_LONG = 1.5  # heights: a line, not a mark
_FEWEST = 0.75  # characters per height of a line: Latin has 1.5 to 2.1, Chinese 1.2, half-read Greek 0.9
_GUESSED = 0.7  # scores of letters that look like others
_SHARE = 0.5  # of the length of all lines
_SURE = 0.6  # Tesseract's mean confidence
_GREEK = re.compile("[\u0370-\u03ff]")
_LETTER = re.compile(r"[^\W\d_]")
_GREEK_SHARE = 0.4
# Tesseract's names of scripts, and the data that reads them beside its own of that name
_DATA = {
    "Cyrillic": ("rus", "ukr", "bul", "srp", "bel", "mkd", "kaz"),
    "Greek": ("ell",),
    "Arabic": ("ara", "fas", "urd"),
    "Hebrew": ("heb", "yid"),
    "Thai": ("tha",),
    "Korean": ("kor",),
    "Hangul": ("kor",),
    "Devanagari": ("hin", "mar", "nep"),
    "Bengali": ("ben",),
    "Tamil": ("tam",),
    "Telugu": ("tel",),
    "Gujarati": ("guj",),
    "Gurmukhi": ("pan",),
    "Kannada": ("kan",),
    "Malayalam": ("mal",),
    "Sinhala": ("sin",),
    "Georgian": ("kat",),
    "Armenian": ("hye",),
    "Khmer": ("khm",),
    "Lao": ("lao",),
    "Myanmar": ("mya",),
    "Ethiopic": ("amh",),
}
_MOST_AT_ONCE = 3  # languages of a script: each costs a second
_MOST_TRIED = 8  # languages, on a page of too few characters to tell its script


def unread(lines: Sequence[TextLine], engine: str) -> tuple[OcrWarning, ...]:
    """A warning, if most of what was found cannot be read. `lines`: also those that are blank or doubtful."""
    long = [(line, *_size(line)) for line in lines if line.polygon]
    long = [found for found in long if found[1] >= _LONG * found[2]]
    blank = sum(length for line, length, height in long if not _is_read(line, length / height))
    whole = sum(length for _, length, _ in long)
    if not whole or (blank < _SHARE * whole and not _is_greek([line.text for line, *_ in long])):
        return ()
    text = (
        f"Most lines are in a script that {engine} does not read, or are no text: what is given of them is wrong. "
        "Tesseract reads it where its data is installed (docs/ocr.md)."
    )
    return (OcrWarning(WARNING, text),)


def _size(line: TextLine) -> tuple[float, float]:
    """Length and height, whichever way it runs."""
    sides = math.dist(line.polygon[0], line.polygon[1]), math.dist(line.polygon[1], line.polygon[2])
    return max(sides), max(1.0, min(sides))


def _is_read(line: TextLine, heights: float) -> bool:
    symbols = sum(not symbol.isspace() for symbol in line.text)
    return (line.confidence or 0.0) >= _GUESSED and symbols >= _FEWEST * heights


def _is_greek(texts: Sequence[str]) -> bool:
    """It knows some Greek letters, of formulas."""
    letters = _LETTER.findall("".join(texts))
    return len(_GREEK.findall("".join(letters))) > _GREEK_SHARE * max(1, len(letters))


class OtherScripts:
    """Tesseract, asked for pages that the bundled recognizer cannot read."""

    def __init__(self, tesseract: TesseractRecognizer) -> None:
        self._tesseract = tesseract

    @property
    def languages(self) -> frozenset[str]:
        return self._tesseract.languages

    def read(self, page: Pixels, language: str) -> Reading:
        """Read a page in a language that was named."""
        return self._tesseract.read(page, language)

    def attempt(self, page: Pixels) -> tuple[Reading, str] | None:
        """The page and its script, if Tesseract is sure of its text; None otherwise."""
        try:
            script = self._tesseract.script(page)
            readings = [(self._tesseract.read_as(page, data), script or data) for data in self._data_for(script)]
        except (ServiceError, RuntimeError) as error:
            logger.info("Tesseract did not read a page in another script: {}", type(error).__name__)
            return None
        best = max(readings, key=lambda found: _confidence(found[0]), default=None)
        return best if best is not None and _confidence(best[0]) >= _SURE else None

    def _data_for(self, script: str | None) -> list[str]:
        """What to read the script with; for one that is not known, one language of each that is installed."""
        there = self._tesseract.installed
        if script is not None:
            own = [name for name in (f"script/{script}", *_DATA.get(script, ())) if name in there]
            return ["+".join(own[:_MOST_AT_ONCE])] if own else []
        first = (next((name for name in data if name in there), None) for data in _DATA.values())
        return list(dict.fromkeys(name for name in first if name is not None))[:_MOST_TRIED]


def _confidence(reading: Reading) -> float:
    scores = [line.confidence for line in reading.lines if line.confidence is not None]
    return fmean(scores) if scores else 0.0


def read_by_other(reading: Reading, script: str, engine: str) -> Reading:
    """With a warning that says who read it."""
    text = f"The script ({script}) is one that {engine} does not read: Tesseract read the page."
    return replace(reading, warnings=(*reading.warnings, OcrWarning(WARNING, text)))
