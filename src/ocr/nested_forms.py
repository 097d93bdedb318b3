"""Forms drawn in forms: counts what a PDF page would draw, before PDFium does. Called by `pdf`, in an OCR worker.

A few kilobytes can nest forms so that each draws the next one twice: 2^30 drawings, made when the page is opened, by
native code that nothing can stop. Here the document's structure is read, and each form once.
"""

from __future__ import annotations

import io
import re
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pikepdf

from src.errors import InvalidDocument

_MAX_DRAWINGS = 200_000
_MAX_DEPTH = 50
_MAX_CONTENT = 1 << 16  # packed bytes of a form that are looked into
_DRAWN = re.compile(rb"/([^\s/<>\[\](){}%]+)\s+Do\b")
UNREADABLE = (
    pikepdf.PdfError,
    pikepdf.PasswordError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RuntimeError,
    OSError,
    IndexError,
)


class NestedForms:
    """The drawings of a document's pages. What qpdf cannot read is left to PDFium and its guard."""

    def __init__(self, source: Path | bytes, password: str) -> None:
        self._costs: dict[tuple[int, int], int] = {}
        self._file = _opened(source, password) or _opened(source, "")  # as PDFium, which ignores a superfluous one

    @property
    def file(self) -> pikepdf.Pdf | None:
        """The document as qpdf reads it."""
        return self._file

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def check(self, number: int) -> None:
        """Raises InvalidDocument for a page that would draw forms too often."""
        if self._file is None:
            return
        try:
            drawings = self._within(self._file.pages[number].obj, {}, 0)
        except UNREADABLE:
            return
        if drawings > _MAX_DRAWINGS:
            text = f"The page is too complex: it draws forms more than {_MAX_DRAWINGS} times."
            raise InvalidDocument(text, param="file")

    def _within(self, drawer: Any, times: dict[str, int], depth: int) -> int:
        """Drawings of all forms that a page or form has; `times`: how often each is drawn, once if unknown."""
        forms = drawer.get("/Resources", {}).get("/XObject", {})
        total = 0
        for name, form in forms.items():
            if form.get("/Subtype") == "/Form":
                total += times.get(name, 1) * self._cost(form, depth)
        return total

    def _cost(self, form: Any, depth: int) -> int:
        """A form and all that it draws; a form in itself is drawn once."""
        if form.objgen in self._costs or depth > _MAX_DEPTH:
            return self._costs.get(form.objgen, 1)
        self._costs[form.objgen] = 1
        if "/XObject" in form.get("/Resources", {}):
            self._costs[form.objgen] = min(1 + self._within(form, _times(form), depth + 1), 10 * _MAX_DRAWINGS)
        return self._costs[form.objgen]


def _opened(source: Path | bytes, password: str) -> pikepdf.Pdf | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damage, and of a password that is not needed
        try:
            return pikepdf.open(io.BytesIO(source) if isinstance(source, bytes) else source, password=password)
        except UNREADABLE:
            return None


def _times(form: Any) -> dict[str, int]:
    """How often a form's content draws each of its forms."""
    if int(form.get("/Length", 0)) > _MAX_CONTENT:
        return {}
    return dict(Counter("/" + name.decode("latin-1") for name in _DRAWN.findall(form.read_bytes())))
