"""Makes a PDF searchable: invisible text under its scanned pages; all else stays as it is. In an OCR worker only.

qpdf (pikepdf) writes the file. Pages that were not asked for are left out.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name

from src.documents import invisible_text
from src.errors import InvalidDocument
from src.ipc.messages.ocr import OcrLine, OcrPage, OcrResult
from src.ocr.guard import Guard

_DEEPEST = 64  # levels of the tree of pages
_INVISIBLE = 3  # PDF's text rendering mode
_SHOWS = ("Tj", "TJ", "'", '"')

Rectangle = tuple[float, float, float, float]  # left, bottom, width, height

_UNREADABLE = (pikepdf.PdfError, ValueError, TypeError, LookupError, AttributeError, RuntimeError)


def write(data: bytes, password: str, pages: Sequence[OcrPage], guard: Guard) -> bytes:
    """The PDF with the text of these pages, of which those that could not be read stay as they are.

    Raises:
        InvalidDocument: qpdf cannot read it.
    """
    out = io.BytesIO()
    try:
        with guard(1), pikepdf.open(io.BytesIO(data), password=password) as document:
            _add_text(document, pages)
            _keep(document, {page.number for page in pages})
            document.save(out, encryption=document.is_encrypted)
    except _UNREADABLE as error:
        text = "The PDF is too damaged for text to be added; ask for another format, or send it printed anew."
        raise InvalidDocument(text, param="file") from error
    return out.getvalue()


def _add_text(document: pikepdf.Pdf, pages: Sequence[OcrPage]) -> None:
    font: pikepdf.Object | None = None
    for page in pages:
        lines = _lines(page.outcome) if isinstance(page.outcome, OcrResult) else []
        if lines and isinstance(page.outcome, OcrResult):
            font = font or _font(document)
            if page.outcome.source == "ocr":
                _drop_hidden_text(document, document.pages[page.number])
            _write_lines(document.pages[page.number], page.outcome, lines, font)


def _drop_hidden_text(document: pikepdf.Pdf, page: pikepdf.Page) -> None:
    """Without the invisible layer of another OCR, which was not believed: it would be found beside the right text."""
    kept, modes = list[Any](), [0]
    for instruction in pikepdf.parse_content_stream(page):
        name = str(instruction.operator)
        if name == "q":
            modes.append(modes[-1])
        elif name == "Q" and len(modes) > 1:
            modes.pop()
        elif name == "Tr":
            with suppress(LookupError, TypeError, ValueError):  # of a careless writer; viewers pass over it
                modes[-1] = int(instruction.operands[0])
        if modes[-1] != _INVISIBLE or name not in _SHOWS:
            kept.append(instruction)
    page.obj["/Contents"] = document.make_stream(pikepdf.unparse_content_stream(kept))


def _lines(page: OcrResult) -> list[OcrLine]:
    """Those that OCR read: a text layer's own have no confidence."""
    if page.source == "text_layer":
        return []
    return [line for line in page.lines if page.source == "ocr" or line.confidence is not None]


def _keep(document: pikepdf.Pdf, numbers: set[int]) -> None:
    for number in reversed(range(len(document.pages))):
        if number not in numbers:
            del document.pages[number]


def _write_lines(page: pikepdf.Page, result: OcrResult, lines: list[OcrLine], font: pikepdf.Object) -> None:
    """In a graphics state of its own, after what the page draws."""
    left, bottom, width, height = _visible(page)
    turned = int(_inherited(page, "/Rotate") or 0) % 360
    across, down = (height, width) if turned % 180 else (width, height)
    scale = across / max(1, result.width), down / max(1, result.height)
    drawn = invisible_text.drawn(lines, scale, down, invisible_text.FONT_NAME)
    matrix = " ".join(f"{value:.4f}" for value in _upright(turned, (left, bottom, width, height)))
    _add_font(page, font)
    # text that is shown, but means something else (a font with a wrong table), is said to be empty: it is not found
    silent = (b"/Span << /ActualText <FEFF> >> BDC\n", b"\nEMC") if result.source == "ocr" else (b"", b"")
    page.contents_add(b"q\n" + silent[0], prepend=True)
    page.contents_add(silent[1] + b"\nQ\nq " + matrix.encode("ascii") + b" cm\n" + drawn + b"Q\n")


def _visible(page: pikepdf.Page) -> Rectangle:
    """The part of the page that is shown: its crop box, within its media box."""
    media, crop = _corners(page.mediabox), _corners(page.cropbox)
    left, bottom = max(media[0], crop[0]), max(media[1], crop[1])
    right, top = min(media[2], crop[2]), min(media[3], crop[3])
    if right <= left or top <= bottom:
        left, bottom, right, top = media
    return left, bottom, right - left, top - bottom


def _corners(box: pikepdf.Object) -> Rectangle:
    xs, ys = sorted((float(box[0]), float(box[2]))), sorted((float(box[1]), float(box[3])))
    return xs[0], ys[0], xs[1], ys[1]


def _upright(turned: int, visible: Rectangle) -> tuple[float, float, float, float, float, float]:
    """From the page as it is shown, its lower left corner at 0, to its own coordinates."""
    left, bottom, width, height = visible
    if turned == 90:
        return 0, 1, -1, 0, left + width, bottom
    if turned == 180:
        return -1, 0, 0, -1, left + width, bottom + height
    if turned == 270:
        return 0, -1, 1, 0, left, bottom + height
    return 1, 0, 0, 1, left, bottom


def _inherited(page: pikepdf.Page, name: str) -> Any:
    """An entry of the page, or of the nearest node above it in the tree of pages; None without any."""
    node: Any = page.obj
    for _ in range(_DEEPEST):
        if node is None or name in node:
            break
        node = node.get("/Parent")
    return None if node is None else node.get(name)


def _add_font(page: pikepdf.Page, font: pikepdf.Object) -> None:
    """Beside its other fonts, also where those are inherited."""
    resources = _inherited(page, "/Resources")
    if resources is None:
        page.obj["/Resources"] = resources = Dictionary()
    fonts = resources.get("/Font")
    if fonts is None:
        resources["/Font"] = fonts = Dictionary()
    fonts["/" + invisible_text.FONT_NAME] = font


def _font(document: pikepdf.Pdf) -> pikepdf.Object:
    """One for all pages, which shows nothing."""
    ascent = round(1000 * invisible_text.ASCENT)
    descriptor = Dictionary(
        Type=Name.FontDescriptor,
        FontName=Name.Invisible,
        Flags=5,
        FontBBox=Array([0, ascent - 1000, 500, ascent]),
        ItalicAngle=0,
        Ascent=ascent,
        Descent=ascent - 1000,
        CapHeight=ascent,
        StemV=80,
    )
    descendant = Dictionary(
        Type=Name.Font,
        Subtype=Name.CIDFontType2,
        BaseFont=Name.Invisible,
        CIDToGIDMap=Name.Identity,
        CIDSystemInfo=Dictionary(Registry=b"Adobe", Ordering=b"Identity", Supplement=0),
        FontDescriptor=document.make_indirect(descriptor),
        DW=round(1000 * invisible_text.WIDTH),
    )
    font = Dictionary(
        Type=Name.Font,
        Subtype=Name.Type0,
        BaseFont=Name.Invisible,
        Encoding=Name("/Identity-H"),
        DescendantFonts=Array([document.make_indirect(descendant)]),
        ToUnicode=document.make_stream(invisible_text.to_unicode()),
    )
    return document.make_indirect(font)
