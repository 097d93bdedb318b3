"""A worker's request handler: opens documents, reads pages, returns results. One thread, one page at a time.

Errors of libraries are logged; the client gets a fixed text.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec
from loguru import logger

from src import logs
from src.errors import InternalError, ServiceError, UnsupportedValue
from src.ipc.messages.base import Failed
from src.ipc.messages.ocr import (
    OcrContents,
    OcrInspect,
    OcrLine,
    OcrOptions,
    OcrRequest,
    OcrResult,
    OcrTimings,
    OcrWord,
    TextSource,
)
from src.ocr import documents, layer_check, pictures, scripts, searchable
from src.ocr.documents import Document, DocumentLimits
from src.ocr.guard import Guard, unguarded
from src.ocr.open_documents import OpenDocuments, open_image
from src.ocr.read_ahead import ReadAhead
from src.ocr.reading import BatchRecognizer, Pixels, Polygon, Reading, Recognizer, Size, TextLayer, TextLine
from src.ocr.scripts import OtherScripts
from src.ocr.structure.page import PageStructure

_WITH_TEXT = ("pdf", "zip")  # kinds of documents whose pages may have text of their own


class PageReader:
    """The recognizer, a fallback recognizer (loaded on first use), what finds blocks, and the open documents."""

    def __init__(
        self,
        recognizer: Recognizer,
        limits: DocumentLimits,
        fallback: Callable[[], Recognizer] | None = None,
        guard: Guard = unguarded,
        structure: PageStructure | None = None,
        other_scripts: OtherScripts | None = None,
    ) -> None:
        self._recognizer = recognizer
        self._limits = limits
        self._load_fallback = fallback
        self._fallback: Recognizer | None = None
        self._structure = structure or PageStructure(use_model=False)
        self._read_ahead = (
            ReadAhead(recognizer) if isinstance(recognizer, BatchRecognizer) and recognizer.at_once > 1 else None
        )
        self._guard = guard
        self._other_scripts = other_scripts
        self._documents = OpenDocuments(limits, guard)

    def answer(self, request: OcrRequest | OcrInspect) -> OcrResult | OcrContents | Failed:
        """The reply to a request; never raises."""
        token = logs.request_id.set(request.id)
        try:
            self._check_language(request.options)
            return self._inspect(request) if isinstance(request, OcrInspect) else self._read(request)
        except ServiceError as error:
            return Failed.of(error)
        except Exception:  # noqa: BLE001  # process boundary: one page must not take the worker down
            logger.exception("reading a page failed unexpectedly")
            return Failed.of(InternalError())
        finally:
            logs.request_id.reset(token)

    def close(self) -> None:
        self._documents.close()

    def _check_language(self, options: OcrOptions) -> None:
        known = self._recognizer.languages
        if options.language is None or known is None or options.language in known or self._is_other(options.language):
            return
        text = (
            f"The recognizer {self._recognizer.name} does not read this language; it reads {', '.join(sorted(known))}."
        )
        raise UnsupportedValue(text, param="language")

    def _inspect(self, request: OcrInspect) -> OcrContents:
        document = self._document(request)
        if not request.searchable or document.kind != "pdf":
            # a TIFF's pages are counted to the limit only
            more = document.kind == "tiff" and document.pages > self._limits.max_pages
            return OcrContents(document.kind, document.pages, more=more)
        data = Path(request.path).read_bytes()
        data = documents.from_base64(data) if request.base64 else data
        pdf = searchable.write(data, request.options.password, request.searchable, self._guard)
        return OcrContents(document.kind, document.pages, pdf)

    def _document(self, request: OcrRequest | OcrInspect) -> Document:
        password = request.options.password
        return self._documents.get(request.path, base64_text=request.base64, password=password)

    def _read(self, request: OcrRequest) -> OcrResult:
        started = time.monotonic()
        if request.path:
            return self._complete_page(self._document(request), request, started)
        data = documents.from_base64(request.image) if request.base64 else request.image
        with closing(open_image(data, self._limits)) as image:
            return self._complete_page(image, request, started)

    def _complete_page(self, document: Document, request: OcrRequest, started: float) -> OcrResult:
        """The page, with its pictures."""
        dpi = request.options.dpi or self._limits.dpi
        page = self._page_of(document, request, started)
        page = msgspec.structs.replace(page, warnings=(*page.warnings, *document.warnings(request.page)))
        options = request.options
        if options.picture_only:
            return self._picture(document, request.page, dpi, started)
        if options.searchable and document.kind != "pdf":
            options = msgspec.structs.replace(options, picture=True)
        return pictures.with_pictures(page, options, lambda: document.pixels(request.page, dpi))

    def _picture(self, document: Document, number: int, dpi: int, started: float) -> OcrResult:
        """The page's picture alone."""
        pixels = document.pixels(number, dpi)
        size, timings = (pixels.shape[1], pixels.shape[0]), OcrTimings(0.0, time.monotonic() - started, 0.0)
        page = result("none", Reading("", ()), size, timings, dpi=document.dpi(number, dpi))
        return msgspec.structs.replace(page, picture=pictures.jpeg(pixels))

    def _page_of(self, document: Document, request: OcrRequest, started: float) -> OcrResult:
        dpi = request.options.dpi or self._limits.dpi
        real_dpi = document.dpi(request.page, dpi)
        layer = None if request.options.force_ocr else document.text(request.page, dpi)

        def pixels() -> Pixels:
            return document.pixels(request.page, dpi)

        why = _objection(layer, request, pixels, self._recognizer, document.kind)
        if layer is None or why:
            read = self._recognize(request, pixels(), started, real_dpi, document.given_size(request.page), why)
            if layer is None or read.text or layer.pictures:
                return read
        return self._text_layer(layer, document, request, started)

    def _text_layer(self, layer: TextLayer, document: Document, request: OcrRequest, started: float) -> OcrResult:
        """The page's own text, with the text of its pictures."""
        dpi = request.options.dpi or self._limits.dpi
        reading, added = layer_check.with_pictures(layer, lambda: document.pixels(request.page, dpi), self._recognizer)
        if request.options.structure:
            reading = self._with_blocks_of_text_layer(reading, document, request.page, dpi, mixed=added > 0)
        timings = OcrTimings(0.0, time.monotonic() - started, 0.0)
        return result(
            "text_layer",
            reading,
            layer.size,
            timings,
            source="mixed" if added else "text_layer",
            source_reason=_layer_reason(layer, added),
            dpi=document.dpi(request.page, dpi),
        )

    def _recognize(
        self, request: OcrRequest, pixels: Pixels, started: float, dpi: int | None, size: Size | None, why: str
    ) -> OcrResult:
        """`size`: of the page as given, of which `pixels` may be a reduction."""
        decoded = time.monotonic()
        engine, reading = self._reading(request, pixels)
        if request.options.structure:
            reading = replace(reading, blocks=self._structure.blocks(pixels, reading))
        timings = OcrTimings(0.0, decoded - started, time.monotonic() - decoded)
        width, height = size or (pixels.shape[1], pixels.shape[0])
        return result(
            engine,
            reading.scaled(width / pixels.shape[1], height / pixels.shape[0]),
            (width, height),
            timings,
            source_reason=why,
            dpi=dpi,
            fallback=engine != self._recognizer.name,
        )

    def _with_blocks_of_text_layer(
        self, reading: Reading, document: Document, number: int, dpi: int, *, mixed: bool
    ) -> Reading:
        """Without blocks if the page cannot be rendered: its text is there. `mixed`: it holds lines that OCR read."""
        try:
            pixels = document.pixels(number, dpi)
        except ServiceError as error:
            logger.info("no structure of a page that cannot be rendered: {}", error.message)
            return reading
        words = [] if mixed else document.words(number, dpi, reading.rotation)
        return replace(reading, blocks=self._structure.blocks(pixels, reading, words))

    def _is_other(self, language: str | None) -> bool:
        """Whether the recognizer lacks this language, and Tesseract has it."""
        other, known = self._other_scripts, self._recognizer.languages
        return other is not None and known is not None and language not in known and language in other.languages

    def _reading(self, request: OcrRequest, pixels: Pixels) -> tuple[str, Reading]:
        """Read by the chosen engine; by Tesseract, if the page's script is one that it lacks."""
        language = request.options.language
        if language is not None and self._other_scripts is not None and self._is_other(language):
            return "tesseract", self._other_scripts.read(pixels, language)
        engine, reading = self._engine_reading(request, pixels)
        if self._other_scripts is None or all(warning.code != scripts.WARNING for warning in reading.warnings):
            return engine, reading
        found = self._other_scripts.attempt(pixels)
        if found is None:
            return engine, reading
        other, script = found
        return "tesseract", scripts.read_by_other(other, script, engine)

    def _engine_reading(self, request: OcrRequest, pixels: Pixels) -> tuple[str, Reading]:
        """Read by the chosen engine, or by the fallback if that loops, fails, or crashed on this page before."""
        if self._load_fallback is None:
            return self._recognizer.name, self._read_with_read_ahead(request, pixels)
        if not request.fallback:
            reading = self._attempt(request, pixels)
            if reading is not None and reading.stopped != "repetition":
                return self._recognizer.name, reading
        self._fallback = self._fallback or self._load_fallback()
        return self._fallback.name, self._fallback.read(pixels)

    def _attempt(self, request: OcrRequest, pixels: Pixels) -> Reading | None:
        try:
            return self._read_with_read_ahead(request, pixels)
        except Exception:  # noqa: BLE001  # a model may fail in any way; the fallback reads the page
            logger.exception("the recognizer failed on a page; using the bundled one")
            return None

    def _read_with_read_ahead(self, request: OcrRequest, pixels: Pixels) -> Reading:
        if self._read_ahead is None or not request.path:
            return self._recognizer.read(pixels, request.options.language)
        return self._read_ahead.read(request, pixels, lambda number: self._next_page(request, number))

    def _next_page(self, request: OcrRequest, number: int) -> Pixels | None:
        """Its pixels; None if it has a text layer, or is damaged, which is reported when it is requested."""
        document = self._document(request)
        dpi = request.options.dpi or self._limits.dpi
        try:
            if not request.options.force_ocr and document.text(number, dpi) is not None:
                return None
            return document.pixels(number, dpi)
        except ServiceError:
            return None


def _objection(
    layer: TextLayer | None, request: OcrRequest, pixels: Callable[[], Pixels], recognizer: Recognizer, kind: str
) -> str:
    """Why the page's pixels are read; "" if its text layer is used."""
    if request.options.force_ocr:
        return "force_ocr"
    if layer is None:
        return "The page has no text layer, or one without meaning." if kind in _WITH_TEXT else ""
    why = layer_check.objection(layer, pixels, recognizer)
    return f"The text layer was not used: {why}." if why else ""


def _layer_reason(layer: TextLayer, added: int) -> str:
    parts = ["text layer"]
    parts += ["compared with the page"] if layer.doubt else []
    parts += ["letters that stood apart were joined"] if layer.letters_joined else []
    parts += [f"{added} lines of its pictures by OCR"] if added else []
    return ", ".join(parts)


def result(
    engine: str,
    reading: Reading,
    size: tuple[int, int],
    timings: OcrTimings,
    *,
    source: TextSource = "ocr",
    source_reason: str = "",
    dpi: int | None = None,
    fallback: bool = False,
) -> OcrResult:
    """A reading as a wire message."""
    return OcrResult(
        engine=engine,
        text=reading.text,
        lines=tuple(_line(line) for line in reading.lines),
        width=size[0],
        height=size[1],
        rotation=reading.rotation,
        skew_degrees=reading.skew_degrees,
        timings=timings,
        source=source,
        markdown=reading.markdown,
        dpi=dpi,
        truncated=reading.stopped is not None,
        reason=reading.stopped,
        fallback=fallback,
        source_reason=source_reason,
        warnings=reading.warnings,
        blocks=reading.blocks,
    )


def _line(line: TextLine) -> OcrLine:
    words = tuple(OcrWord(word.text, _rounded(word.polygon)) for word in line.words)
    return OcrLine(line.text, line.confidence, line.polygon, words)


def _rounded(polygon: Polygon) -> Polygon:
    return tuple((round(x, 1), round(y, 1)) for x, y in polygon)
