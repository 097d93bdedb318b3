"""PDF files through PDFium: rendered pages and their text layer. Runs in an OCR worker only.

PDFium is native code on untrusted input: it may crash the process, which is then restarted. Page and image sizes are
checked before rendering; `guard` limits CPU time and memory.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np
import pypdfium2
from pypdfium2 import raw

from src.errors import InvalidDocument
from src.ipc.messages.ocr import OcrWarning
from src.ocr import hidden_layers, layer_quality, page_annotations, page_pictures, text_layer
from src.ocr.documents import DocumentLimits
from src.ocr.guard import OPENING, Guard, unguarded
from src.ocr.nested_forms import NestedForms
from src.ocr.reading import Pixels, Size, TextLayer
from src.ocr.structure import pdf_words
from src.ocr.structure.words import Word

_MAX_SIDE = 5000  # pixels a page is rendered to at most, whatever its size in points


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
                self._forms = NestedForms(source, password)
                self._leave_out_hidden_layers()
                self._document.init_forms()  # where it has any: fields without an appearance are given one
        except pypdfium2.PdfiumError as error:
            raise _not_opened(error, password) from None
        self.pages = len(self._document)
        self._current: tuple[int, pypdfium2.PdfPage] | None = None
        self._annotations = Counter[int]()  # of the current page, before they were flattened
        if not self.pages:
            self.close()
            raise InvalidDocument("The PDF has no pages.", param="file")

    def _leave_out_hidden_layers(self) -> None:
        """Open what is left instead, where there are any."""
        cleared = hidden_layers.cleared(self._forms.file) if self._forms.file is not None else None
        if cleared is not None:
            self._document.close()
            self._document = _open(cleared, "")

    def close(self) -> None:
        self._close_page()
        self._forms.close()
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

    def text(self, number: int, dpi: int) -> TextLayer | None:
        """The page's text layer, if its characters mean something."""
        with _damaged_page_errors():
            page = self._page(number)
            with self._guard(1):
                return self._own_text(page, dpi)

    def _own_text(self, page: pypdfium2.PdfPage, dpi: int) -> TextLayer | None:
        with closing(page.get_textpage()) as text:
            size = self._size(page, dpi)
            found = text_layer.read(page, text, size)
            if found is None or not layer_quality.has_mapping(found[0].text):
                return None
            reading, joined = found
            pictures = page_pictures.areas(page, size, reading)
            doubt = layer_quality.doubt(reading.text)
            if not doubt and pictures.scanned and page_pictures.is_hidden(text):
                doubt = "it is invisible over a picture of the page"
            return TextLayer(reading, size, doubt, pictures.unread, joined)

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
                self._forms.check(number)
                self._current = number, self._open(number)
        return self._current[1]

    def _open(self, number: int) -> pypdfium2.PdfPage:
        """Open a page with its form fields and typed remarks flattened, so that they are rendered and read."""
        page = self._document[number]
        if not all(
            side > 0 for side in page.get_size()
        ):  # its CropBox lies beside it: viewers show the whole page then
            page.set_cropbox(*page.get_mediabox())
            page.close()
            page = self._document[number]
        self._annotations = page_annotations.kinds(page)
        if page_annotations.flatten(page, self._annotations):
            page.close()
            page = self._document[number]
        return page

    def warnings(self, number: int) -> tuple[OcrWarning, ...]:
        """What hangs on the page, and, on the first one, on the document."""
        with _damaged_page_errors():
            self._page(number)
        found = page_annotations.page_warnings(self._annotations)
        with suppress(pypdfium2.PdfiumError):  # damage here is none of the page
            return found if number else (*page_annotations.document_warnings(self._document), *found)
        return found

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
        for picture in page_pictures.pictures(page):
            width, height = _pixel_size(picture)
            megabytes = width * height * _pixel_bits(picture) / 8 / (1 << 20)
            if megabytes > self._limits.max_image_mb:
                raise InvalidDocument(
                    f"The page contains an image of {width} × {height} pixels, which take {megabytes:.0f} MiB of "
                    f"memory; OCR_MAX_IMAGE_MB allows {self._limits.max_image_mb}.",
                    param="file",
                )


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
