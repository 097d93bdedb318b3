"""PDF files through PDFium: rendered pages and their text layer. Runs in an OCR worker only.

PDFium is native code on untrusted input: it may crash the process, which is then restarted. Page and image sizes are
checked before rendering; `guard` limits CPU time and memory.
"""

from __future__ import annotations

import ctypes
import math
import unicodedata
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pypdfium2
from pypdfium2 import raw

from src.errors import InvalidDocument
from src.ocr import layout
from src.ocr.documents import DocumentLimits
from src.ocr.guard import OPENING, Guard, unguarded
from src.ocr.reading import Pixels, Polygon, Reading, TextLine
from src.ocr.structure import pdf_words
from src.ocr.structure.words import Word

Size = tuple[int, int]  # width and height
Box = tuple[float, float, float, float]  # left, bottom, right, top, in points

_MAX_SIDE = 5000  # pixels a page is rendered to at most, whatever its size in points
_MIN_TEXT = 16  # characters of a usable text layer
_MAX_UNMAPPED = 0.02  # share of private, unassigned and replacement characters
_SCAN_COVER = 0.5  # share of the page covered by images: a scan, whose text layer may be a stamp
_SCAN_TEXT = 200
_MAX_OBJECTS = 20_000
_HYPHEN = "\x02"  # PDFium's for one at a line's end
_BREAKS = ("\r", "\n", _HYPHEN)
_SAMPLE = 100  # characters
_UPRIGHT = 0.7  # cosine of the angle to which text counts as upright


class PdfFile:
    """An open document; close it after use."""

    kind = "pdf"

    def __init__(
        self, source: Path | bytes, limits: DocumentLimits, guard: Guard = unguarded, password: str = ""
    ) -> None:
        self._limits = limits
        self._guard = guard
        try:
            with guard(OPENING):
                self._document = _open(source, password)
                self._has_forms = self._document.get_formtype() not in (None, raw.FORMTYPE_NONE)
                if self._has_forms:
                    self._document.init_forms()
        except pypdfium2.PdfiumError as error:
            raise _not_opened(error, password) from None
        self.pages = len(self._document)
        self._current: tuple[int, pypdfium2.PdfPage] | None = None
        if not self.pages:
            self.close()
            raise InvalidDocument("The PDF has no pages.", param="file")

    def close(self) -> None:
        self._close_page()
        self._document.close()

    def pixels(self, number: int, dpi: int) -> Pixels:
        """The rendered page.

        Raises:
            InvalidDocument: it is damaged, or contains an image over the limit.
        """
        with _damaged_page_errors():
            page = self._page(number)
            with self._guard(OPENING):
                self._check_pictures(page)
            with self._guard(1), closing(page.render(scale=self._scale(page, dpi))) as bitmap:
                return _bgr(bitmap)

    def text(self, number: int, dpi: int) -> tuple[Reading, Size] | None:
        """The page's text layer, if usable, and the page size that its polygons refer to."""
        with _damaged_page_errors():
            page = self._page(number)
            with self._guard(1):
                return self._own_text(page, dpi)

    def _own_text(self, page: pypdfium2.PdfPage, dpi: int) -> tuple[Reading, Size] | None:
        with closing(page.get_textpage()) as text:
            words = str(text.get_text_range(errors="replace"))
            if not _is_good(words) or _is_turned(page, text) or (len(words) < _SCAN_TEXT and self._is_scan(page)):
                return None
            size = self._size(page, dpi)
            reading = _reading(page, text, size)
            return (reading, size) if reading else None

    def words(self, number: int, dpi: int, rotation: int) -> list[Word]:
        """The words of its text layer, on the rendered page turned clockwise by `rotation`."""
        with _damaged_page_errors():
            page = self._page(number)
            with self._guard(1), closing(page.get_textpage()) as text:
                return pdf_words.words(page, text, self._size(page, dpi), rotation)

    def dpi(self, number: int, dpi: int) -> int:
        """The rendering resolution: less than requested for large pages."""
        with _damaged_page_errors():
            return max(1, round(self._scale(self._page(number), dpi) * 72))

    def given_size(self, _number: int) -> None:
        """The pixels are the page."""
        return

    def _page(self, number: int) -> pypdfium2.PdfPage:
        """The page, kept open until another one is requested: opening parses all of its content."""
        if self._current is None or self._current[0] != number:
            self._close_page()
            with self._guard(OPENING):
                self._current = number, self._open(number)
        return self._current[1]

    def _open(self, number: int) -> pypdfium2.PdfPage:
        """Open a page with its form fields flattened, so that they are rendered and read."""
        page = self._document[number]
        if self._has_forms:
            page.flatten()
            page.close()
            page = self._document[number]
        return page

    def _close_page(self) -> None:
        if self._current is not None:
            self._current[1].close()
            self._current = None

    def _size(self, page: pypdfium2.PdfPage, dpi: int) -> Size:
        scale, (width, height) = self._scale(page, dpi), page.get_size()
        return math.ceil(width * scale), math.ceil(height * scale)

    def _scale(self, page: pypdfium2.PdfPage, dpi: int) -> float:
        width, height = page.get_size()
        if not (width > 0 and height > 0):
            raise InvalidDocument("The page has no size.", param="file")
        most = math.sqrt(self._limits.max_megapixels * 1e6 / (width * height))
        return float(min(dpi / 72, _MAX_SIDE / max(width, height), most))

    def _check_pictures(self, page: pypdfium2.PdfPage) -> None:
        """Reject images that would take too much memory before PDFium decodes them."""
        for picture in _pictures(page):
            width, height = _pixel_size(picture)
            megabytes = width * height * _pixel_bits(picture) / 8 / (1 << 20)
            if megabytes > self._limits.max_image_mb:
                raise InvalidDocument(
                    f"The page contains an image of {width} × {height} pixels, which take {megabytes:.0f} MiB of "
                    f"memory; OCR_MAX_IMAGE_MB allows {self._limits.max_image_mb}.",
                    param="file",
                )

    @staticmethod
    def _is_scan(page: pypdfium2.PdfPage) -> bool:
        width, height = page.get_size()
        boxes = [picture.get_bounds() for picture in _pictures(page)]
        return bool(sum((r - x) * (t - b) for x, b, r, t in boxes) > _SCAN_COVER * width * height)


@contextmanager
def _damaged_page_errors() -> Iterator[None]:
    try:
        yield
    except (pypdfium2.PdfiumError, IndexError, ValueError) as error:
        raise InvalidDocument("The page is damaged.", param="file") from error


def _open(source: Path | bytes, password: str) -> pypdfium2.PdfDocument:
    """A password that is not needed does no harm."""
    try:
        return pypdfium2.PdfDocument(source)
    except pypdfium2.PdfiumError as error:
        if not password or error.err_code != raw.FPDF_ERR_PASSWORD:
            raise
        return pypdfium2.PdfDocument(source, password=password)


def _not_opened(error: pypdfium2.PdfiumError, password: str) -> InvalidDocument:
    """A fixed text instead of PDFium's."""
    if error.err_code not in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY):
        return InvalidDocument("The file begins like a PDF, but is damaged or truncated.", param="file")
    if password:
        return InvalidDocument("The PDF is encrypted, and the password is wrong.", param="password")
    text = "The PDF is encrypted; send it without a password, or to /v1/ocr with its 'password'."
    return InvalidDocument(text, param="password")


def _bgr(bitmap: pypdfium2.PdfBitmap) -> Pixels:
    pixels = bitmap.to_numpy()
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return np.ascontiguousarray(np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2))
    return np.array(pixels[:, :, :3], np.uint8, order="C")  # a copy: the bitmap's memory is freed


def _pictures(page: pypdfium2.PdfPage) -> Iterator[pypdfium2.PdfImage]:
    for count, found in enumerate(page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=4)):
        if count > _MAX_OBJECTS:
            raise InvalidDocument("The page contains too many images.", param="file")
        yield found


def _pixel_size(picture: pypdfium2.PdfImage) -> tuple[int, int]:
    try:
        width, height = picture.get_px_size()
    except pypdfium2.PdfiumError:
        return 0, 0
    return int(width), int(height)


def _pixel_bits(picture: pypdfium2.PdfImage) -> int:
    """What PDFium holds of a pixel: a bit of a bilevel image, four bytes of most others."""
    try:
        bits = int(picture.get_metadata().bits_per_pixel)
    except pypdfium2.PdfiumError:
        bits = 0
    return bits if bits in (1, 8) else 32


# ---- the text layer


def _is_good(text: str) -> bool:
    """Whether there is enough text of mapped characters: fonts without a mapping give garbage."""
    symbols = [symbol for symbol in text if not symbol.isspace() and symbol != _HYPHEN]
    strange = sum(symbol == "\ufffd" or unicodedata.category(symbol) in ("Co", "Cn", "Cc", "Cs") for symbol in symbols)
    return len(symbols) >= _MIN_TEXT and strange <= _MAX_UNMAPPED * len(symbols)


def _reading(page: pypdfium2.PdfPage, text: pypdfium2.PdfTextPage, size: Size) -> Reading | None:
    """Text runs arranged into rows, as recognized lines are."""
    runs = [(words, _polygon(page, box, size)) for words, box in _runs(text)]
    arranged = layout.arrange([polygon for _, polygon in runs])
    rows = [[runs[index] for index in row] for row in arranged.rows]
    lines = tuple(
        TextLine(" ".join(words for words, _ in row), None, _around([polygon for _, polygon in row])) for row in rows
    )
    return Reading("\n".join(line.text for line in lines), lines) if lines else None


def _is_turned(page: pypdfium2.PdfPage, text: pypdfium2.PdfTextPage) -> bool:
    """Whether most characters are rotated on the rendered page: then OCR reads it."""
    count = int(text.count_chars())
    sample = range(0, count, max(1, count // _SAMPLE))
    seen = [raw.FPDFText_GetCharAngle(text, index) + math.radians(page.get_rotation()) for index in sample]
    return sum(math.cos(angle) < _UPRIGHT for angle in seen) > len(seen) / 2


def _runs(text: pypdfium2.PdfTextPage) -> Iterator[tuple[str, Box]]:
    """Lines as PDFium breaks them, in boxes as high as their font: tight boxes would put dots in separate rows."""
    symbols: list[str] = []
    boxes: list[Box] = []
    count = text.count_chars()
    for index in range(count + 1):
        symbol = chr(raw.FPDFText_GetUnicode(text, index)) if index < count else "\n"
        if symbol not in _BREAKS:
            symbols.append(symbol)
            boxes += [] if symbol.isspace() else [_loose_box(text, index)]
            continue
        symbols += ["-"] if symbol == _HYPHEN else []
        words = " ".join("".join(symbols).encode("utf-16", "surrogatepass").decode("utf-16", "replace").split())
        if words and boxes:
            lefts, bottoms, rights, tops = zip(*boxes, strict=True)
            yield words, (min(lefts), min(bottoms), max(rights), max(tops))
        symbols, boxes = [], []


def _loose_box(text: pypdfium2.PdfTextPage, index: int) -> Box:
    found = raw.FS_RECTF()
    raw.FPDFText_GetLooseCharBox(text, index, found)
    return found.left, found.bottom, found.right, found.top


def _polygon(page: pypdfium2.PdfPage, box: Box, size: Size) -> Polygon:
    left, bottom, right, top = box
    corners = [_on_page(page, x, y, size) for x, y in ((left, top), (right, bottom))]
    return _box(corners)


def _on_page(page: pypdfium2.PdfPage, x: float, y: float, size: Size) -> tuple[float, float]:
    """PDFium applies rotation and crop box."""
    across, down = ctypes.c_int(), ctypes.c_int()
    # in tenths of a pixel, as PDFium gives whole numbers
    raw.FPDF_PageToDevice(page, 0, 0, size[0] * 10, size[1] * 10, 0, x, y, across, down)
    return across.value / 10, down.value / 10


def _around(polygons: list[Polygon]) -> Polygon:
    return _box([corner for polygon in polygons for corner in polygon])


def _box(corners: list[tuple[float, float]]) -> Polygon:
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
    return (left, top), (right, top), (right, bottom), (left, bottom)
